// The rows of the catalogue: what each may hold, how two sets of them become one, and how they are written.
//
// `check` finds every problem at once, each with its path. The names that dialect code knows (dialects, quirks,
// abilities, data policies) are read from the Rust that defines them, so that this list cannot fall behind.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { nearest } from '../flags.mjs';
import { ROOT } from '../project.mjs';

/** Dollars per million tokens, and tokens that a `u32` holds. */
const USD_MAX = 100_000;
const TOKENS_MAX = 2 ** 32 - 1;

/** Each price's name in a row, in the order in which a row has them. */
export const PRICES = ['in', 'in_cached', 'cache_write', 'in_audio', 'in_image', 'out', 'reasoning'];

/** Names as configs spell them, each with its Rust variant. */
export const NAMES = {
  dialect: variants('src/dialects/mod.rs', /Self::(\w+) => "([a-z-]+)"/g, { isSwapped: true }),
  quirk: variants('src/dialects/quirk.rs', /\("([a-z_]+)", Self::(\w+)\)/g),
  policy: variants('src/providers/mod.rs', /\("([a-z_]+)", Self::(\w+)\)/g),
  ability: variants('src/providers/mod.rs', /"([a-z_]+)" => Some\(Self::(\w+)\)/g),
};

const PROVIDER = {
  name: required(matching(/^[a-z0-9][a-z0-9-]*$/, 'small letters, digits and `-`')),
  dialect: required(oneOf('dialect')),
  base_url: required(baseUrl),
  auth: required(auth),
  region: optional(matching(/^[a-z]+$/, 'small letters, such as `eu`')),
  region_source: optional(page),
  data_policy: optional(oneOf('policy')),
  data_policy_source: optional(page),
  data_policy_read: optional(day),
  quirks: optional(quirks),
  source: required(page),
  read: required(day),
};

const MODEL = {
  name: required(matching(/^[^/]+\/.+$/, '`provider/model`')),
  context_tokens: required(whole),
  usd_per_mtok: required(prices),
  can: required(abilities),
  as_of: required(day),
  source: required(page),
};

/** Quirks that contradict one another: which name of a limit is the only one. */
const LIMITS = ['max_completion_tokens', 'max_tokens_only'];

/** What must stand beside a fact. */
const TOGETHER = [
  ['region', 'region_source'],
  ['data_policy', 'data_policy_source'],
  ['data_policy', 'data_policy_read'],
];

/** Every problem of a catalogue, or of an update that models of `known` providers may be in. */
export function check(catalogue, known = []) {
  const problems = [];
  const note = (path, expected, got) => problems.push({ path, expected, got: shown(got) });
  if (!isObject(catalogue)) {
    note('(file)', 'an object with `providers` and `models`', catalogue);
    return problems;
  }
  for (const name of Object.keys(catalogue)) {
    if (!['providers', 'models'].includes(name)) note(name, 'one of providers, models', name);
  }
  const providers = rowsOf(catalogue, 'providers', PROVIDER, note);
  const models = rowsOf(catalogue, 'models', MODEL, note);
  for (const row of providers) {
    for (const [fact, beside] of TOGETHER) {
      const [there, absent] = row[fact] === undefined ? [beside, fact] : [fact, beside];
      if (row[there] !== undefined && row[absent] === undefined)
        note(`providers.${row.name}.${absent}`, `it beside ${there}`, undefined);
    }
  }
  const names = new Set([...known, ...providers.map((row) => row.name)]);
  for (const { name } of models) {
    const provider = String(name).split('/')[0];
    if (!names.has(provider)) note(`models.${name}.name`, `a known provider${near(provider, names)}`, provider);
  }
  return problems;
}

/** `base` with the rows of `update` added, or in the place of those of the same name. */
export function merge(base, update) {
  const merged = {};
  const changes = [];
  for (const kind of ['providers', 'models']) {
    const rows = new Map(base[kind].map((row) => [row.name, row]));
    for (const row of update[kind] ?? []) {
      const old = rows.get(row.name);
      const fields = old === undefined ? [] : differences(old, row);
      const what = old === undefined ? 'added' : fields.length > 0 ? 'changed' : 'unchanged';
      changes.push({ what, kind, name: row.name, fields });
      rows.set(row.name, row);
    }
    merged[kind] = [...rows.values()];
  }
  return { merged, changes };
}

/** The file's text: one row a line, sorted by name, its fields in one order. */
export function format(catalogue) {
  const lines = (kind, spec) =>
    [...catalogue[kind]]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((row) => `    ${JSON.stringify(ordered(row, spec))}`)
      .join(',\n');
  return `{\n  "providers": [\n${lines('providers', PROVIDER)}\n  ],\n  "models": [\n${lines('models', MODEL)}\n  ]\n}\n`;
}

export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether each account has a URL of its own. */
export function isTemplate(baseUrl) {
  return baseUrl.includes('{');
}

function rowsOf(catalogue, kind, spec, note) {
  const rows = catalogue[kind] ?? [];
  if (!Array.isArray(rows)) {
    note(kind, 'a list of rows', rows);
    return [];
  }
  const seen = new Set();
  rows.forEach((row, index) => {
    if (!isObject(row)) {
      note(`${kind}[${index}]`, 'a row', row);
      return;
    }
    const path = typeof row.name === 'string' && row.name !== '' ? `${kind}.${row.name}` : `${kind}[${index}]`;
    if (seen.has(row.name)) note(path, 'one row of this name', row.name);
    seen.add(row.name);
    for (const name of Object.keys(row)) {
      const known = Object.keys(spec);
      if (!known.includes(name)) note(`${path}.${name}`, `one of ${known.join(', ')}${near(name, known)}`, name);
    }
    for (const [name, { isRequired, read }] of Object.entries(spec)) {
      const value = row[name];
      if (value !== undefined) read(value, `${path}.${name}`, note);
      else if (isRequired) note(`${path}.${name}`, 'a value', undefined);
    }
  });
  return rows.filter(isObject);
}

