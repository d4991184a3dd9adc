// Set-up: everything between a fresh clone and a first build, each part skipped when it is there.
//
//   npm run setup      the Node packages, Rust's wasm32 target, worker-build and wasm-bindgen
//
// `npm start`, `npm run build`, `npm test` and `npm run deploy` call it themselves. It installs nothing
// outside node_modules, rustup's own folders and the tool cache (`tools.mjs`), and needs no root.

import './node-version.mjs';

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { isNetworkFailure, run, tail } from './child.mjs';
import { parseFlags } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { IS_WINDOWS, ROOT, isMain } from './project.mjs';
import { beQuiet, say } from './screen.mjs';
import { ensureTools } from './tools.mjs';

/** Shorter waits than npm's own: without a network it would try for over a minute before it says so. */
const NPM_CI = [
  'ci',
  '--no-audit',
  '--no-fund',
  '--loglevel=error',
  '--fetch-retry-mintimeout=2000',
  '--fetch-retry-maxtimeout=8000',
];

const PROJECT_PACKAGES = { title: 'Installing the Node packages, which run Workers on this machine', takes: 'about a minute' };

const WASM_TARGET = 'wasm32-unknown-unknown';
const RUST_REMEDY = 'Install Rust from https://rustup.rs and try again (a new shell may be needed for PATH).';

const USAGE = `usage: npm run setup [-- --quiet]

Sets up what a build needs and is missing: the Node packages of package-lock.json, Rust's
${WASM_TARGET} target, and the tools worker-build and wasm-bindgen.`;

/**
 * Returns what the build needs to know: `{ rustc, tools }`. `components` are parts of the Rust toolchain
 * that only some callers need, as `clippy`.
 */
export async function setUp({ components = [] } = {}) {
  const rustc = await requireRust();
  await requireWasmTarget();
  for (const component of components) await requireComponent(component);
  await ensureNodePackages(ROOT, PROJECT_PACKAGES);
  return { rustc, tools: await ensureTools() };
}

/** What changing the configuration needs: the CLI's compiler and the Node packages, but no tools for a build. */
export async function setUpForConfig() {
  await requireRust();
  await ensureNodePackages(ROOT, PROJECT_PACKAGES);
}

async function requireRust() {
  const cargo = await run('cargo', ['--version']);
  const rustc = await run('rustc', ['--version', '--verbose']);
  if (cargo.code === 127 || rustc.code === 127) {
    throw new Problem(
      `Waypost is built with Rust, and ${cargo.code === 127 ? 'cargo' : 'rustc'} was not found. ${RUST_REMEDY}`,
    );
  }
  for (const { code, output } of [cargo, rustc]) {
    if (code !== 0)
      throw new Problem(`Rust is installed but does not run. ${RUST_REMEDY}`, { details: tail(output) });
  }
  const found = /^release: (\S+)/m.exec(rustc.output)?.[1] ?? '0';
  const needed =
    /^rust-version = "([^"]+)"/m.exec(readFileSync(join(ROOT, 'Cargo.toml'), 'utf8'))?.[1] ?? '0';
  if (isOlder(found, needed)) {
    throw new Problem(
      `Waypost needs Rust ${needed} or newer, and rustc is ${found}. Run "rustup update stable" and try again.`,
    );
  }
  return rustc.output.trim();
}

function isOlder(found, needed) {
  const [a, b] = [found, needed].map((version) =>
    version.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0),
  );
  for (let i = 0; i < 3; i += 1) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) < (b[i] ?? 0);
  }
  return false;
}

/** The target may come from rustup or from a distribution's package: what counts is that it is there. */
async function requireWasmTarget() {
  const { output } = await run('rustc', ['--print', 'target-libdir', '--target', WASM_TARGET]);
  if (existsSync(output.trim())) return;
  const added = await run('rustup', ['target', 'add', WASM_TARGET], {
    title: `Adding Rust's ${WASM_TARGET} target, which Workers are compiled for`,
    takes: 'under a minute',
  });
  if (added.code === 0) return;
  if (added.code === 127) {
    throw new Problem(
      `Rust's ${WASM_TARGET} target is missing, and there is no rustup to add it. Install your distribution's ` +
        `package for it (Debian: libstd-rust-dev-wasm32), or Rust from https://rustup.rs, and try again.`,
    );
  }
  throw failed(`Rust's ${WASM_TARGET} target`, `rustup target add ${WASM_TARGET}`, added.output);
}

async function requireComponent(component) {
  const present = await run('cargo', [component === 'rustfmt' ? 'fmt' : component, '--version']);
  if (present.code === 0) return;
  const added = await run('rustup', ['component', 'add', component], {
    title: `Adding Rust's ${component}, which the checks need`,
  });
  if (added.code !== 0)
    throw failed(`Rust's ${component}`, `rustup component add ${component}`, added.output);
}

/** `npm ci` in a folder whose node_modules was not installed from this very lock file. */
export async function ensureNodePackages(folder, { title, takes }) {
  const stampPath = join(folder, 'node_modules', '.waypost-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(folder, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === lock) return;
  const { code, output } = await run(IS_WINDOWS ? 'npm.cmd' : 'npm', NPM_CI, {
    title,
    takes,
    cwd: folder,
    env: { PATH: pathWithoutNodeModules() },
  });
  if (code !== 0) throw failed('the Node packages', 'npm ci', output);
  writeFileSync(stampPath, lock);
}

/** npm puts node_modules/.bin first, and its `node` must not be the one that deletes node_modules. */
function pathWithoutNodeModules() {
  const own = join(ROOT, 'node_modules', '.bin');
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== own)
    .join(delimiter);
}

function failed(what, command, output) {
  const reason = isNetworkFailure(output)
    ? 'it could not be fetched from the network. Check the connection (and a proxy or mirror, if you use one) and try again'
    : `"${command}" failed`;
  return new Problem(`Setting up ${what}: ${reason}. It said:`, { details: tail(output) });
}

if (isMain(import.meta.url)) {
  await runScript(async () => {
    const { flags } = parseFlags(process.argv.slice(2), { quiet: true }, USAGE);
    if (flags.quiet) beQuiet();
    await setUp();
    say('✓ everything a build needs is here');
  });
}
