// Tool calls and structured output: that what the lab makes up satisfies the schema it was given.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sample } from '../sample.mjs';
import { bodyFor, call, DIALECTS, eventsOf } from './caller.mjs';

const WEATHER = {
  type: 'object',
  properties: {
    city: { type: 'string' },
    unit: { type: 'string', enum: ['celsius', 'kelvin'] },
    days: { type: 'integer', minimum: 3 },
    precise: { type: 'boolean' },
    tags: { type: 'array', items: { type: 'string', minLength: 5 }, minItems: 2 },
    place: { $ref: '#/$defs/place' },
    note: { anyOf: [{ type: 'null' }, { type: 'string', format: 'date' }] },
  },
  required: ['city', 'unit', 'tags', 'elsewhere'],
  $defs: { place: { type: 'object', properties: { lat: { type: 'number', exclusiveMaximum: 0 }, inside: { $ref: '#/$defs/place' } }, required: ['lat'] } },
};
/** As much of it as Claude takes for structured output. */
const CLOSED = {
  type: 'object',
  properties: {
    city: { type: 'string' },
    unit: { type: 'string', enum: ['celsius', 'kelvin'] },
    tags: { type: 'array', items: { type: 'string' }, minItems: 1 },
    place: { $ref: '#/$defs/place' },
    note: { anyOf: [{ type: 'null' }, { type: 'string', format: 'date' }] },
  },
  required: ['city', 'tags'],
  additionalProperties: false,
  $defs: { place: { type: 'object', properties: { lat: { type: 'number' } }, required: ['lat'], additionalProperties: false } },
};
const NAMES = ['weather', 'second', 'third'];

const tools = (dialect) => NAMES.map((name) => (dialect === 'anthropic'
  ? { name, input_schema: WEATHER }
  : { type: 'function', function: { name, parameters: WEATHER } }));

/** As much of JSON Schema as the schemas in this file use, written without a look at `sample.mjs`. */
function violations(value, schema, root = schema, path = '$') {
  if (schema.$ref) return violations(value, schema.$ref.split('/').slice(1).reduce((at, part) => at[part], root), root, path);
  const wrong = [];
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const kinds = {
    object: isObject,
    array: Array.isArray(value),
    string: typeof value === 'string',
    number: typeof value === 'number',
    integer: Number.isInteger(value),
    boolean: typeof value === 'boolean',
    null: value === null,
  };
  if (schema.type && !kinds[schema.type]) return [`${path} is no ${schema.type}: ${JSON.stringify(value)}`];
  if (schema.anyOf && !schema.anyOf.some((branch) => violations(value, branch, root, path).length === 0)) wrong.push(`${path} fits no branch`);
  if (schema.enum && !schema.enum.includes(value)) wrong.push(`${path} is not in the enum`);
  if (value < schema.minimum || value > schema.maximum || value >= schema.exclusiveMaximum || value <= schema.exclusiveMinimum) wrong.push(`${path} is out of bounds`);
  if (schema.multipleOf && value % schema.multipleOf !== 0) wrong.push(`${path} is no multiple`);
  if (kinds.string && (value.length < (schema.minLength ?? 0) || value.length > (schema.maxLength ?? Infinity))) wrong.push(`${path} has the wrong length`);
  if (schema.format === 'date' && !/^\d{4}-\d\d-\d\d$/.test(value)) wrong.push(`${path} is no date`);
  if (kinds.array) {
    if (value.length < (schema.minItems ?? 0)) wrong.push(`${path} is too short`);
    value.forEach((item, at) => wrong.push(...violations(item, schema.items ?? {}, root, `${path}[${at}]`)));
  }
  for (const name of schema.required ?? []) if (!(name in value)) wrong.push(`${path}.${name} is missing`);
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    if (isObject && name in value) wrong.push(...violations(value[name], inner, root, `${path}.${name}`));
  }
  return wrong;
}

/** The calls in an answer: `[{ id, name, args, pieces }]`. */
function callsIn(dialect, isStream, answer) {
  if (!isStream) {
    const body = JSON.parse(answer.body);
    return dialect === 'anthropic'
      ? body.content.map(({ type, id, name, input }) => ({ type, id, name, args: input, finish: body.stop_reason }))
      : body.choices[0].message.tool_calls.map(({ type, id, function: { name, arguments: text } }) => ({ type, id, name, args: JSON.parse(text), finish: body.choices[0].finish_reason }));
  }
  const calls = [];
  let finish = null;
  for (const { data } of eventsOf(answer)) {
    const [choice] = data.choices ?? [];
    for (const { index, id, type, function: { name, arguments: piece } } of choice?.delta.tool_calls ?? []) {
      if (id !== undefined) calls[index] = { type, id, name, pieces: [] };
      if (piece !== '') calls[index].pieces.push(piece);
    }
    if (data.type === 'content_block_start') calls[data.index] = { ...data.content_block, pieces: [] };
    if (data.delta?.type === 'input_json_delta' && data.delta.partial_json !== '') calls[data.index].pieces.push(data.delta.partial_json);
    finish ??= choice?.finish_reason ?? data.delta?.stop_reason ?? null;
  }
  return calls.map((each) => ({ ...each, args: JSON.parse(each.pieces.join('')), finish }));
}

