// The provider's HTTP side: whether the request is in order, and then the answer.
//
// Callers may rely on: each request ends up in the log, also those to unknown paths; what the lab
// refuses, it refuses in the shape of the dialect that was spoken. The order is: JSON, script, key,
// request, fault, answer. A request that the real API would refuse is therefore refused even where a
// fault is due, so that a caller's mistake cannot hide behind one.
// Not here: the listening (`listener.mjs`), which path is whose (`endpoints.mjs`) and the answer (`perform.mjs`).

import { isRecord } from './check.mjs';
import { readCountRequest } from './dialects/anthropic_request.mjs';
import { anthropic } from './dialects/anthropic.mjs';
import { endpointOf, requestIdOf } from './endpoints.mjs';
import { perform } from './perform.mjs';
import { hash32, seeded } from './random.mjs';
import { Refused } from './refused.mjs';
import { GONE, Reply } from './reply.mjs';
import { ScriptError } from './script.mjs';

/** Twice what Anthropic's API takes. */
const BODY_BYTES_MAX = 67_108_864;
/** Models that are listed even where no script names one. */
export const DEFAULT_MODELS = ['lab-small', 'lab-large'];

const STREAM_TYPE = 'text/event-stream; charset=utf-8';
const WHOLE_HEADERS = { 'content-type': 'application/json' };

export class Provider {
  #name;
  #seed;
  #book;
  #log;
  #isDown;
  #ids;

  constructor({ name, seed, book, log, isDown }) {
    this.#name = name;
    this.#seed = seed;
    this.#book = book;
    this.#log = log;
    this.#isDown = isDown;
    this.#ids = name.replace(/[^A-Za-z0-9]/g, '');
  }

  async serve(req, res) {
    const call = this.#log.open(req);
    const reply = new Reply(res, call, this.#isDown);
    const endpoint = endpointOf(req.url, req.headers);
    const { dialect } = endpoint;
    call.dialect = dialect.name;
    const ids = this.#idsOf(call, dialect);
    try {
      await this.#answer({ req, reply, call, endpoint, ids });
    } catch (error) {
      if (error !== GONE) refuse(error, { req, reply, dialect, ids });
    }
  }

  async #answer({ req, reply, call, endpoint, ids }) {
    const { path, dialect, isKnown } = endpoint;
    const route = `${req.method} ${path}`;
    if (route === 'GET /models') return reply.whole(200, WHOLE_HEADERS, JSON.stringify(this.#models(dialect)));
    const bytes = await readBody(req);
    const text = this.#log.keepBody(call, bytes);
    const isCount = route === 'POST /messages/count_tokens';
    if (!isCount && !(req.method === 'POST' && isKnown)) {
      throw new Refused(404, `Invalid URL (${req.method} ${req.url})`, { code: 'unknown_url' });
    }
    const body = parseBody(text);
    const model = endpoint.model ?? (typeof body.model === 'string' ? body.model : '');
    Object.assign(call, { model, stream: endpoint.stream ?? body.stream === true });
    ids.model = model;
    const entry = this.#book.find(model, req.headers['x-lab-script']);
    checkKey(dialect, entry.script, req.headers, endpoint);
    if (isCount) {
      const { prompt_tokens } = readCountRequest(body, req.headers);
      return reply.whole(200, WHOLE_HEADERS, JSON.stringify({ input_tokens: prompt_tokens }));
    }
    const request = dialect.read(body, req.headers, endpoint);
    const { script } = entry;
    const fault = this.#book.dueFault(entry, model, request.stream);
    reply.format(this.#formatOf(dialect, request, script, text));
    const headers = { ...headersOf(dialect, request), ...requestIdOf(dialect, ids) };
    // Where the path names the model and the kind of answer, the body alone is not all that was asked.
    const asked = endpoint.model === undefined ? text : `${path} ${text}`;
    return perform({ reply, dialect, request, script, fault, call: ids, headers, body: asked, memo: entry.memo }, this.#name);
  }

  #formatOf(dialect, request, script, text) {
    return {
      line_ending: script.line_ending,
      chunking: script.chunking,
      keepalive: dialect.keepalive,
      keepalive_ms: request.stream ? script.keepalive_ms : null,
      random: script.chunking === 'split' ? seeded(this.#seed ^ hash32(text)) : null,
      frame: request.stream ? dialect.frame ?? null : null,
    };
  }

  /** What one answer calls itself. */
  #idsOf({ n, at_ms }, dialect) {
    const suffix = `${this.#ids}${String(n).padStart(8, '0')}`;
    return {
      suffix,
      id: `${dialect.idPrefix}${suffix}`,
      request_id: `req_${suffix}`,
      created: Math.floor(at_ms / 1000),
      model: '',
    };
  }

  #models(dialect) {
    const ids = [...new Set([...this.#book.models(), ...DEFAULT_MODELS])];
    if (dialect !== anthropic) {
      return { object: 'list', data: ids.map((id) => ({ id, object: 'model', created: 0, owned_by: this.#name })) };
    }
    const data = ids.map((id) => ({ type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' }));
    return { data, has_more: false, first_id: ids[0], last_id: ids.at(-1) };
  }
}

function headersOf(dialect, request) {
  return request.stream ? { 'content-type': dialect.streamType ?? STREAM_TYPE, 'cache-control': 'no-cache' } : WHOLE_HEADERS;
}

function readBody(req) {
  return new Promise((resolve, reject) => {
    const parts = [];
    let bytes = 0;
    req.on('data', (part) => {
      bytes += part.length;
      if (bytes <= BODY_BYTES_MAX) parts.push(part);
    });
    req.on('end', () => {
      if (bytes > BODY_BYTES_MAX) reject(new Refused(413));
      else resolve(parts.length === 1 ? parts[0] : Buffer.concat(parts));
    });
    // The only error there is: the connection ended before the body did.
    req.on('error', () => reject(GONE));
  });
}

function parseBody(text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new Refused(400, `We could not parse the JSON body of your request: ${error.message}`);
  }
  if (!isRecord(body)) throw new Refused(400, 'We expected the JSON body of your request to be an object.');
  return body;
}

/** Without keys in the script any key will do, and none at all where the dialect's router always has one to show. */
function checkKey(dialect, { auth }, headers, endpoint) {
  if (auth === null && !dialect.isKeyNeeded) return;
  const key = dialect.keyOf(headers, endpoint);
  if (key !== null && (auth === null || auth.includes(key))) return;
  const { status, message, code, type } = dialect.unauthorized(key);
  throw new Refused(status, message, { code, type });
}

/** Says no, in the caller's dialect. What is neither a refusal nor a wrong script is a bug of the lab's. */
function refuse(error, { req, reply, dialect, ids }) {
  const failure = error instanceof Refused ? error.failure
    : error instanceof ScriptError ? { status: 400, message: error.message, type: 'lab_script_error', code: null }
      : { status: 500, message: `the lab has a bug: ${error?.stack}`, type: 'lab_bug', code: null };
  if (failure.type === 'lab_bug') console.error(failure.message);
  try {
    reply.refused();
    const headers = { ...WHOLE_HEADERS, ...requestIdOf(dialect, ids), ...dialect.errorHeaders?.(failure) };
    reply.whole(failure.status, headers, req.method === 'HEAD' ? '' : JSON.stringify(dialect.errorBody(failure, ids)));
  } catch {
    // The client has gone, or the answer had begun: there is no way left to say it.
    reply.destroy();
  }
}
