// The faults a script may name: which exist, which fields each takes, and their defaults.
//
// `parseFault` returns a fault with every field of its kind present, so that the code which acts on
// it asks no questions. README.md says what each does on the wire.
// Not here: when a fault is due (`script_book.mjs`), and the deed itself (`strike.mjs`).

import { bool, isRecord, number, oneOf, orNull, readFields, secondsOrHeaderText, shown, text, whole, WAIT_MS_MAX } from './check.mjs';

const COUNT_MAX = 1_000_000_000;
/** A quarter of a gigabyte: enough to find any limit, and still a body that Node can build. */
const BYTES_MAX = 256_000_000;

/** Which calls a fault hits. Every kind takes these. */
const WHEN = {
  times: { default: null, check: orNull(whole(1, COUNT_MAX)) },
  every: { default: 1, check: whole(1, COUNT_MAX) },
  after: { default: 0, check: whole(0, COUNT_MAX) },
  probability: { default: 1, check: number(0, 1) },
  streams_only: { default: false, check: bool },
};

const afterTokens = (tokens) => ({ after_tokens: { default: tokens, check: whole(0, COUNT_MAX) } });
const bytes = { bytes: { default: 12_000_000, check: whole(1_000, BYTES_MAX) } };
/** What an error says. Null means: as the dialect's own API says it for that status. */
const saying = {
  error_type: { default: null, check: orNull(text) },
  error_code: { default: null, check: orNull(text) },
  message: { default: null, check: orNull(text) },
};

/** Every kind, with the fields that it takes beside those in `WHEN`. */
export const FAULT_KINDS = {
  refuse: {},
  reset: {},
  reset_after_headers: {},
  silence: {},
  silence_after_headers: {},
  cut: afterTokens(5),
  cut_clean: afterTokens(5),
  cut_mid_event: afterTokens(5),
  stall: afterTokens(5),
  error_event: { ...afterTokens(5), ...saying },
  garbled: { ...afterTokens(5), ends: { default: true, check: bool } },
  no_end: { closes: { default: true, check: bool } },
  no_finish: {},
  empty: {},
  status: {
    status: { default: 500, check: whole(400, 599) },
    retry_after: { default: null, check: orNull(secondsOrHeaderText) },
    retry_after_ms: { default: null, check: orNull(number(0, WAIT_MS_MAX)) },
    ...saying,
  },
  context_too_long: { limit_tokens: { default: 8192, check: whole(1, COUNT_MAX) } },
  content_filter: {},
  html: {},
  wrong_type: {},
  redirect: {},
  big_line: { ...afterTokens(0), ...bytes },
  comments_forever: { interval_ms: { default: 10, check: whole(0, WAIT_MS_MAX) } },
  empty_events_forever: { events: { default: 1_000_000, check: whole(1, COUNT_MAX) } },
  big_body: bytes,
  prefill_refused: {},
};

/** Reads a fault, or adds what is wrong with it to `problems`. */
export function parseFault(value, path, problems) {
  if (!isRecord(value)) {
    problems.push({ path, message: `expected null or an object with a "kind", got ${shown(value)}` });
    return null;
  }
  const kinds = Object.keys(FAULT_KINDS);
  if (typeof value.kind !== 'string' || !Object.hasOwn(FAULT_KINDS, value.kind)) {
    problems.push({ path: `${path}.kind`, message: `is not a known fault: ${shown(value.kind)}`, valid: kinds });
    return null;
  }
  const fields = { kind: { default: null, check: oneOf(...kinds) }, ...FAULT_KINDS[value.kind], ...WHEN };
  return Object.freeze(readFields(value, fields, path, problems));
}
