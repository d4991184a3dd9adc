// Fuzzes a parser, a translator or an exchange with libFuzzer: `npm run fuzz -- config`.
//
//   npm run fuzz -- TARGET [--seconds N]
//
// The targets' bodies are in fuzz/src/, and `cargo test` runs them over the committed corpus; this looks for
// new inputs. It begins with that corpus and keeps what it finds in fuzz/found/, so that fuzz/corpus/ stays as small
// as it is; an input that breaks something goes to fuzz/artifacts/, and the exit code is 1.
// Without a sanitizer: the crate forbids unsafe code, so a stable compiler and its own checks are enough.

import './node-version.mjs';

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { runInteractive } from './child.mjs';
import { nearest, parseFlags, wrongUsage } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { ROOT } from './project.mjs';
import { say } from './screen.mjs';
import { ensureCargoFuzz } from './tools.mjs';

const TARGETS = ['config', 'request', 'sse', 'streams', 'exchange'];
const SECONDS = 600;
/** Above the largest input of the corpus; long repetitions belong to tests/suite/limits.rs. */
const INPUT_BYTES_MAX = 8192;
/** One input that takes longer, or more memory, is a finding. */
const INPUT_SECONDS_MAX = 5;
const MEMORY_MB_MAX = 1024;

const USAGE = `usage: npm run fuzz -- TARGET [--seconds N]

Sets up cargo-fuzz and feeds a target random inputs until one breaks it. Exit code 0 when none did.

  TARGET        one of ${TARGETS.join(', ')}
  --seconds N   how long; ${SECONDS} unless given`;

await runScript(async () => {
  const { flags, positionals } = parseFlags(process.argv.slice(2), { seconds: 'N' }, USAGE);
  const [target, ...rest] = positionals;
  if (target === undefined || rest.length > 0) throw wrongUsage('name one target', USAGE);
  if (!TARGETS.includes(target)) {
    const near = nearest(target, TARGETS);
    throw wrongUsage(`no target "${target}"${near ? `; did you mean ${near}?` : ''}`, USAGE);
  }
  const seconds = Number(flags.seconds ?? SECONDS);
  if (!Number.isInteger(seconds) || seconds < 1)
    throw wrongUsage(`--seconds expects a whole number, 1 or more, got "${flags.seconds}"`, USAGE);

  const cargoFuzz = await ensureCargoFuzz();
  const fuzz = (...path) => join(ROOT, 'fuzz', ...path);
  mkdirSync(fuzz('found', target), { recursive: true });
  const code = await runInteractive(cargoFuzz, [
    'run',
    '--sanitizer=none',
    target,
    fuzz('found', target),
    fuzz('corpus', target),
    '--',
    `-max_total_time=${seconds}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    `-timeout=${INPUT_SECONDS_MAX}`,
    `-rss_limit_mb=${MEMORY_MB_MAX}`,
    `-dict=${fuzz('words.dict')}`,
  ]);
  if (code !== 0)
    throw new Problem(
      `Fuzzing ${target} ended with exit code ${code}. If libFuzzer names an input above, that input breaks a promise of fuzz/src/.`,
    );
  say(`✓ ${target}: nothing found in ${seconds} s`);
});
