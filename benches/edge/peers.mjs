// The peers, as their authors publish them, fetched and built into the per-user cache when `--peers` asks.
//
// Portkey's gateway comes from npm. As published its streams fail: it works with the two pins below. Noveum's comes from
// crates.io; it is a library whose entry is its own, so a crate of one line makes the Worker from it, with the profile of
// its own Cargo.toml and the `worker` that we have. Neither is asked to do anything that it does not do by default.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { endGroup, run, tail, takeAlong } from '../../scripts/child.mjs';
import { Problem } from '../../scripts/problem.mjs';
import { IS_WINDOWS, node22, npmProgram } from '../../scripts/project.mjs';
import { cacheFolder } from '../../scripts/tools.mjs';
import { startWorkerd } from '../../scripts/workerd.mjs';
import { pause, send } from './measure.mjs';
import { started } from './systems.mjs';

const PORTKEY = '1.15.2';
const PINS = { hono: '4.9.7', '@hono/node-server': '1.13.5' };
const NOVEUM = '2.0.1';
const STARTED_WITHIN_MS = 20_000;

/** Each with `prepare(tools)`, which fetches and builds, and what `systems.mjs` says of a system. */
export const PEERS = [
  {
    name: 'portkey',
    title: `Portkey ${PORTKEY} on Node`,
    prepare: preparePortkey,
    start: startPortkey,
  },
  {
    name: 'noveum',
    title: `Noveum ${NOVEUM} in workerd`,
    prepare: prepareNoveum,
    start: startNoveum,
  },
];

/** Those that are ready, and for each other one the step that failed. */
export async function readyPeers(tools, upstream, models) {
  const ready = [];
  const failed = [];
  for (const peer of PEERS) {
    try {
      await peer.prepare(tools);
      await tryOut(peer, upstream, models);
      ready.push(peer);
    } catch (error) {
      failed.push({ title: peer.title, reason: `${error instanceof Problem ? error : error.stack}` });
    }
  }
  return { ready, failed };
}

async function tryOut(peer, upstream, models) {
  const system = await peer.start({ upstream, prefix: [] });
  try {
    for (const model of models) await send(system, { model, connections: 1, requests: 1 }, []);
  } finally {
    await system.close();
  }
}

/** A folder for this peer that a changed `text` starts anew, and whether it was ever finished. */
function workshop(name, files) {
  const folder = join(cacheFolder('bench'), name);
  const wanted = JSON.stringify(files);
  const stamp = join(folder, '.ready');
  const isReady = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  for (const [path, text] of isReady ? [] : Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return { folder, isReady, finish: () => writeFileSync(stamp, wanted) };
}

async function preparePortkey() {
  const manifest = {
    private: true,
    dependencies: { '@portkey-ai/gateway': PORTKEY, ...PINS },
    overrides: PINS,
  };
  const { folder, isReady, finish } = workshop('portkey', { 'package.json': JSON.stringify(manifest) });
  if (isReady) return;
  const { code, output } = await run(
    IS_WINDOWS ? 'npm.cmd' : 'npm',
    ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: folder, title: `Fetching Portkey ${PORTKEY}` },
  );
  if (code !== 0) throw new Problem('npm install of Portkey failed. It said:', { details: tail(output) });
  finish();
}

async function startPortkey({ upstream, prefix }) {
  const port = await freePort();
  const script = join(cacheFolder('bench'), 'portkey/node_modules/@portkey-ai/gateway/build/start-server.js');
  const [program, ...args] = [...prefix, node22(), script, '--headless', `--port=${port}`];
  const began_ms = performance.now();
  const child = spawn(program, args, {
    cwd: join(cacheFolder('bench'), 'portkey'),
    stdio: 'ignore',
    detached: !IS_WINDOWS,
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const ended = once(child, 'close').finally(takeAlong(child));
  const close = async () => {
    endGroup(child, 'SIGKILL');
    await ended;
  };
  await untilAnswers(`http://127.0.0.1:${port}/`, child, close);
  const headers = [
    'authorization: Bearer sk-bench',
    'x-portkey-provider: openai',
    `x-portkey-custom-host: http://127.0.0.1:${upstream.port}/v1`,
  ];
  return { address: `127.0.0.1:${port}`, pid: child.pid, began_ms, headers, close };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function untilAnswers(url, child, close) {
  const until = Date.now() + STARTED_WITHIN_MS;
  while (Date.now() < until && child.exitCode === null) {
    const isThere = await fetch(url).then(
      () => true,
      () => false,
    );
    if (isThere) return;
    await pause(5);
  }
  await close();
  throw new Problem(`${child.spawnargs.join(' ')} did not answer`);
}

async function prepareNoveum({ workerBuild, wasmBindgen, versions }) {
  const manifest = `[package]
name = "noveum-peer"
version = "0.0.0"
edition = "2021"
publish = false

[lib]
crate-type = ["cdylib"]

[dependencies]
noveum-ai-gateway = { version = "=${NOVEUM}", default-features = false }
wasm-bindgen = "=${versions['wasm-bindgen-cli']}"
worker = "=${versions['worker-build']}"

[profile.release]
opt-level = 3
lto = "fat"
codegen-units = 1
debug = 0
panic = "abort"
strip = "debuginfo"

[workspace]
`;
  const files = { 'Cargo.toml': manifest, 'src/lib.rs': 'pub use noveum_ai_gateway::*;\n' };
  const { folder, isReady, finish } = workshop('noveum', files);
  if (isReady) return;
  const { code, output } = await run(workerBuild, ['--release'], {
    cwd: folder,
    title: `Compiling Noveum ${NOVEUM}`,
    takes: 'some minutes, once',
    env: {
      WASM_OPT_BIN: npmProgram('wasm-opt'),
      ESBUILD_BIN: npmProgram('esbuild'),
      ...(wasmBindgen === undefined ? {} : { WASM_BINDGEN_BIN: wasmBindgen }),
    },
  });
  if (code !== 0) throw new Problem('worker-build of Noveum failed. It said:', { details: tail(output) });
  finish();
}

async function startNoveum({ upstream, prefix }) {
  const built = join(cacheFolder('bench'), 'noveum', 'build');
  const wasm = readdirSync(built).filter((name) => name.endsWith('.wasm'));
  const files = ['index.js', ...wasm].map((name) => [name, { path: join(built, name) }]);
  const worker = await startWorkerd(Object.fromEntries(files), {
    prefix,
    // As its wrangler.toml has it.
    compatibility: 'compatibilityDate = "2026-08-01"',
    bindings: [`name = "OPENAI_BASE_URL", text = "http://127.0.0.1:${upstream.port}"`],
  });
  return started(worker, ['authorization: Bearer sk-bench', 'x-provider: openai']);
}
