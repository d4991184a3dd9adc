// The release build: Rust to build/index.js and build/index_bg.wasm, and its size against the budget.
//
//   npm run build [-- --quiet]
//
// Skipped when nothing it depends on has changed: build/.stamp holds a hash of the sources, the lock files,
// this file, the compiler and the tools, and names the other files that rustc says it read (`include_str!`).
// The budget is "wasm_gzip_kb_max" in package.json, in units of 1,000 bytes; a Worker over it fails here
// rather than on a user's cold start.

import './node-version.mjs';

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { constants, gzipSync } from 'node:zlib';

import { isNetworkFailure, run, tail } from './child.mjs';
import { parseFlags } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { ROOT, isMain, npmProgram, settings } from './project.mjs';
import { beQuiet, say } from './screen.mjs';
import { setUp } from './setup.mjs';

const WASM = join(ROOT, 'build', 'index_bg.wasm');
const OUTPUTS = [join(ROOT, 'build', 'index.js'), WASM];
const STAMP = join(ROOT, 'build', '.stamp');
const FIXED_INPUTS = ['Cargo.toml', 'Cargo.lock', 'package-lock.json', 'scripts/build.mjs'];

/** Those that worker-build itself names to wasm-opt, and no more: workerd need not know newer ones. */
export const WASM_FEATURES = [
  'mutable-globals',
  'sign-ext',
  'nontrapping-float-to-int',
  'bulk-memory',
  'multivalue',
  'reference-types',
  'exception-handling',
].map((name) => `--enable-${name}`);

const USAGE = `usage: npm run build [-- --quiet]

Sets up what is missing, compiles the Worker into build/ unless it is up to date, and checks its size.

  --quiet   say nothing unless something is wrong`;

/** Builds with what `setUp` returned, then throws if the Worker is over its budget. */
export async function build({ rustc, tools }) {
  const versions = JSON.stringify([rustc, tools.versions]);
  if (!isUpToDate(versions)) {
    await compile(tools);
    await stripNames();
    setMicrotasks();
    const others = otherInputs();
    writeFileSync(STAMP, JSON.stringify({ others, hash: inputsHash(versions, others) }));
  }
  checkSize();
}

function isUpToDate(versions) {
  if (![STAMP, ...OUTPUTS].every(existsSync)) return false;
  const { others, hash } = JSON.parse(readFileSync(STAMP, 'utf8'));
  return hash === inputsHash(versions, others);
}

async function compile({ workerBuild, wasmBindgen }) {
  const { code, output } = await run(workerBuild, ['--release'], {
    title: 'Compiling the Worker',
    takes: 'a minute or two the first time',
    env: {
      WASM_OPT_BIN: npmProgram('wasm-opt'),
      ESBUILD_BIN: npmProgram('esbuild'),
      ...(wasmBindgen === undefined ? {} : { WASM_BINDGEN_BIN: wasmBindgen }),
    },
  });
  if (code === 0) return;
  const reason = isNetworkFailure(output)
    ? 'something could not be fetched from the network'
    : 'worker-build failed';
  throw new Problem(`Compiling the Worker: ${reason}. It said:`, { details: tail(output) });
}

/** worker-build keeps the functions' names, a seventh of the size, which no user of a Worker ever sees. */
async function stripNames() {
  const { code, output } = await run(
    npmProgram('wasm-opt'),
    [WASM, ...WASM_FEATURES, '--strip-debug', '-o', WASM],
    {
      title: 'Stripping names',
      takes: 'some seconds',
    },
  );
  if (code !== 0) throw new Problem('wasm-opt failed. It said:', { details: tail(output) });
}

/**
 * Every wake-up of a future asks for a microtask. workerd's `queueMicrotask` leaves V8 for it and comes back, a promise's
 * `then` does not.
 */
function setMicrotasks() {
  const [script] = OUTPUTS;
  const first = 'const settled = Promise.resolve(); globalThis.queueMicrotask = (run) => void settled.then(run);';
  writeFileSync(script, `${first}\n${readFileSync(script, 'utf8')}`);
}

function checkSize() {
  const wasm = readFileSync(WASM);
  const rawKb = wasm.length / 1000;
  const gzipKb = gzipSync(wasm, { level: constants.Z_BEST_COMPRESSION }).length / 1000;
  const maxKb = settings().wasm_gzip_kb_max;
  const figures = `${rawKb.toFixed(0)} KB of wasm, ${gzipKb.toFixed(0)} KB gzipped, budget ${maxKb} KB`;
  if (gzipKb > maxKb) {
    throw new Problem(
      `The Worker is over its size budget: ${figures}. Make it smaller, or raise "wasm_gzip_kb_max" in package.json.`,
    );
  }
  say(`✓ build/ is up to date: ${figures}`);
}

function inputsHash(versions, others) {
  const hash = createHash('sha256').update(versions);
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)));
  for (const path of [...sources, ...FIXED_INPUTS, ...others].sort()) {
    const full = join(ROOT, path);
    hash.update(`\0${path}\0`).update(existsSync(full) ? readFileSync(full) : '');
  }
  return hash.digest('hex');
}

/** Files of this repository outside src/ that went into the wasm, from rustc's list of what it read. */
function otherInputs() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const list = join(target, 'wasm32-unknown-unknown', 'release', 'waypost.d');
  if (!existsSync(list)) return [];
  const paths = readFileSync(list, 'utf8')
    .replace(/^.*?: /, '')
    .trim()
    .split(/(?<!\\) /)
    .map((path) => relative(ROOT, path.replaceAll('\\ ', ' ')));
  return paths.filter(
    (path) => !path.startsWith('..') && !path.startsWith(`src${sep}`) && !path.startsWith(`target${sep}`),
  );
}

if (isMain(import.meta.url)) {
  await runScript(async () => {
    const { flags } = parseFlags(process.argv.slice(2), { quiet: true }, USAGE);
    if (flags.quiet) beQuiet();
    await build(await setUp());
  });
}
