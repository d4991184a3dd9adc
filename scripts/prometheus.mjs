// A real Prometheus for the test of /metrics: the one on PATH, else Debian's package, unpacked into the per-user cache.
//
// No root is needed: apt fetches the package and dpkg-deb unpacks it. Its programs link to nothing but the C library.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { run, tail } from './child.mjs';
import { Problem } from './problem.mjs';
import { cacheFolder } from './tools.mjs';

const CANNOT_RUN_HERE = 77;

/** Returns `{ prometheus, promtool }`, paths of the programs. Throws with exit code 77 where there is no way to them. */
export async function ensurePrometheus() {
  const known = await run('prometheus', ['--version']);
  if (known.code === 0) return { prometheus: 'prometheus', promtool: 'promtool' };
  const folder = join(cacheFolder('tools'), 'prometheus-debian');
  if (!existsSync(folder)) await unpackInto(folder);
  const program = (name) => join(folder, 'usr', 'bin', name);
  return { prometheus: program('prometheus'), promtool: program('promtool') };
}

async function unpackInto(folder) {
  const scratch = `${folder}.partial-${process.pid}`;
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  try {
    await must('apt-get', ['download', 'prometheus'], scratch);
    const [archive] = readdirSync(scratch).filter((name) => name.endsWith('.deb'));
    await must('dpkg-deb', ['-x', archive, 'root'], scratch);
    if (!existsSync(folder)) renameSync(join(scratch, 'root'), folder);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function must(command, args, cwd) {
  const { code, output } = await run(command, args, { cwd });
  if (code === 0) return;
  console.error(tail(output));
  throw new Problem(
    `There is no Prometheus here, and "${command} ${args.join(' ')}" did not give one. Install it (Debian: apt install prometheus).`,
    { exitCode: CANNOT_RUN_HERE },
  );
}
