// The built Worker, running on this machine in workerd with embedded KV, queues, D1 and R2.
//
// Needs Node 22 and a finished build. `npm start` and the tests in tests/edge/ use the same function. The
// bindings come from wrangler.toml alone, and `persist` has the layout of `wrangler dev`, so that
// `wrangler kv key put --local` in another shell changes what a running edge reads.
//
// We do not run `wrangler dev`: it dies when a client aborts an upload, and has no handle on KV for tests.
// Nothing is read here from the environment or .dev.vars: a test sees the bindings it names.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from './project.mjs';

const BUILD = join(ROOT, 'build');
const WRANGLER_TOML = join(ROOT, 'wrangler.toml');

/** Nobody on this machine gains by waiting for a fuller batch. */
const QUEUE_WAIT_SECONDS = 1;

/**
 * Starts the Worker on 127.0.0.1 and returns `{ url, mf, close }`; `mf` is the Miniflare instance, for
 * `mf.getKVNamespace('KV')` and `mf.dispatchFetch`.
 *
 * - `persist`: the folder for KV, D1, R2 and cache; without it they live in memory
 * - `port`: 0 takes any free one
 * - `bindings`: variables and secrets, over the `[vars]` of wrangler.toml
 * - `overrides`: Miniflare's options for this Worker, over those from wrangler.toml
 * - `extraWorkers`: more Workers beside it, in the same form; reach one with `mf.getWorker(name)`
 * - `log(level, message)`: what the Worker writes to its console, and Miniflare's warnings
 */
export async function startEdge({
  persist,
  port = 0,
  bindings = {},
  overrides = {},
  extraWorkers = [],
  log = () => {},
} = {}) {
  const { Log, LogLevel, Miniflare, convertV4MiniflareOptions } = await import('miniflare');
  class EdgeLog extends Log {
    log(message) {
      log('warn', message);
    }
  }
  const mf = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port,
      // Without this Miniflare asks a host on the internet where we are.
      cf: false,
      telemetry: { enabled: false },
      logRequests: false,
      resourcePersistencePath: persist,
      log: new EdgeLog(LogLevel.WARN),
      handleStructuredLogs: ({ level, message }) => log(level, message),
      workers: [{ ...(await edgeWorker(bindings)), ...overrides }, ...extraWorkers],
    }),
  );
  try {
    const url = (await mf.ready).origin;
    return { url, mf, close: () => mf.dispose() };
  } catch (error) {
    await mf.dispose().catch(() => {});
    throw error;
  }
}

/** What `.dev.vars` (or `.env`) holds, read as `wrangler dev` reads it. */
export async function devVars() {
  const { unstable_getVarsForDev } = await importWrangler();
  const found = unstable_getVarsForDev(WRANGLER_TOML, undefined, {}, undefined, true);
  return Object.fromEntries(Object.entries(found).map(([name, { value }]) => [name, value]));
}

/** The built Worker in the form of `extraWorkers`, for a test that wants more than one of it. */
export async function edgeWorker(bindings = {}) {
  const { unstable_getMiniflareWorkerOptions, unstable_readConfig } = await importWrangler();
  const config = unstable_readConfig({ config: WRANGLER_TOML });
  // Miniflare takes a list of modules here, not the rules that find them.
  const { modulesRules: _, ...options } = unstable_getMiniflareWorkerOptions(config).workerOptions;
  for (const consumer of Object.values(options.queueConsumers ?? {}))
    consumer.maxBatchTimeout = QUEUE_WAIT_SECONDS;
  return {
    ...options,
    name: config.name,
    rootPath: ROOT,
    modulesRoot: BUILD,
    modules: builtModules(),
    bindings: { ...config.vars, ...bindings },
  };
}

/** index.js first: the first module is the one that runs. */
function builtModules() {
  const wasm = readdirSync(BUILD).filter((name) => name.endsWith('.wasm'));
  return [
    { type: 'ESModule', path: join(BUILD, 'index.js') },
    ...wasm.map((name) => ({ type: 'CompiledWasm', path: join(BUILD, name) })),
  ];
}

/** wrangler announces on stdout that it has read .dev.vars, also where we then do not use it. */
function importWrangler() {
  process.env.WRANGLER_LOG ??= 'error';
  return import('wrangler');
}
