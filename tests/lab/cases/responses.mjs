// The dialect of the Responses API: what is its own in answers, refusals and faults.
//
// What the dialects share (waits, scripts, the log, faults without a wire format) is in the other files.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call as send, eventsOf } from './caller.mjs';

const TEXT = 'one two three';
const TOOLS = ['weather', 'second'].map((name) => ({
  type: 'function', name, parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
}));

export function testResponses(lab) {
  const call = (more, script = {}) =>
    send(lab, { path: '/v1/responses', body: { model: 'fast-1', input: 'hello there', ...more }, script: { text: TEXT, ...script } });
  const stream = async (more, script) => eventsOf(await call({ stream: true, ...more }, script)).map(({ event, data }) => {
    assert.equal(event, data.type ?? event);
    return data;
  });
  const whole = async (more, script) => JSON.parse((await call(more, script)).body);
  const typesOf = (events) => events.map(({ type }) => type.replace('response.', ''));

  test('a stream opens, grows and closes its item, in numbered events', async () => {
    const events = await stream({});
    assert.deepEqual(typesOf(events), [
      'created', 'in_progress', 'output_item.added', 'content_part.added', 'output_text.delta', 'output_text.delta', 'output_text.delta',
      'output_text.done', 'content_part.done', 'output_item.done', 'completed',
    ]);
    assert.deepEqual(events.map(({ sequence_number }) => sequence_number), events.map((_, at) => at));
    assert.deepEqual(events[4].delta, 'one');
    assert.equal(events[7].text, TEXT);
    assert.deepEqual(events[0].response.output, []);
  });

  test('an unstreamed answer is the response that ends the stream', async () => {
    const [body, events] = [await whole({}), await stream({})];
    const { response } = events.at(-1);
    const plain = (value) => JSON.stringify(value).replaceAll(/"(id|created_at)":("[^"]*"|\d+)/g, '');
    assert.equal(plain(body), plain(response));
    assert.match(body.id, /^resp_/);
    assert.deepEqual([body.object, body.status, body.output[0].content[0].text], ['response', 'completed', TEXT]);
    assert.deepEqual(body.usage, {
      input_tokens: 6, input_tokens_details: { cached_tokens: 0 }, output_tokens: 3, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 9,
    });
  });

  test('reasoning is an item before the message, each tool call one after the other', async () => {
    const events = await stream({}, { reasoning_tokens: 2 });
    assert.deepEqual(events.at(-1).response.output.map(({ type }) => type), ['reasoning', 'message']);
    assert.equal(events.filter(({ type }) => type === 'response.reasoning_summary_text.delta').length, 2);
    const calls = await stream({ tools: TOOLS, parallel_tool_calls: true });
    const { output } = calls.at(-1).response;
    assert.deepEqual(output.map(({ type, name, arguments: args }) => [type, name, JSON.parse(args)]), [
      ['function_call', 'weather', { city: 'lab' }], ['function_call', 'second', { city: 'lab' }],
    ]);
    for (const { id, arguments: args } of output) {
      const pieces = calls.filter((event) => event.item_id === id && event.type.endsWith('.delta'));
      assert.ok(pieces.length > 1);
      assert.equal(pieces.map(({ delta }) => delta).join(''), args);
    }
    assert.deepEqual(calls.map(({ sequence_number }) => sequence_number), calls.map((_, at) => at));
  });

  test('a tool\'s result and a schema are answered', async () => {
    const input = [{ role: 'user', content: [{ type: 'input_text', text: 'hi' }] }, { type: 'function_call', call_id: 'c', name: 'weather', arguments: '{}' }, { type: 'function_call_output', call_id: 'c', output: 'It rains.' }];
    const said = await whole({ input, tools: TOOLS }, { text: null });
    assert.match(said.output[0].content[0].text, /The tool said: It rains\./);
    const schema = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] };
    const shaped = await whole({ text: { format: { type: 'json_schema', name: 'person', schema } } }, { text: null });
    assert.equal(typeof JSON.parse(shaped.output[0].content[0].text).age, 'number');
  });

  test('a limit and a filter leave the answer incomplete, and say why', async () => {
    const limited = await stream({ max_output_tokens: 2 });
    assert.deepEqual(typesOf(limited).at(-1), 'incomplete');
    for (const { status, incomplete_details } of [limited.at(-1).response, await whole({ max_output_tokens: 2 })]) {
      assert.deepEqual([status, incomplete_details], ['incomplete', { reason: 'max_output_tokens' }]);
    }
    const filtered = await whole({}, { fault: { kind: 'content_filter' } });
    assert.deepEqual([filtered.output, filtered.incomplete_details], [[], { reason: 'content_filter' }]);
  });

  test('what the API does not know is refused with its name', async () => {
    const cases = [
      [{ messages: [] }, 'messages', 'unknown_parameter'],
      [{ max_tokens: 5 }, 'max_tokens', 'unknown_parameter'],
      [{ input: undefined }, 'input', 'missing_required_parameter'],
      [{ input: [] }, 'input', 'empty_array'],
      [{ input: [{ role: 'tool', content: '' }] }, 'input[0].role', 'invalid_value'],
      [{ input: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }] }, 'input[0].content[0].type', 'invalid_value'],
      [{ input: [{ type: 'function_call_output', output: '' }] }, 'input[0].call_id', 'missing_required_parameter'],
      [{ tools: [{ type: 'function', function: { name: 'x' } }] }, 'tools[0].name', 'missing_required_parameter'],
      [{ tools: TOOLS, tool_choice: { type: 'function', name: 'third' } }, 'tool_choice', null],
      [{ text: { format: { type: 'xml' } } }, 'text.format.type', 'invalid_value'],
      [{ text: { format: { type: 'json_schema', schema: {} } } }, 'text.format.name', 'missing_required_parameter'],
      [{ max_output_tokens: 0 }, 'max_output_tokens', 'integer_below_min_value'],
    ];
    for (const [more, param, code] of cases) {
      const answer = await call(more);
      const { error } = JSON.parse(answer.body);
      assert.deepEqual([answer.status, error.param, error.code, error.type], [400, param, code, 'invalid_request_error'], error.message);
    }
  });

  test('faults have this API\'s shape', async () => {
    const at = (kind, more = {}) => ({ fault: { kind, ...more } });
    const cut = await stream({}, at('cut', { after_tokens: 1 }));
    assert.equal(typesOf(cut).at(-1), 'output_text.delta');
    const ended = await stream({}, at('error_event', { after_tokens: 1, message: 'enough' }));
    assert.deepEqual(ended.at(-1), { type: 'error', sequence_number: 0, code: 'server_error', message: 'enough', param: null });
    assert.equal(typesOf(await stream({}, at('no_end'))).at(-1), 'output_item.done');
    const garbled = await stream({}, at('garbled'));
    assert.equal(garbled.filter((data) => typeof data === 'string').length, 1);
    assert.equal(garbled.at(-1).type, 'response.completed');
    const empty = await stream({}, at('empty_events_forever', { events: 3 }));
    assert.ok(empty.filter(({ delta }) => delta === '').length >= 3);
    assert.equal((await whole({}, at('no_finish'))).status, 'in_progress');
    const long = await call({ stream: true }, at('big_line', { bytes: 200_000 }));
    assert.ok(Math.max(...long.body.toString().split('\n').map((line) => line.length)) >= 200_000);
    const refused = JSON.parse((await call({}, { fault: { kind: 'context_too_long' } })).body);
    assert.deepEqual([refused.error.code, refused.error.param], ['context_length_exceeded', 'input']);
  });
}