function differences(old, row, path = '') {
  if (!isObject(old) || !isObject(row)) {
    const [before, after] = [JSON.stringify(old), JSON.stringify(row)];
    return before === after ? [] : [{ path, before: before ?? 'nothing', after: after ?? 'nothing' }];
  }
  const names = new Set([...Object.keys(old), ...Object.keys(row)]);
  return [...names].flatMap((name) => differences(old[name], row[name], path === '' ? name : `${path}.${name}`));
}

function ordered(row, spec) {
  const fields = Object.keys(spec).filter((name) => row[name] !== undefined);
  const inOrder = { usd_per_mtok: (value) => byNames(value, PRICES), quirks: (value) => byNames(value) };
  return Object.fromEntries(fields.map((name) => [name, inOrder[name]?.(row[name]) ?? row[name]]));
}

function byNames(object, names = Object.keys(object).sort()) {
  return Object.fromEntries(names.filter((name) => name in object).map((name) => [name, object[name]]));
}

function variants(file, pattern, { isSwapped = false } = {}) {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = [...text.matchAll(pattern)].map(([, first, second]) => [first, second]);
  return new Map(isSwapped ? found.map(([variant, name]) => [name, variant]) : found);
}

function required(read) {
  return { isRequired: true, read };
}

function optional(read) {
  return { isRequired: false, read };
}

function matching(pattern, expected) {
  return (value, path, note) => {
    if (typeof value !== 'string' || !pattern.test(value)) note(path, expected, value);
  };
}

function oneOf(kind) {
  return (value, path, note) => {
    const names = [...NAMES[kind].keys()];
    if (!names.includes(value)) note(path, `one of ${names.join(', ')}${near(value, names)}`, value);
  };
}

function page(value, path, note) {
  matching(/^https:\/\/[^\s"|]+$/, 'the https URL of a page')(value, path, note);
}

function day(value, path, note) {
  const isDay = typeof value === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(value);
  const time = isDay ? new Date(`${value}T00:00:00Z`) : undefined;
  const isReal = time !== undefined && !Number.isNaN(time.getTime()) && time.toISOString().startsWith(value);
  if (!isReal) note(path, 'a day, such as `2026-07-02`', value);
}

function baseUrl(value, path, note) {
  const expected = 'an https URL without a slash at its end, user, query or fragment; `{…}` for what an account adds';
  matching(/^https:\/\/[a-z0-9{][^\s"?#@\\]*[^\s"?#@\\/]$/, expected)(value, path, note);
}

function secret(value, path, note) {
  matching(/^[A-Z_][A-Z0-9_]*$/, 'the name of a secret in capitals')(value, path, note);
}

function auth(value, path, note) {
  const [kind, ...others] = isObject(value) ? Object.keys(value) : [];
  if (others.length > 0 || !['bearer', 'header', 'google_service_account'].includes(kind)) {
    note(path, 'exactly one of bearer, header, google_service_account', isObject(value) ? Object.keys(value).join(', ') : value);
  } else if (kind !== 'header') {
    secret(value[kind], `${path}.${kind}`, note);
  } else {
    matching(/^[a-z][a-z0-9-]*$/, 'the name of a header')(value.header?.name, `${path}.header.name`, note);
    secret(value.header?.secret, `${path}.header.secret`, note);
  }
}

function quirks(value, path, note) {
  if (!isObject(value)) {
    note(path, 'quirks, each with the page that tells of it', value);
    return;
  }
  for (const [name, source] of Object.entries(value)) {
    oneOf('quirk')(name, path, note);
    page(source, `${path}.${name}`, note);
  }
  if (LIMITS.every((name) => name in value)) note(path, `either ${LIMITS.join(' or ')}`, 'both');
}

function whole(value, path, note) {
  const isWhole = Number.isInteger(value) && value >= 1 && value <= TOKENS_MAX;
  if (!isWhole) note(path, `a whole number from 1 to ${TOKENS_MAX}`, value);
}

function prices(value, path, note) {
  if (!isObject(value)) {
    note(path, 'US dollars per million tokens, with `in` and `out`', value);
    return;
  }
  for (const [name, price] of Object.entries(value)) {
    const isPrice = typeof price === 'number' && price >= 0 && price <= USD_MAX;
    if (!PRICES.includes(name)) note(`${path}.${name}`, `one of ${PRICES.join(', ')}${near(name, PRICES)}`, name);
    else if (!isPrice) note(`${path}.${name}`, `a number from 0 to ${USD_MAX}`, price);
  }
  for (const name of ['in', 'out']) {
    if (value[name] === undefined) note(`${path}.${name}`, 'a price', undefined);
  }
}

function abilities(value, path, note) {
  if (!Array.isArray(value) || new Set(value).size !== value.length) note(path, 'a list of abilities, each once', value);
  else value.forEach((name, index) => oneOf('ability')(name, `${path}[${index}]`, note));
}

function near(name, names) {
  const found = typeof name === 'string' && name !== '' ? nearest(name, [...names]) : undefined;
  return found === undefined ? '' : ` (did you mean ${found}?)`;
}

function shown(value) {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
