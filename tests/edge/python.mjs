// The PyPI SDK against the edge: `node tests/edge/python.mjs` runs pytest on tests/edge/python/.
//
// The packages live in a virtual environment under .cache/, made once for each requirements.txt and Python. Exit
// code 77 means that this machine has no fitting Python or no way to PyPI; the last line says which.
// Not here: the cases (`python/test_openai.py`). They learn the routes from the environment.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { isNetworkFailure, run, tail } from '../../scripts/child.mjs';
import { Problem, runScript } from '../../scripts/problem.mjs';
import { IS_WINDOWS, ROOT } from '../../scripts/project.mjs';
import { KEY, startWorld } from './world.mjs';

const TESTS = join(ROOT, 'tests', 'edge', 'python');
const REQUIREMENTS = join(TESTS, 'requirements.txt');
/** What the pinned SDK asks for. */
const PYTHON_MIN = [3, 10];
const CANNOT_RUN_HERE = 77;
/** What pip says when its index did not answer. For a version that does not exist it lists those that do. */
const NO_INDEX = /from versions: none|connection broken by/;

await runScript(async () => {
  const python = await ensurePackages(await findPython());
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

/** Returns `{ command, version }`. */
async function findPython() {
  const probe = 'import sys, venv, ensurepip; print("%d.%d.%d" % sys.version_info[:3])';
  for (const command of IS_WINDOWS ? ['python', 'py'] : ['python3', 'python']) {
    const { code, output } = await run(command, ['-c', probe]);
    const version = output.trim();
    if (code === 0 && isNewEnough(version.split('.').map(Number))) return { command, version };
  }
  const wanted = PYTHON_MIN.join('.');
  const reason = `There is no Python ${wanted} or newer with the venv module (Debian: apt install python3-venv).`;
  throw new Problem(reason, { exitCode: CANNOT_RUN_HERE });
}

function isNewEnough([major, minor]) {
  return major > PYTHON_MIN[0] || (major === PYTHON_MIN[0] && minor >= PYTHON_MIN[1]);
}

/** Returns the environment's own Python. A finished environment has a stamp; what has none is made anew. */
async function ensurePackages({ command, version }) {
  const key = createHash('sha256').update(version).update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 16);
  const folder = join(ROOT, '.cache', `python-${key}`);
  const python = join(folder, IS_WINDOWS ? 'Scripts' : 'bin', IS_WINDOWS ? 'python.exe' : 'python');
  const stamp = join(folder, 'is-complete');
  if (existsSync(stamp)) return python;
  rmSync(folder, { recursive: true, force: true });
  await must(command, ['-m', 'venv', folder]);
  await must(python, ['-m', 'pip', 'install', '--quiet', '--retries', '1', '--disable-pip-version-check', '-r', REQUIREMENTS]);
  writeFileSync(stamp, '');
  return python;
}

async function must(command, args) {
  const { code, output } = await run(command, args);
  if (code === 0) return;
  if (NO_INDEX.test(output) || isNetworkFailure(output)) {
    console.error(tail(output));
    throw new Problem('The Python packages could not be fetched from PyPI.', { exitCode: CANNOT_RUN_HERE });
  }
  throw new Problem(`"${[command, ...args].join(' ')}" failed. It said:`, { details: tail(output) });
}
