// The world of one edge test: the built Worker in workerd, and labs that it calls.
//
// Everything is real: sockets on loopback, the npm SDK, KV, the queue, R2 and D1. A test makes a route of its
// own with `route`, so that no test meets the health that another one left behind.
// Nothing sleeps for a fixed time: what takes a while is polled with `until`, which fails at its deadline.
// Not here: what a lab can do (tests/lab/README.md), and how a stream is read (`hear.mjs`).

import OpenAI from 'openai';

import { startEdge } from '../../scripts/edge.mjs';
import { startLab } from '../lab/lab.mjs';

export const KEY = 'wp-demo';
export const ADMIN_KEY = 'wp-admin';
/** How old an entry may grow in these tests before it is read again. */
export const REFRESH_MS = 200;

const UNTIL_MS = 10_000;
/** A call that takes longer fails, so that a test which waits for ever does not hold up the others. */
const CALL_MS = 20_000;
const POLL_MS = 20;
/** Looking for a record is a query of D1 and a read of R2, and records take a second to arrive. */
const RECORD_POLL_MS = 150;
/** No wait, and the whole answer in one write. */
const AT_ONCE = { ttft_ms: 0, tokens_per_s: 0 };

const BEARER = { bearer: 'LAB_KEY' };
/**
 * Each lab is a provider `<name><suffix>` in each of these dialects: where the API is below the lab's URL, and how a key is shown.
 * `LAB_KEY` and `LAB_AWS_KEYS` are bindings.
 */
const PROVIDERS = {
  'openai-chat': { suffix: '', base: '/v1', auth: 'none' },
  'openai-responses': { suffix: '-responses', base: '/v1', auth: 'none' },
  anthropic: { suffix: '-anthropic', base: '/v1', auth: 'none' },
  gemini: { suffix: '-gemini', base: '/v1beta', auth: { header: { name: 'x-goog-api-key', secret: 'LAB_KEY' } } },
  cohere: { suffix: '-cohere', base: '/v2', auth: BEARER },
  bedrock: { suffix: '-bedrock', base: '', auth: { aws_sigv4: { secret: 'LAB_AWS_KEYS', region: 'eu-central-1' } } },
};
const KEYS = { LAB_KEY: 'lab-key', LAB_AWS_KEYS: 'AKIDLAB:lab-secret' };

/**
 * Starts the labs and the edge.
 *
 * - `labs`: their names; each is a provider in every dialect (`PROVIDERS`)
 * - `providers`: more of the `providers` entry, or other fields for those
 * - `isLocal`: whether `wp-demo` and `wp-admin` are keys
 * - `bindings`: more variables and secrets of the Worker
 * - `persist`, `extraWorkers`: as `startEdge` takes them
 */
export async function startWorld({ labs: names = ['first', 'second'], providers = {}, isLocal = true, bindings = {}, ...options } = {}) {
  const labs = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await startLab({ name })])));
  const local = isLocal ? { WAYPOST_LOCAL: '1' } : {};
  const world = new World(labs, { ...options, bindings: { ...local, ...KEYS, REFRESH_MS: String(REFRESH_MS), ...bindings } });
  try {
    await world.startEdge();
    world.providers = { ...Object.assign({}, ...Object.values(labs).map(providersOf)), ...providers };
    await world.put('providers', { providers: world.providers });
    return world;
  } catch (error) {
    await world.close();
    throw error;
  }
}

class World {
  #routes = 0;
  #options;
  #edge;

  constructor(labs, options) {
    this.labs = labs;
    /** What the Worker wrote to its console. */
    this.logs = [];
    this.#options = options;
  }

  async startEdge() {
    this.#edge = await startEdge({ ...this.#options, log: (level, message) => this.logs.push(`${level}: ${message}`) });
    this.url = this.#edge.url;
    this.mf = this.#edge.mf;
  }

  /** Ends the edge and starts another on what it left behind, if `persist` is set. */
  async restartEdge() {
    await this.#edge.close();
    await this.startEdge();
  }

  /** The npm SDK as a caller sets it up. It does not retry: a test wants the first answer. */
  openai(options = {}) {
    return new OpenAI({ baseURL: `${this.url}/v1`, apiKey: KEY, maxRetries: 0, timeout: CALL_MS, ...options });
  }

  /** `fetch` with the demo key. */
  fetch(path, { headers, ...init } = {}) {
    const signal = AbortSignal.timeout(CALL_MS);
    return fetch(this.url + path, { ...init, signal, headers: { authorization: `Bearer ${KEY}`, ...headers } });
  }

  /** Sends JSON; a string is sent as it is. */
  post(path, body, headers = {}) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return this.fetch(path, { method: 'POST', body: text, headers: { 'content-type': 'application/json', ...headers } });
  }

  /** Puts a KV entry, as an operator would past all checks; null deletes it. */
  async put(entry, value) {
    const kv = await this.mf.getKVNamespace('KV');
    if (value === null) return kv.delete(entry);
    return kv.put(entry, typeof value === 'string' ? value : JSON.stringify(value));
  }

  /**
   * Puts a route with models that no other route has, and returns its name. A target is
   * `{ lab, dialect?, script?, …terms }`; the first is always tried first.
   */
  async route(targets, fields = {}) {
    this.#routes += 1;
    const name = `route-${this.#routes}`;
    const resolved = targets.map((target, place) => this.#target(name, target, place));
    await this.put(`route:${name}`, { targets: resolved, temperature: 0, ...fields });
    return name;
  }

  #target(route, { lab, dialect = 'openai-chat', script = {}, ...terms }, place) {
    const model = `${route}-${place}`;
    this.labs[lab].setScript(model, { ...AT_ONCE, ...script });
    return { id: lab, provider: `${lab}${PROVIDERS[dialect].suffix}`, model, weight: 2 ** -place, ...terms };
  }

  /** What a lab was asked for a route's models. */
  calls(lab, route) {
    return this.labs[lab].calls().filter(({ model }) => model?.startsWith(`${route}-`));
  }

  admin(path) {
    return this.fetch(`/admin/api${path}`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  }

  /** An exchange's record, as soon as the admin API has it. */
  record(id) {
    return until(`record ${id}`, async () => {
      const response = await this.admin(`/records/${id}`);
      return response.status === 200 ? response.json() : undefined;
    }, { every_ms: RECORD_POLL_MS });
  }

  /** The newest records, at most `limit`, as soon as there are `count`. */
  records(count, limit = count) {
    return until(`${count} records`, async () => {
      const { records } = await (await this.admin(`/records?limit=${limit}`)).json();
      return records.length >= count ? records : undefined;
    }, { every_ms: RECORD_POLL_MS });
  }

  async close() {
    await Promise.all([this.#edge?.close(), ...Object.values(this.labs).map((lab) => lab.close())]);
  }
}

function providersOf({ name, url }) {
  const rows = Object.entries(PROVIDERS);
  return Object.fromEntries(rows.map(([dialect, { suffix, base, auth }]) => [`${name}${suffix}`, { dialect, base_url: `${url}${base}`, auth }]));
}

/** Asks `probe` until it gives something else than undefined or false, and returns that. */
export async function until(what, probe, { within_ms = UNTIL_MS, every_ms = POLL_MS } = {}) {
  const deadline_ms = performance.now() + within_ms;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline_ms) throw new Error(`waited ${within_ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, every_ms));
  }
}
