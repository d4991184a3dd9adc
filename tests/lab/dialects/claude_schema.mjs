// What Claude's structured output does not take of a JSON Schema, in the words of its API.
//
// Bounds and lengths are refused, an object must say that it has no further properties, and of formats a list is known.
// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>, what `@anthropic-ai/sdk` 1.12.0 leaves out
// (`lib/transform-json-schema`), and github.com/BerriAI/litellm/pull/29624 for the same on Amazon Bedrock, read on 2026-11-21.
// Not checked: schemas that contain themselves, and how large one may be.

import { isRecord } from '../check.mjs';

const REFUSED = {
  number: ['exclusiveMaximum', 'exclusiveMinimum', 'maximum', 'minimum', 'multipleOf'],
  string: ['maxLength', 'minLength'],
  array: ['contains', 'maxItems', 'prefixItems', 'uniqueItems'],
  object: ['maxProperties', 'minProperties', 'patternProperties', 'propertyNames'],
};
const FORMATS = ['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'uri', 'ipv4', 'ipv6', 'uuid'];
const COMPOSITIONS = ['oneOf', 'not', 'if'];

/** The first thing that is refused, as a sentence, or null. */
export function refusedIn(schema) {
  const pending = [schema];
  for (const each of pending) {
    if (!isRecord(each)) continue;
    const reason = refusedHere(each);
    if (reason !== null) return reason;
    const { items, properties, $defs, definitions, anyOf, allOf } = each;
    pending.push(items, ...Object.values({ ...properties }), ...Object.values({ ...$defs }), ...Object.values({ ...definitions }), ...(anyOf ?? []), ...(allOf ?? []));
  }
  return null;
}

function refusedHere(schema) {
  const composition = COMPOSITIONS.find((name) => name in schema);
  if (composition !== undefined) return `Schema type '${composition}' is not supported`;
  for (const type of [schema.type].flat()) {
    const kind = type === 'integer' ? 'number' : type;
    const found = (REFUSED[kind] ?? []).filter((name) => name in schema);
    if (found.length === 1) return `For '${type}' type, property '${found[0]}' is not supported`;
    if (found.length > 1) return `For '${type}' type, properties ${found.join(', ')} are not supported`;
    if (type === 'object' && schema.additionalProperties !== false) return "For 'object' type, 'additionalProperties' must be explicitly set to false";
    if (type === 'array' && schema.minItems > 1) return `For 'array' type, 'minItems' values other than 0 or 1 are not supported`;
    if (type === 'string' && 'format' in schema && !FORMATS.includes(schema.format)) return `For 'string' type, format '${schema.format}' is not supported`;
  }
  return null;
}
