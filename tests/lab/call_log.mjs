// What the lab was asked and how each call ended.
//
// Callers may rely on: `n` counts up from 1 and never repeats; the newest `CALLS_MAX` calls are kept;
// keys in headers and URLs are cut to their last four characters; the hash and the size are those of the
// whole body, even where its text is not kept. Times ending in `_ms` count from the call's arrival,
// except `at_ms`, which is Unix time.
// Not here: who decides how a call ended (`reply.mjs`).

import { createHash } from 'node:crypto';

export const CALLS_MAX = 10_000;
/** How much of one body is kept as text. */
export const BODY_KEPT_BYTES_MAX = 1_048_576;
/** How much of all bodies is kept. Past this the oldest lose their text, so that a benchmark with large prompts does not fill the memory. */
const BODIES_KEPT_BYTES_MAX = 134_217_728;

export class CallLog {
  #calls = [];
  #last_n = 0;
  /** `{ call, bytes, sha256 }` of the calls whose bodies are kept, oldest first. */
  #bodies = [];
  #kept_bytes = 0;

  /** Enters a call as it arrives. The caller fills in the rest while it happens. */
  open(request) {
    this.#last_n += 1;
    const call = {
      n: this.#last_n,
      at_ms: Date.now(),
      method: request.method,
      path: withoutKey(request.url),
      dialect: null,
      model: null,
      stream: null,
      headers: withoutKeys(request.headers),
      body: null,
      body_bytes: 0,
      body_sha256: null,
      status: null,
      outcome: 'open',
      first_byte_ms: null,
      ended_ms: null,
      client_closed_ms: null,
    };
    this.#calls.push(call);
    // Dropping in bulk keeps the cost of a call constant.
    if (this.#calls.length >= 2 * CALLS_MAX) this.#calls = this.#calls.slice(-CALLS_MAX);
    return call;
  }

  /** Enters the body that a call brought, and returns its text. */
  keepBody(call, bytes) {
    const text = bytes.toString('utf8');
    const isLong = bytes.length > BODY_KEPT_BYTES_MAX;
    const kept = isLong ? Buffer.from(bytes.subarray(0, BODY_KEPT_BYTES_MAX)) : bytes;
    call.body_bytes = bytes.length;
    call.body = isLong ? kept.toString('utf8') : text;
    // A short body is hashed when somebody asks: a benchmark never does.
    if (isLong) call.body_sha256 = sha256(bytes);
    this.#bodies.push({ call, bytes: kept });
    this.#kept_bytes += kept.length;
    if (this.#kept_bytes > BODIES_KEPT_BYTES_MAX || this.#bodies.length > 2 * CALLS_MAX) this.#dropBodies();
    return text;
  }

  /** The calls after number `since`, oldest first, as plain copies. */
  list(since = 0) {
    for (const { call, bytes } of this.#bodies) call.body_sha256 ??= sha256(bytes);
    const newest = this.#calls.slice(-CALLS_MAX);
    return newest.filter((call) => call.n > since).map((call) => ({ ...call, headers: { ...call.headers } }));
  }

  clear() {
    this.#calls = [];
    this.#bodies = [];
    this.#kept_bytes = 0;
  }

  /** Drops the oldest bodies until half of what is allowed is left. */
  #dropBodies() {
    let at = 0;
    while (this.#kept_bytes > BODIES_KEPT_BYTES_MAX / 2 || this.#bodies.length - at > CALLS_MAX) {
      const { call, bytes } = this.#bodies[at];
      call.body_sha256 ??= sha256(bytes);
      call.body = null;
      this.#kept_bytes -= bytes.length;
      at += 1;
    }
    this.#bodies = this.#bodies.slice(at);
  }
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

function withoutKeys(headers) {
  const copy = { ...headers };
  for (const name of ['authorization', 'x-api-key', 'x-goog-api-key', 'x-amz-security-token']) {
    if (copy[name] !== undefined) copy[name] = String(copy[name]).slice(-4);
  }
  return copy;
}

/** Gemini takes a key in the URL. */
const withoutKey = (url) => url.replace(/([?&]key=)[^&]*?([^&]{0,4})(?=&|$)/, '$1$2');
