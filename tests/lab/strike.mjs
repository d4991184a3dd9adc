// What each fault does on the wire.
//
// `INSTEAD` has the faults that replace the answer, `MIDSTREAM` those that strike between two tokens
// of a stream, `UNSTREAMED` those that spoil a body sent in one piece, and `reshape` changes what is
// said. A fault that means nothing for a call (an end marker in an unstreamed answer) leaves it
// alone, and the call's outcome is then 'complete'. Every deed here blames its fault first.
// Not here: which call a fault hits (`script_book.mjs`), and the sound answer (`perform.mjs`).

import { hollowAnswer } from './answer.mjs';
import { requestIdOf } from './endpoints.mjs';

/** So that the headers are read before the reset, which lets a client's system drop what it holds. */
const RESET_AFTER_MS = 20;
const FILLING_BYTES = 65_536;
const EMPTY_EVENTS_PER_WRITE = 128;
/** A token's own text in an event of any dialect, up to its closing quote. */
const TOKEN_TEXT = /"(?:content|reasoning_content|text|thinking|arguments|partial_json|delta|input)":"(?:[^"\\]|\\.)+(?=")/;
const COMMENT = ': still here\n\n';
const HTML_PAGE = '<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n';

/** `turn` is `{ reply, dialect, request, script, call, fault, headers }`; see `perform.mjs`. */
export const INSTEAD = {
  refuse: ({ reply }) => reply.destroy(),
  reset: ({ reply }) => reply.reset(),
  async reset_after_headers({ reply, headers }) {
    reply.head(200, headers);
    await reply.waitUntil(reply.elapsedMs() + RESET_AFTER_MS);
    reply.reset();
  },
  silence: ({ reply }) => reply.waitForever(),
  silence_after_headers({ reply, headers }) {
    reply.head(200, headers);
    return reply.waitForever();
  },
  status(turn) {
    const { fault } = turn;
    const headers = {};
    const isInBody = turn.dialect.tellsRetryInBody && typeof fault.retry_after === 'number';
    if (fault.retry_after !== null && !isInBody) headers['retry-after'] = String(fault.retry_after);
    if (fault.retry_after_ms !== null) headers['retry-after-ms'] = String(fault.retry_after_ms);
    fail(turn, { ...failureOf(fault, fault.status), retry_after_s: isInBody ? fault.retry_after : null }, headers);
  },
  context_too_long(turn) {
    const { dialect, fault, request } = turn;
    const tokens = Math.max(request.prompt_tokens, fault.limit_tokens + 1);
    fail(turn, dialect.contextTooLong(tokens, fault.limit_tokens));
  },
  html: ({ reply }) => reply.whole(200, { 'content-type': 'text/html; charset=utf-8' }, HTML_PAGE),
  redirect: ({ reply }) => reply.whole(302, { location: '/lab/elsewhere', 'content-type': 'text/plain' }, 'Found\n'),
  async comments_forever({ reply, dialect, fault, request, headers }) {
    reply.head(200, headers);
    for (;;) {
      // In a body of JSON, white space is the only thing that says nothing.
      await reply.write(request.stream ? reply.wire(dialect.comment ?? COMMENT) : '\n');
      if (fault.interval_ms > 0) await reply.waitUntil(reply.elapsedMs() + fault.interval_ms);
      else await reply.yield();
    }
  },
  prefill_refused(turn) {
    fail(turn, {
      status: 400,
      message: 'This model does not support assistant message prefill. The conversation must end with a user message.',
      code: null,
    });
  },
};

/** Whether a fault in `INSTEAD` applies to this request. */
export function replaces({ kind }, request) {
  if (kind === 'prefill_refused') return request.last_role === 'assistant';
  return Object.hasOwn(INSTEAD, kind);
}

/**
 * `next` is the step that is due. Each resolves to the events to go on with instead of it, or to
 * nothing if the answer ends here.
 */
export const MIDSTREAM = {
  async cut({ reply }) {
    await reply.flushed();
    reply.destroy();
  },
  async cut_mid_event({ reply }, next) {
    const bytes = Buffer.from(reply.wire(next[0]));
    await reply.write(bytes.subarray(0, bytes.length >> 1));
    await reply.flushed();
    reply.destroy();
  },
  cut_clean: async ({ reply }) => reply.end(),
  stall: ({ reply }) => reply.waitForever(),
  async error_event({ reply, dialect, fault, call }) {
    await reply.send([dialect.errorEvent(failureOf(fault, 529), call)]);
    reply.end();
  },
  async garbled({ reply, dialect, fault, request, call }, next) {
    await reply.send([dialect.garbledEvent(request, call)]);
    if (fault.ends) return next;
    reply.end();
    return undefined;
  },
  async big_line({ reply, fault }, next) {
    const text = reply.isFramed ? next.join('') : reply.wire(next.join(''));
    // The filling goes to the end of the token's own text, so that the event stays sound.
    const place = TOKEN_TEXT.exec(text);
    if (place === null) return next;
    const at = place.index + place[0].length;
    // A binary message tells its length and its checksum, so it is made at once.
    if (reply.isFramed) {
      await reply.write(reply.wire(`${text.slice(0, at)}${'x'.repeat(Math.max(0, fault.bytes - Buffer.byteLength(text)))}${text.slice(at)}`));
      return [];
    }
    const line = text.slice(text.lastIndexOf('\n', at) + 1, text.indexOf('\n', at)).trimEnd();
    await reply.write(text.slice(0, at));
    await fill(reply, fault.bytes - Buffer.byteLength(line));
    await reply.write(text.slice(at));
    return [];
  },
  async empty_events_forever({ reply, dialect, fault, request, call }) {
    const { before, event } = dialect.emptyEvent(request, call);
    await reply.send(before);
    for (let left = fault.events; left > 0; left -= EMPTY_EVENTS_PER_WRITE) {
      await reply.write(reply.wire(event.repeat(Math.min(left, EMPTY_EVENTS_PER_WRITE))));
      await reply.yield();
    }
    reply.end();
  },
};

/** Each gets the sound body, and sends something else. */
export const UNSTREAMED = {
  cut: truncated,
  cut_mid_event: truncated,
  cut_clean: ({ reply, headers }, body) => reply.whole(200, headers, half(body)),
  async stall({ reply, headers }, body) {
    reply.head(200, headers);
    await reply.write(half(body));
    await reply.waitForever();
  },
  error_event(turn) {
    const { reply, dialect, fault, call, headers } = turn;
    reply.whole(200, headers, JSON.stringify(dialect.errorBody(failureOf(fault, 529), call)));
  },
  // These four characters are an error wherever they fall, inside a string or between two values.
  garbled: ({ reply, headers }, body) => reply.whole(200, headers, `${half(body)}"}{"${body.slice(body.length >> 1)}`),
  async big_body({ reply, fault, headers }, body) {
    const place = /"(?:content|text)":"/.exec(body);
    const at = place === null ? 1 : place.index + place[0].length;
    const rest = fault.bytes - Buffer.byteLength(body);
    reply.head(200, { ...headers, 'content-length': String(Buffer.byteLength(body) + Math.max(0, rest)) });
    await reply.write(body.slice(0, at));
    await fill(reply, rest, place === null ? ' ' : 'x');
    reply.end(body.slice(at));
  },
};

/** What is said under a fault that concerns the words alone; null if this one does not. */
export function reshape({ kind }, request) {
  if (kind === 'empty') return hollowAnswer('stop', request.n);
  return kind === 'content_filter' ? hollowAnswer('filter', request.n) : null;
}

async function truncated({ reply, headers }, body) {
  reply.head(200, { ...headers, 'content-length': String(Buffer.byteLength(body)) });
  await reply.write(half(body));
  await reply.flushed();
  reply.destroy();
}

const half = (body) => body.slice(0, body.length >> 1);

async function fill(reply, bytes, letter = 'x') {
  const filling = Buffer.alloc(FILLING_BYTES, letter);
  for (let left = bytes; left > 0; left -= FILLING_BYTES) await reply.write(filling.subarray(0, Math.min(left, FILLING_BYTES)));
}

const failureOf = ({ message, error_type, error_code }, status) =>
  ({ status, message, type: error_type, code: error_code ?? undefined });

function fail({ reply, dialect, call }, failure, headers = {}) {
  const own = { 'content-type': 'application/json', ...requestIdOf(dialect, call), ...dialect.errorHeaders?.(failure) };
  reply.whole(failure.status, { ...own, ...headers }, JSON.stringify(dialect.errorBody(failure, call)));
}
