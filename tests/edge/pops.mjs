// Several data centres in one Miniflare: the built Worker once per isolate, each behind a module that says where it is
// and stands between it and KV.
//
// What the consumer puts into KV is there for readers only `kv_lag_ms` later, as in the real one. A call to
// `/__test/kv?is=refusing` (or `hanging`, `sound`) sets what KV and the queue of reports do to an isolate. All isolates share one
// cache, as those of one data centre do; the Worker keeps data centres apart by name.
// A caller names the isolate in the header `x-isolate`. Not here: KV's own cache at each place.

import { edgeWorker } from '../../scripts/edge.mjs';
import { REFRESH_MS } from './world.mjs';

const FRONT = `export default {
  fetch(request, env) {
    return env[request.headers.get('x-isolate')].fetch(request);
  },
};`;

const WRAPPER = `import Edge from './index.js';

const HANG_MS = 2_000;
let kv_is = 'sound';
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const isOfHealth = (entry) => entry === 'health' || entry.startsWith('health:');

async function stumble() {
  if (kv_is === 'refusing') throw new Error('refused');
  if (kv_is === 'hanging') await sleep(HANG_MS);
}

function behind(env, ctx) {
  const call = (name) => async (...args) => {
    await stumble();
    if (name !== 'put' || !isOfHealth(args[0])) return env.KV[name](...args);
    ctx.waitUntil(sleep(env.KV_LAG_MS).then(() => env.KV.put(...args)));
  };
  const names = ['get', 'getWithMetadata', 'put', 'list', 'delete'];
  const HEALTH = { send: (...args) => stumble().then(() => env.HEALTH.send(...args)) };
  return { ...env, HEALTH, KV: Object.fromEntries(names.map((name) => [name, call(name)])) };
}

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === '/__test/kv') {
      kv_is = url.searchParams.get('is');
      return new Response(kv_is);
    }
    return new Edge(ctx, behind(env, ctx)).fetch(new Request(request, { cf: env.PLACE }));
  },
  queue(batch, env, ctx) {
    return new Edge(ctx, behind(env, ctx)).queue(batch);
  },
};`;

/**
 * The options of `startWorld` for isolates `{ name: { colo, continent } }`. One more Worker consumes the queues.
 */
export async function popsOptions(isolates, { kv_lag_ms }) {
  const plain = await edgeWorker();
  const [index] = plain.modules;
  const wrapper = { type: 'ESModule', path: index.path.replace(/index\.js$/, 'pops.js'), contents: WRAPPER };
  const bindings = { WAYPOST_LOCAL: '1', REFRESH_MS: String(REFRESH_MS), KV_LAG_MS: kv_lag_ms };
  const worker = (name, place, options = {}) => ({
    ...plain,
    modules: [wrapper, ...plain.modules],
    name,
    bindings: { ...plain.bindings, ...bindings, PLACE: place },
    ...options,
  });
  const names = Object.keys(isolates);
  return {
    overrides: {
      modules: [{ type: 'ESModule', path: index.path.replace(/index\.js$/, 'front.js'), contents: FRONT }],
      queueConsumers: {},
      serviceBindings: Object.fromEntries(names.map((name) => [name, name])),
    },
    extraWorkers: [
      worker('consumer', { colo: 'CON', continent: 'EU' }),
      ...names.map((name) => worker(name, isolates[name], { queueConsumers: {} })),
    ],
  };
}
