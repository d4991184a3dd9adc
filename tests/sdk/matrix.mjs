// Every SDK against the built Worker and providers of every dialect, as a table: `node tests/sdk/matrix.mjs [--only NAME[,NAME]]`.
//
// Needs Node 22 and a finished build; `npm run test:sdk` (`main.mjs`) sets those up. The SDKs themselves are installed here,
// each where it belongs: the npm ones into `npm/node_modules`, those from PyPI into a virtual environment under .cache/.
// One Worker and one lab serve all. An npm SDK runs in this process, one from PyPI in a child that takes its jobs one by one.

import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { runScript } from '../../scripts/problem.mjs';
import { ensurePython } from '../../scripts/python.mjs';
import { say, startJob } from '../../scripts/screen.mjs';
import { ensureNodePackages } from '../../scripts/setup.mjs';
import { KEY, startWorld } from '../edge/world.mjs';
import { CASES, routesOf } from './cases.mjs';
import { parseChoice } from './choice.mjs';
import { CLIENT_DIALECTS, PROVIDERS } from './families.mjs';
import { pythonDriver } from './python_driver.mjs';
import { runSuite } from './suite.mjs';
import { report } from './table.mjs';

const HERE = import.meta.dirname;

await runScript(async () => {
  const { families, withSuite, spec } = parseChoice(process.argv.slice(2));
  const programs = await install(families, withSuite);
  const results = [];
  if (families.length > 0) {
    const world = await startWorld({ labs: ['first'] });
    try {
      const routes = await putRoutes(world);
      for (const family of families) results.push(...(await runFamily(family, { world, routes, ...programs })));
    } finally {
      await world.close();
    }
  }
  const suite = withSuite ? await runSuite(spec) : undefined;
  return report(results, suite);
});

async function install(families, withSuite) {
  const isWanted = (place) => families.some(({ from }) => from === place);
  if (isWanted('npm') || withSuite) {
    await ensureNodePackages(join(HERE, 'npm'), { title: 'Installing the SDKs from npm', takes: 'under a minute' });
  }
  return { python: isWanted('pypi') ? await ensurePython(join(HERE, 'python', 'requirements.txt')) : undefined };
}

/** Puts each provider's routes, and a key that may use none of them; returns the names by dialect and what they are for. */
async function putRoutes(world) {
  const narrow = createHash('sha256').update('sk-narrow').digest('hex');
  await world.put(`key:${narrow}`, { name: 'narrow', routes: ['elsewhere'], direct: false });
  const routes = PROVIDERS.map(async (provider) => {
    const names = routesOf(provider).map(async ({ name, target, fields }) => {
      return [name, await world.route([{ lab: 'first', dialect: provider.dialect, ...target }], fields)];
    });
    return [provider.dialect, Object.fromEntries(await Promise.all(names))];
  });
  return Object.fromEntries(await Promise.all(routes));
}

/** Returns `{ family, client, provider, outcomes }` for each client and provider; an outcome is null, or what is wrong. */
async function runFamily(family, { world, routes, python }) {
  const clients = family.clients.filter(({ dialect }) => CLIENT_DIALECTS.includes(dialect));
  if (clients.length === 0) return [];
  const job = startJob(family.name);
  const driver = family.from === 'npm' ? await npmDriver(family) : pythonDriver(python, family.driver);
  const results = [];
  try {
    for (const client of clients) {
      for (const provider of PROVIDERS) {
        const outcomes = {};
        for (const each of CASES.filter(({ isFor = () => true }) => isFor(client, provider))) {
          outcomes[each.name] = await runCase(each, { client, provider, driver, world, routes: routes[provider.dialect] });
        }
        results.push({ family: family.name, client: client.name, provider: provider.dialect, outcomes });
      }
    }
  } finally {
    await driver.close();
  }
  const hasFailed = results.some(({ outcomes }) => Object.values(outcomes).some((outcome) => outcome !== null));
  job.end(hasFailed ? '✗' : '✓');
  return results;
}

async function runCase({ op, route, call: more = {}, check }, { client, provider, driver, world, routes }) {
  const call = { url: world.url, key: KEY, model: routes[route], ...more };
  try {
    check(await driver.run(client.name, op, call), { client, provider, call });
    return null;
  } catch (error) {
    return error.message;
  }
}

async function npmDriver({ driver }) {
  const [{ clients }, { drive }] = await Promise.all([import(`./npm/${driver}`), import('./npm/drive.mjs')]);
  return { run: (client, op, call) => drive(clients[client], op, call), close: () => {} };
}
