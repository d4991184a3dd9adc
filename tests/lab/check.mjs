// Checks of single values, as the tables in `script.mjs` and `fault.mjs` use them.
//
// A check takes a value and returns null, or what was expected instead, as a phrase that follows
// the word "expected". The tables turn that into a problem with its path.
// Not here: what a field means, and its default.

/** The longest wait a script may ask for: an hour is past every deadline a test would set. */
export const WAIT_MS_MAX = 3_600_000;

export const whole = (min, max) => (value) =>
  Number.isInteger(value) && value >= min && value <= max ? null : `a whole number from ${min} to ${max}`;

export const number = (min, max) => (value) =>
  typeof value === 'number' && value >= min && value <= max ? null : `a number from ${min} to ${max}`;

export const oneOf = (...valid) => (value) =>
  valid.includes(value) ? null : `one of ${valid.map((each) => JSON.stringify(each)).join(', ')}`;

export const bool = (value) => (typeof value === 'boolean' ? null : 'true or false');

export const text = (value) => (typeof value === 'string' ? null : 'a string');

/** A string that may travel in an HTTP header: a line break in it would be a second header. */
const headerText = (value) =>
  typeof value === 'string' && /^[\t\x20-\x7e]*$/.test(value) ? null : 'a string of printable ASCII';

export const secondsOrHeaderText = (value) =>
  number(0, 1e9)(value) === null || headerText(value) === null ? null : 'a number of seconds, or a string of printable ASCII';

export const keys = (value) => {
  const isKey = (each) => typeof each === 'string' && each !== '';
  return isKey(value) || (Array.isArray(value) && value.length > 0 && value.every(isKey))
    ? null
    : 'a key, or a list of keys';
};

export const orNull = (check) => (value) => {
  const expected = value === null ? null : check(value);
  return expected === null ? null : `${expected}, or null`;
};

export const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value as a message may show it: short, whatever was sent. */
export function shown(value) {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 60 ? `${json.slice(0, 59)}…` : json;
}

/**
 * Reads `value` by a table of `{ field: { default, check } }`. Returns every field, with defaults
 * filled in, and adds each problem found to `problems`.
 */
export function readFields(value, fields, path, problems) {
  const read = {};
  for (const [field, { default: fallback, check }] of Object.entries(fields)) {
    const given = Object.hasOwn(value, field) ? value[field] : undefined;
    read[field] = given === undefined ? fallback : given;
    const expected = given === undefined ? null : check(given);
    if (expected !== null) {
      problems.push({ path: `${path}.${field}`, message: `expected ${expected}, got ${shown(given)}` });
    }
  }
  for (const field of Object.keys(value)) {
    if (!Object.hasOwn(fields, field)) {
      problems.push({ path: `${path}.${field}`, message: 'is not a known field', valid: Object.keys(fields) });
    }
  }
  return read;
}
