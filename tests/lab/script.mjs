// A script: how the lab answers calls for one model. The fields, their defaults and their checks.
//
// `parseScript` returns a frozen script with every field present, or throws a `ScriptError` that
// names each wrong field and the valid ones. Nothing else in the lab checks a script again.
// Not here: which script a call gets (`script_book.mjs`), and what a fault takes (`fault.mjs`).

import { bool, isRecord, keys, number, oneOf, orNull, readFields, shown, text, whole, WAIT_MS_MAX } from './check.mjs';
import { parseFault } from './fault.mjs';

const TOKENS_MAX = 1_000_000;
const anything = () => null;

/** Every field of a script. README.md has the same table with its meanings. */
export const SCRIPT_FIELDS = {
  headers_ms: { default: 0, check: whole(0, WAIT_MS_MAX) },
  ttft_ms: { default: 30, check: whole(0, WAIT_MS_MAX) },
  tokens_per_s: { default: 200, check: number(0, TOKENS_MAX) },
  tokens: { default: 24, check: whole(0, TOKENS_MAX) },
  text: { default: null, check: orNull(text) },
  reasoning_tokens: { default: 0, check: whole(0, TOKENS_MAX) },
  keepalive_ms: { default: null, check: orNull(whole(1, WAIT_MS_MAX)) },
  line_ending: { default: 'lf', check: oneOf('lf', 'crlf') },
  chunking: { default: 'event', check: oneOf('event', 'byte', 'split') },
  fault: { default: null, check: anything },
  flap: { default: null, check: anything },
  usage: { default: true, check: bool },
  cached_tokens: { default: 0, check: whole(0, TOKENS_MAX) },
  auth: { default: null, check: orNull(keys) },
};

const FLAP_FIELDS = {
  up_ms: { default: undefined, check: whole(1, WAIT_MS_MAX) },
  down_ms: { default: undefined, check: whole(1, WAIT_MS_MAX) },
  phase_ms: { default: 0, check: whole(0, 2 * WAIT_MS_MAX) },
};

/** Somebody wrote a script that cannot be followed. */
export class ScriptError extends Error {
  constructor(problems) {
    super(problems.map(sentence).join('; '));
    this.name = 'ScriptError';
    /** `[{ path, message, valid? }]`, one for each thing that is wrong. */
    this.problems = problems;
  }
}

/** A script as given -> a script with every field, or a `ScriptError`. */
export function parseScript(value, path = 'script') {
  const problems = [];
  const script = readScript(value, path, problems);
  if (problems.length > 0) throw new ScriptError(problems);
  return script;
}

/** A map from model to script -> a `Map` of the same, or a `ScriptError` with every problem in it. */
export function parseScripts(value) {
  if (!isRecord(value)) {
    throw new ScriptError([{ path: 'scripts', message: `expected an object from model to script, got ${shown(value)}` }]);
  }
  const problems = [];
  const scripts = new Map();
  for (const [model, each] of Object.entries(value)) {
    scripts.set(model, readScript(each, `scripts[${JSON.stringify(model)}]`, problems));
  }
  if (problems.length > 0) throw new ScriptError(problems);
  return scripts;
}

function readScript(value, path, problems) {
  if (!isRecord(value)) {
    problems.push({ path, message: `expected an object, got ${shown(value)}`, valid: Object.keys(SCRIPT_FIELDS) });
    return null;
  }
  const script = readFields(value, SCRIPT_FIELDS, path, problems);
  if (script.fault !== null) script.fault = parseFault(script.fault, `${path}.fault`, problems);
  if (script.flap !== null) script.flap = readFlap(script.flap, `${path}.flap`, problems);
  if (typeof script.auth === 'string') script.auth = [script.auth];
  return Object.freeze(script);
}

function readFlap(value, path, problems) {
  if (!isRecord(value)) {
    problems.push({ path, message: `expected null or an object, got ${shown(value)}`, valid: Object.keys(FLAP_FIELDS) });
    return null;
  }
  const flap = readFields(value, FLAP_FIELDS, path, problems);
  for (const field of ['up_ms', 'down_ms']) {
    if (flap[field] === undefined) {
      problems.push({ path: `${path}.${field}`, message: 'is required', valid: Object.keys(FLAP_FIELDS) });
    }
  }
  return Object.freeze(flap);
}

function sentence({ path, message, valid }) {
  return valid === undefined ? `${path}: ${message}` : `${path}: ${message} (valid: ${valid.join(', ')})`;
}