export function testToolCalls(lab) {
  const ask = (dialect, more) => call(lab, { dialect, script: {}, body: bodyFor(dialect, more) });

  test('a tool call satisfies the schema, whole and in pieces, in both dialects', async () => {
    for (const dialect of DIALECTS) {
      const seen = [];
      for (const stream of [true, false]) {
        const calls = callsIn(dialect, stream, await ask(dialect, { stream, tools: tools(dialect) }));
        assert.equal(calls.length, 1);
        assert.equal(calls[0].name, 'weather');
        assert.equal(calls[0].finish, dialect === 'anthropic' ? 'tool_use' : 'tool_calls');
        assert.equal(calls[0].type, dialect === 'anthropic' ? 'tool_use' : 'function');
        assert.match(calls[0].id, dialect === 'anthropic' ? /^toolu_/ : /^call_/);
        assert.deepEqual(violations(calls[0].args, WEATHER), []);
        assert.ok('note' in calls[0].args && 'elsewhere' in calls[0].args, 'optional and unlisted properties are there');
        if (stream) assert.ok(calls[0].pieces.length >= 3);
        seen.push(calls[0].args);
      }
      assert.deepEqual(seen[0], seen[1]);
    }
  });

  test('a tool without parameters is called with an empty object', async () => {
    const openai = await ask('openai-chat', { tools: [{ type: 'function', function: { name: 'now' } }] });
    assert.deepEqual(callsIn('openai-chat', false, openai)[0].args, {});
    const other = await ask('anthropic', { stream: true, tools: [{ name: 'now', input_schema: { type: 'object' } }] });
    assert.deepEqual(callsIn('anthropic', true, other)[0].args, {});
  });

  test('a forced tool is the one that is called', async () => {
    const openai = await ask('openai-chat', { tools: tools('openai-chat'), tool_choice: { type: 'function', function: { name: 'third' } } });
    assert.deepEqual(callsIn('openai-chat', false, openai).map(({ name }) => name), ['third']);
    const other = await ask('anthropic', { tools: tools('anthropic'), tool_choice: { type: 'tool', name: 'third' } });
    assert.deepEqual(callsIn('anthropic', false, other).map(({ name }) => name), ['third']);
  });

  test('two tools are called side by side when that is asked for', async () => {
    for (const stream of [true, false]) {
      const openai = await ask('openai-chat', { stream, tools: tools('openai-chat'), parallel_tool_calls: true });
      const calls = callsIn('openai-chat', stream, openai);
      assert.deepEqual(calls.map(({ name }) => name), ['weather', 'second']);
      assert.notEqual(calls[0].id, calls[1].id);
      const other = await ask('anthropic', { stream, tools: tools('anthropic'), tool_choice: { type: 'auto', disable_parallel_tool_use: false } });
      assert.deepEqual(callsIn('anthropic', stream, other).map(({ name }) => name), ['weather', 'second']);
    }
  });

  test('"none" gives text', async () => {
    const openai = JSON.parse((await ask('openai-chat', { tools: tools('openai-chat'), tool_choice: 'none' })).body);
    assert.match(openai.choices[0].message.content, /You said/);
    const other = JSON.parse((await ask('anthropic', { tools: tools('anthropic'), tool_choice: { type: 'none' } })).body);
    assert.equal(other.content[0].type, 'text');
  });

  test('after a tool result the answer quotes it', async () => {
    const openai = await ask('openai-chat', {
      tools: tools('openai-chat'),
      messages: [
        { role: 'user', content: 'weather?' },
        { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{}' } }] },
        { role: 'tool', tool_call_id: 'call_1', content: 'It snows.' },
      ],
    });
    assert.match(JSON.parse(openai.body).choices[0].message.content, /The tool said: It snows\. /);
    const other = await ask('anthropic', {
      tools: tools('anthropic'),
      messages: [
        { role: 'user', content: 'weather?' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: [{ type: 'text', text: 'It snows.' }] }] },
      ],
    });
    assert.match(JSON.parse(other.body).content[0].text, /The tool said: It snows\. /);
  });

  test('a JSON schema gives text that satisfies it', async () => {
    const openai = await ask('openai-chat', { response_format: { type: 'json_schema', json_schema: { name: 'weather', strict: true, schema: WEATHER } } });
    assert.deepEqual(violations(JSON.parse(JSON.parse(openai.body).choices[0].message.content), WEATHER), []);
    const format = { type: 'json_schema', schema: CLOSED };
    const now = await ask('anthropic', { output_config: { format } });
    assert.deepEqual(violations(JSON.parse(JSON.parse(now.body).content[0].text), CLOSED), []);
    const headers = { 'anthropic-beta': 'other-1,structured-outputs-2025-11-13' };
    const before = await call(lab, { dialect: 'anthropic', script: {}, headers, body: bodyFor('anthropic', { output_format: format }) });
    assert.deepEqual(violations(JSON.parse(JSON.parse(before.body).content[0].text), CLOSED), []);
  });

  test('a JSON object is one', async () => {
    const body = JSON.parse((await ask('openai-chat', { response_format: { type: 'json_object' } })).body);
    assert.match(JSON.parse(body.choices[0].message.content).answer, /^lab here/);
  });

  test('samples satisfy awkward schemas', () => {
    const schemas = [
      { type: 'number', minimum: 5, multipleOf: 3 },
      { type: 'integer', exclusiveMinimum: 1, maximum: 2 },
      { type: 'integer', maximum: -4 },
      { type: 'string', maxLength: 2 },
      { type: 'array', items: { type: 'integer' }, minItems: 3 },
      { enum: [null, 'a'] },
      { anyOf: [{ type: 'null' }, { type: 'integer' }] },
      { type: 'object', required: ['next'], properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } } },
      { $ref: '#/$defs/a', $defs: { a: { type: 'object', properties: { b: { $ref: '#/$defs/a' } }, required: [] } } },
    ];
    for (const schema of schemas) assert.deepEqual(violations(sample(schema), schema), [], JSON.stringify(schema));
    assert.deepEqual(sample({ allOf: [{ properties: { a: { type: 'integer' } } }, { properties: { b: { const: 7 } } }] }), { a: 1, b: 7 });
    assert.equal(sample({ type: ['null', 'boolean'] }), true);
  });
}
