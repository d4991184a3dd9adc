// The PyPI SDK against the edge: `node tests/edge/python.mjs` runs pytest on tests/edge/python/.
//
// Exit code 77 means that this machine has no fitting Python or no way to PyPI; the last line says which.
// Not here: the cases (`python/test_openai.py`). They learn the routes from the environment.

import { join } from 'node:path';

import { run } from '../../scripts/child.mjs';
import { runScript } from '../../scripts/problem.mjs';
import { ROOT } from '../../scripts/project.mjs';
import { ensurePython } from '../../scripts/python.mjs';
import { KEY, startWorld } from './world.mjs';

const TESTS = join(ROOT, 'tests', 'edge', 'python');

await runScript(async () => {
  const python = await ensurePython(join(TESTS, 'requirements.txt'));
  const world = await startWorld();
  try {
    const routes = JSON.stringify(await putRoutes(world));
    const env = { WAYPOST_URL: `${world.url}/v1`, WAYPOST_KEY: KEY, WAYPOST_ROUTES: routes, PYTHONDONTWRITEBYTECODE: '1' };
    const { code, output } = await run(python, ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', TESTS], { env });
    console.log(output.trimEnd());
    return code;
  } finally {
    await world.close();
  }
});

/** One route for each thing that a case wants to meet, by what it does. */
async function putRoutes(world) {
  const failing = (fault, lab = 'first') => ({ lab, script: { fault } });
  const broken = { kind: 'reset' };
  const limited = { kind: 'status', status: 429, retry_after: 7 };
  const routes = {
    limited: [failing(limited), failing(limited, 'second')],
    broken: [failing(broken), failing(broken, 'second')],
    mistaken: [failing({ kind: 'status', status: 400, message: 'temperature must be below 2' })],
  };
  for (const dialect of ['openai-chat', 'anthropic']) {
    routes[dialect] = [{ lab: 'first', dialect }];
    routes[`${dialect} fails over`] = [{ ...failing(broken), dialect }, { lab: 'second' }];
    routes[`${dialect} is cut`] = [{ ...failing({ kind: 'cut' }), dialect }];
  }
  const names = Object.entries(routes).map(async ([what, targets]) => [what, await world.route(targets)]);
  return Object.fromEntries(await Promise.all(names));
}
