// A Python with the packages that a test names, in a virtual environment under .cache/.
//
// It is made once for each requirements.txt and version of Python. Where this machine has no fitting Python or no way to
// PyPI, that is a `Problem` with exit code 77, which `npm test` counts as skipped.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { isNetworkFailure, run, tail } from './child.mjs';
import { Problem } from './problem.mjs';
import { IS_WINDOWS, ROOT } from './project.mjs';

export const CANNOT_RUN_HERE = 77;

/** What the pinned SDKs ask for. */
const PYTHON_MIN = [3, 10];
/** What pip says when its index did not answer. For a version that does not exist it lists those that do. */
const NO_INDEX = /from versions: none|connection broken by/;

/** Returns the path of a Python that has what the file `requirements` names. A finished environment has a stamp; what has none is made anew. */
export async function ensurePython(requirements) {
  const { command, version } = await findPython();
  const key = createHash('sha256').update(version).update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const folder = join(ROOT, '.cache', `python-${key}`);
  const python = join(folder, IS_WINDOWS ? 'Scripts' : 'bin', IS_WINDOWS ? 'python.exe' : 'python');
  const stamp = join(folder, 'is-complete');
  if (existsSync(stamp)) return python;
  rmSync(folder, { recursive: true, force: true });
  await must(command, ['-m', 'venv', folder]);
  await must(python, ['-m', 'pip', 'install', '--quiet', '--retries', '1', '--disable-pip-version-check', '-r', requirements]);
  writeFileSync(stamp, '');
  return python;
}

/** Runs pip or another program that needs PyPI; a `Problem` says whether the network was missing. */
export async function must(command, args, options = {}) {
  const { code, output } = await run(command, args, options);
  if (code === 0) return;
  if (NO_INDEX.test(output) || isNetworkFailure(output)) {
    console.error(tail(output));
    throw new Problem('The Python packages could not be fetched from PyPI.', { exitCode: CANNOT_RUN_HERE });
  }
  throw new Problem(`"${[command, ...args].join(' ')}" failed. It said:`, { details: tail(output) });
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
