// Cohere's dialect: what is its own in answers, refusals and faults.
//
// What the dialects share (waits, scripts, the log, faults without a wire format) is in the other files.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventsOf } from './caller.mjs';
import { show } from './shown.mjs';

const TEXT = 'one two three';
const TOOLS = ['weather', 'second'].map((name) => (
  { type: 'function', function: { name, parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } }));
const USER = { role: 'user', content: 'hi' };

export function testCohere(lab) {
  const whole = async (more, script = {}) => JSON.parse((await show(lab, 'cohere', more, { script: { text: TEXT, ...script } })).body);
  const stream = async (more, script = {}) =>
    eventsOf(await show(lab, 'cohere', more, { stream: true, script: { text: TEXT, ...script } })).map(({ event, data }) => {
      assert.equal(event, data.type ?? event);
      return data;
    });
  const typesOf = (events) => events.map(({ type }) => type);

  test('a stream opens, fills and closes its content, and the last event counts it', async () => {
    const events = await stream({});
    assert.deepEqual(typesOf(events), ['message-start', 'content-start', 'content-delta', 'content-delta', 'content-delta', 'content-end', 'message-end']);
    assert.equal(events[2].delta.message.content.text, 'one');
    const usage = { billed_units: { input_tokens: 6, output_tokens: 3 }, tokens: { input_tokens: 72, output_tokens: 3 }, cached_tokens: 0 };
    assert.deepEqual(events.at(-1).delta, { finish_reason: 'COMPLETE', usage });
    const { id, ...body } = await whole({});
    assert.equal(typeof id, 'string');
    assert.deepEqual(body, { finish_reason: 'COMPLETE', message: { role: 'assistant', content: [{ type: 'text', text: TEXT }] }, usage });
  });

  test('thoughts, limits and stop texts are told in its words', async () => {
    const events = await stream({}, { reasoning_tokens: 1 });
    assert.deepEqual(typesOf(events).slice(1, 5), ['content-start', 'content-delta', 'content-end', 'content-start']);
    assert.deepEqual(events[1].delta.message.content, { type: 'thinking', thinking: '' });
    assert.deepEqual((await whole({}, { reasoning_tokens: 1 })).message.content.map(({ type }) => type), ['thinking', 'text']);
    assert.equal((await whole({ max_tokens: 2 })).finish_reason, 'MAX_TOKENS');
    const stopped = await whole({ stop_sequences: ['three'] });
    assert.deepEqual([stopped.finish_reason, stopped.message.content[0].text], ['STOP_SEQUENCE', 'one two ']);
    assert.equal((await whole({}, { fault: { kind: 'content_filter' } })).finish_reason, 'ERROR_TOXIC');
  });

  test('calls come in pieces, several at a time, and are answered', async () => {
    const events = await stream({ tools: TOOLS });
    const starts = events.filter(({ type }) => type === 'tool-call-start');
    assert.deepEqual(starts.map(({ index, delta }) => [index, delta.message.tool_calls.function.name]), [[0, 'weather'], [1, 'second']]);
    const pieces = events.filter(({ type, index }) => type === 'tool-call-delta' && index === 1);
    assert.deepEqual(JSON.parse(pieces.map(({ delta }) => delta.message.tool_calls.function.arguments).join('')), { city: 'lab' });
    const { message, finish_reason } = await whole({ tools: TOOLS });
    assert.deepEqual([finish_reason, 'content' in message], ['TOOL_CALL', false]);
    const results = message.tool_calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'It rains.' }));
    const answer = await whole({ tools: TOOLS, messages: [USER, message, ...results] }, { text: null });
    assert.match(answer.message.content[0].text, /The tool said: It rains\./);
    assert.equal((await whole({ tools: TOOLS, tool_choice: 'NONE' })).message.tool_calls, undefined);
  });

  test('a schema is satisfied, and any JSON is some', async () => {
    const json_schema = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] };
    const shaped = await whole({ response_format: { type: 'json_object', json_schema } }, { text: null });
    assert.deepEqual(JSON.parse(shaped.message.content[0].text), { age: 1 });
    const any = await whole({ response_format: { type: 'json_object' } }, { text: null });
    assert.equal(typeof JSON.parse(any.message.content[0].text), 'object');
  });

  const called = { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'weather', arguments: '{}' } }] };
  const format = (json_schema) => ({ response_format: { type: 'json_object', json_schema } });
  const REFUSED = [
    ['a field of another API', { stream_options: {} }, 422, /^unknown field: parameter 'stream_options' is not a valid field\./],
    ['a strict tool', { tools: [{ ...TOOLS[0], function: { ...TOOLS[0].function, strict: true } }] }, 422, /parameter 'strict'/],
    ['a name of who speaks', { messages: [{ ...USER, name: 'x' }] }, 422, /parameter 'name'/],
    ['no messages', { messages: [] }, 400, /messages must not be empty/],
    ['another role', { messages: [{ role: 'developer', content: 'x' }] }, 400, /Invalid role in messages at index 0/],
    ['an empty message', { messages: [{ role: 'user', content: '' }] }, 400, /message must not be empty/],
    ['a result of no call', { messages: [USER, { role: 'tool', tool_call_id: 'c', content: 'x' }] }, 400, /not one of the tool_calls/],
    ['a call without its result', { messages: [USER, called, USER] }, 400, /must be followed by a tool message/],
    ['too hot', { temperature: 1.5 }, 400, /temperature must be between 0 and 1/],
    ['two penalties', { presence_penalty: 0.1, frequency_penalty: 0.1 }, 400, /cannot specify both/],
    ['OpenAI\'s tool choice', { tools: TOOLS, tool_choice: 'auto' }, 400, /tool_choice must be one of/],
    ['a choice without tools', { tool_choice: 'NONE' }, 400, /requires tools/],
    ['a tool without parameters', { tools: [{ type: 'function', function: { name: 'a' } }] }, 400, /must have parameters/],
    ['OpenAI\'s format', { response_format: { type: 'json_schema' } }, 400, /response_format\.type/],
    ['a format beside tools', { tools: TOOLS, ...format({ type: 'object', required: ['a'] }) }, 400, /not supported with tools/],
    ['a schema without a type', format({}), 400, /invalid 'json_schema' provided: missing required field 'type'/],
    ['an object that requires nothing', format({ type: 'object', properties: { a: { type: 'object' } }, required: ['a'] }), 400, /at least one 'required'/],
  ];
  for (const [what, more, expected, message] of REFUSED) {
    test(`it refuses ${what}`, async () => {
      const { status, body } = await show(lab, 'cohere', more);
      assert.equal(status, expected, body.toString());
      assert.match(JSON.parse(body).message, message);
    });
  }

  test('a key is wanted', async () => {
    const ask = async (more) => (await show(lab, 'cohere', {}, more)).status;
    assert.equal(await ask({ headers: { authorization: null } }), 401);
    assert.equal(await ask({ script: { auth: 'key-two' } }), 401);
    assert.equal(await ask({ script: { auth: 'key-one' } }), 200);
    assert.equal(await ask({ path: '/v2/embed' }), 404);
  });

  test('faults have its shape', async () => {
    const at = (kind, more = {}) => ({ fault: { kind, ...more } });
    assert.deepEqual((await stream({}, at('error_event', { after_tokens: 1, message: 'enough' }))).at(-1).delta, { finish_reason: 'ERROR', error: 'enough' });
    assert.equal(typesOf(await stream({}, at('cut', { after_tokens: 1 }))).at(-1), 'content-delta');
    assert.equal(typesOf(await stream({}, at('no_end'))).at(-1), 'content-end');
    assert.deepEqual(typesOf(await stream({}, at('no_finish'))).slice(-2), ['content-delta', 'message-end']);
    assert.equal((await stream({}, at('garbled'))).filter((data) => typeof data === 'string').length, 1);
    const long = await show(lab, 'cohere', {}, { stream: true, script: { text: TEXT, ...at('big_line', { bytes: 200_000 }) } });
    assert.equal(Math.max(...long.body.toString().split('\n').map((line) => line.length)), 200_000);
    assert.match(JSON.parse((await show(lab, 'cohere', {}, { script: at('context_too_long') })).body).message, /^too many tokens: /);
    assert.equal(JSON.parse((await show(lab, 'cohere', {}, { script: at('status', { status: 503 }) })).body).message, 'service unavailable');
  });
}
