// A value that satisfies a JSON schema, always the same one for the same schema.
//
// The first enum value, "lab" for strings, 1 for numbers, true for booleans, one element per array,
// every property of an object; bounds, lengths, formats, `$ref`, `allOf` and the first branch of
// `anyOf` and `oneOf` are honoured. `pattern`, `not`, `if` and `uniqueItems` are not: a schema that
// leans on them may get a value that it rejects.
// Not here: checking a value against a schema.

/** Past this depth only what is required is filled in, so that a schema may contain itself. */
const DEPTH_EASY = 6;
/** Past this depth nothing is: a schema that requires itself has no value at all. */
const DEPTH_MAX = 40;

const FORMATS = {
  'date-time': '2025-01-01T00:00:00Z',
  date: '2025-01-01',
  time: '00:00:00Z',
  duration: 'P1D',
  email: 'lab@example.com',
  hostname: 'lab.example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/lab',
  uuid: '00000000-0000-4000-8000-000000000001',
};

export function sample(schema, root = schema, depth = 0) {
  const rules = flatten(schema, root, depth);
  if (rules === true || depth > DEPTH_MAX) return 'lab';
  if ('const' in rules) return rules.const;
  if (Array.isArray(rules.enum) && rules.enum.length > 0) return rules.enum[0];
  switch (kindOf(rules)) {
    case 'object': return sampleObject(rules, root, depth);
    case 'array': return sampleArray(rules, root, depth);
    case 'integer': return sampleNumber(rules, true);
    case 'number': return sampleNumber(rules, false);
    case 'boolean': return true;
    case 'null': return null;
    default: return sampleString(rules);
  }
}

function kindOf(rules) {
  const kinds = [rules.type].flat().filter((kind) => typeof kind === 'string');
  const solid = kinds.find((kind) => kind !== 'null') ?? kinds[0];
  if (solid !== undefined) return solid;
  if (rules.properties !== undefined || rules.required !== undefined) return 'object';
  if (rules.items !== undefined || rules.prefixItems !== undefined) return 'array';
  return ['minimum', 'maximum', 'multipleOf'].some((rule) => rule in rules) ? 'number' : 'string';
}

/** Follows `$ref`, `allOf`, `anyOf` and `oneOf` until the rules stand in one object. */
function flatten(schema, root, depth) {
  if (typeof schema !== 'object' || schema === null) return true;
  const { $ref, allOf, anyOf, oneOf, ...own } = schema;
  const more = [...(allOf ?? [])];
  if ($ref !== undefined) more.push(resolve($ref, root));
  const branches = anyOf ?? oneOf ?? [];
  // Deep inside a schema that contains itself, a branch that refers to nothing is the way out.
  const wayOut = depth > DEPTH_EASY ? branches.find((branch) => branch?.$ref === undefined) : undefined;
  const branch = wayOut ?? branches.find((each) => each?.type !== 'null') ?? branches[0];
  if (branch !== undefined) more.push(branch);
  if (more.length === 0 || depth > DEPTH_MAX) return own;
  return more.reduce((rules, each) => merge(rules, flatten(each, root, depth + 1)), own);
}

function merge(rules, more) {
  if (more === true) return rules;
  const merged = { ...more, ...rules };
  if (rules.properties && more.properties) merged.properties = { ...more.properties, ...rules.properties };
  if (rules.required && more.required) merged.required = [...new Set([...rules.required, ...more.required])];
  return merged;
}

function resolve(ref, root) {
  if (ref === '#') return root;
  if (typeof ref !== 'string' || !ref.startsWith('#/')) return {};
  let at = root;
  for (const part of ref.slice(2).split('/')) {
    at = at?.[decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  return at ?? {};
}

function sampleObject({ properties = {}, required = [] }, root, depth) {
  const value = {};
  for (const [name, schema] of Object.entries(properties)) {
    if (depth > DEPTH_EASY && !required.includes(name)) continue;
    value[name] = sample(schema, root, depth + 1);
  }
  for (const name of required) {
    if (!Object.hasOwn(value, name)) value[name] = 'lab';
  }
  return value;
}

function sampleArray({ items = {}, prefixItems = [], minItems = 0, maxItems = Infinity }, root, depth) {
  const easy = depth > DEPTH_EASY ? 0 : 1;
  const length = Math.min(Math.max(minItems, prefixItems.length, easy), maxItems);
  return Array.from({ length }, (_, at) => sample(prefixItems[at] ?? items, root, depth + 1));
}

function sampleNumber(rules, isWhole) {
  const step = rules.multipleOf ?? (isWhole ? 1 : undefined);
  const low = Math.max(rules.minimum ?? -Infinity, above(rules.exclusiveMinimum, step ?? 0.5));
  const high = Math.min(rules.maximum ?? Infinity, -above(negated(rules.exclusiveMaximum), step ?? 0.5));
  let value = Math.min(Math.max(1, low), high);
  if (step === undefined) return value;
  value = Math.ceil(value / step) * step;
  return value > high ? Math.floor(high / step) * step : value;
}

const above = (bound, step) => (typeof bound === 'number' ? bound + step : -Infinity);
const negated = (bound) => (typeof bound === 'number' ? -bound : undefined);

function sampleString({ format, minLength = 0, maxLength = Infinity }) {
  const value = FORMATS[format] ?? 'lab';
  return value.padEnd(minLength, '-').slice(0, maxLength);
}
