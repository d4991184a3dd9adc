// The systems that are compared, each as a process of its own: how it is started, asked, and what it counts.
//
// A started system is `{ address, pid, began_ms, headers, close }`, `began_ms` the instant at which its process was started;
// Waypost's also has `counts()`. The same upstream stands behind all of them. Not here: the peers (`peers.mjs`) and how anything is measured (`measure.mjs`).

import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/project.mjs';
import { startWorkerd } from '../../scripts/workerd.mjs';

const BUILD = join(ROOT, 'build');
const WORKERS = join(ROOT, 'benches', 'edge', 'workers');
const KEY = 'wp-bench-0123456789abcdef';

/** Every model that is asked for, by its name a route of Waypost. */
export const MODELS = ['json', 'lf-100x0', 'lf-100x10', 'crlf-100x10'];

export const FLOOR = { name: 'floor', title: 'pass-through worker (the floor)', start: startFloor };
/** The same again: how far two measurements of one thing lie apart. */
export const FLOOR_AGAIN = { name: 'floor_again', title: 'the floor again (noise)', start: startFloor };
export const WAYPOST = { name: 'waypost', title: 'Waypost', start: startWaypost };

/** Waypost from another `build/` folder, for the ratio of before and after. */
export function otherBuild(folder) {
  const start = (options) => startWaypost({ ...options, folder });
  return { name: 'other', title: 'Waypost, the other build', start };
}

export const EMPTY = { name: 'empty', title: 'empty worker', start: startEmpty };

/** A system without a process of its own: what the clients and the upstream do at best. */
export function direct(upstream) {
  const { port, pid } = upstream;
  const start = async () => ({ address: `127.0.0.1:${port}`, pid, headers: [], close: async () => {} });
  return { name: 'direct', title: 'upstream alone (the ceiling)', start };
}

async function startFloor({ upstream, prefix }) {
  const worker = await startWorkerd(
    { 'main.js': { path: join(WORKERS, 'pass_through.js') } },
    { prefix, bindings: [text('UPSTREAM', `http://127.0.0.1:${upstream.port}`)] },
  );
  return started(worker, []);
}

async function startEmpty({ prefix }) {
  return started(await startWorkerd({ 'main.js': { path: join(WORKERS, 'empty.js') } }, { prefix }), []);
}

/** The built Worker as it is deployed; KV and the queue are answered by a second Worker in the same process. */
async function startWaypost({ upstream, prefix, models = MODELS, folder = BUILD }) {
  const entries = JSON.stringify(entriesFor(upstream, models));
  const wasm = readdirSync(folder).filter((name) => name.endsWith('.wasm'));
  const worker = await startWorkerd(
    {
      'index.js': { path: join(folder, 'index.js') },
      ...Object.fromEntries(wasm.map((name) => [name, { path: join(folder, name) }])),
    },
    {
      prefix,
      bindings: [
        'name = "KV", kvNamespace = "stubs"',
        'name = "RECORDS", queue = "stubs"',
        'name = "HEALTH", queue = "stubs"',
        text('UPSTREAM_KEY', 'sk-bench'),
      ],
      beside: {
        stubs: {
          'stubs.js': { path: join(WORKERS, 'stubs.js') },
          'entries.js': `export default ${entries};`,
        },
      },
    },
  );
  const counts = async () => (await fetch(`${worker.urls.stubs}/counts`)).json();
  return { ...started(worker, [`authorization: Bearer ${KEY}`]), counts };
}

/** A route of three targets for each model, so that there is something to decide; all lead to the one upstream. */
function entriesFor(upstream, models) {
  const providers = {
    providers: {
      local: {
        dialect: 'openai-chat',
        base_url: `http://127.0.0.1:${upstream.port}/v1`,
        auth: { bearer: 'UPSTREAM_KEY' },
      },
    },
  };
  const route = (model) => ({
    targets: [1, 2, 3].map((place) => ({
      id: `t${place}`,
      provider: 'local',
      model,
      usd_per_mtok: { in: 0.1 * place, out: 0.4 * place },
    })),
    prefer: { price: 1, ttft: 0.5, reliability: 2 },
    temperature: 0.2,
    rules: [{ when: { tags: 'gold' }, prefer: { quality: 6 } }],
  });
  const key = createHash('sha256').update(KEY).digest('hex');
  const values = {
    providers,
    [`key:${key}`]: { name: 'bench' },
    ...Object.fromEntries(models.map((model) => [`route:${model}`, route(model)])),
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)]));
}

function text(name, value) {
  return `name = ${JSON.stringify(name)}, text = ${JSON.stringify(value)}`;
}

export function started({ url, pid, began_ms, close }, headers) {
  return { address: url.replace('http://', ''), pid, began_ms, headers, close };
}
