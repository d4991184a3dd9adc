// Amazon Bedrock's dialect: what is its own in answers, refusals, signatures and faults.
//
// What the dialects share (waits, scripts, the log, faults without a wire format) is in the other files.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEYS, messagesOf, show } from './shown.mjs';

const TEXT = 'one two three';
const TOOLS = ['weather', 'second'].map((name) => (
  { toolSpec: { name, inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } } }));
const USER = { role: 'user', content: [{ text: 'hi' }] };

export function testBedrock(lab) {
  const whole = async (more, script = {}) => JSON.parse((await show(lab, 'bedrock', more, { script: { text: TEXT, ...script } })).body);
  const ask = (more, script = {}) => show(lab, 'bedrock', more, { stream: true, script: { text: TEXT, ...script } });
  const stream = async (more, script) => messagesOf(await ask(more, script));
  const namesOf = (messages) => messages.map(({ name }) => name);

  test('a stream is binary messages that name their events', async () => {
    const answer = await ask({});
    assert.equal(answer.headers['content-type'], 'application/vnd.amazon.eventstream');
    const messages = messagesOf(answer);
    assert.ok(messages.every(({ type }) => type === 'event'));
    assert.deepEqual(namesOf(messages), [
      'messageStart', 'contentBlockDelta', 'contentBlockDelta', 'contentBlockDelta', 'contentBlockStop', 'messageStop', 'metadata',
    ]);
    assert.deepEqual(messages.slice(1, 4).map(({ data }) => data.delta.text), ['one', ' two', ' three']);
    const usage = { inputTokens: 6, outputTokens: 3, totalTokens: 9, cacheReadInputTokens: 0, cacheWriteInputTokens: 0 };
    assert.deepEqual([messages.at(-2).data.stopReason, messages.at(-1).data.usage], ['end_turn', usage]);
    assert.deepEqual(await whole({}), {
      metrics: { latencyMs: 100 }, output: { message: { content: [{ text: TEXT }], role: 'assistant' } }, stopReason: 'end_turn', usage,
    });
  });

  test('cut into single bytes, or at once, it is the same', async () => {
    const plain = await ask({});
    for (const script of [{ chunking: 'byte' }, { chunking: 'split' }, { tokens_per_s: 0 }, { line_ending: 'crlf' }]) {
      assert.deepEqual(messagesOf(await ask({}, script)), messagesOf(plain), JSON.stringify(script));
    }
  });

  test('thoughts, limits, filters and the cache are told in its words', async () => {
    const [, first, second, signed] = await stream({}, { reasoning_tokens: 2 });
    assert.deepEqual([first, second].map(({ data }) => typeof data.delta.reasoningContent.text), ['string', 'string']);
    assert.ok(signed.data.delta.reasoningContent.signature);
    const { output, usage } = await whole({}, { reasoning_tokens: 2, cached_tokens: 4 });
    assert.ok(output.message.content[0].reasoningContent.reasoningText.signature);
    assert.deepEqual([usage.inputTokens, usage.cacheReadInputTokens, usage.totalTokens], [2, 4, 11]);
    assert.equal((await whole({ inferenceConfig: { maxTokens: 2 } })).stopReason, 'max_tokens');
    assert.equal((await whole({ inferenceConfig: { stopSequences: ['three'] } })).stopReason, 'stop_sequence');
    assert.equal((await whole({}, { fault: { kind: 'content_filter' } })).stopReason, 'content_filtered');
  });

  test('calls come in pieces, several at a time, and are answered', async () => {
    const messages = await stream({ toolConfig: { tools: TOOLS } });
    const starts = messages.filter(({ name }) => name === 'contentBlockStart');
    assert.deepEqual(starts.map(({ data }) => [data.contentBlockIndex, data.start.toolUse.name]), [[0, 'weather'], [1, 'second']]);
    const pieces = messages.filter(({ data }) => data.contentBlockIndex === 1 && data.delta !== undefined);
    assert.deepEqual(JSON.parse(pieces.map(({ data }) => data.delta.toolUse.input).join('')), { city: 'lab' });
    const { output: { message }, stopReason } = await whole({ toolConfig: { tools: TOOLS } });
    assert.equal(stopReason, 'tool_use');
    const results = message.content.map(({ toolUse }) => ({ toolResult: { toolUseId: toolUse.toolUseId, content: [{ text: 'It rains.' }] } }));
    const more = { messages: [USER, message, { role: 'user', content: results }], toolConfig: { tools: TOOLS } };
    assert.match((await whole(more, { text: null })).output.message.content[0].text, /The tool said: It rains\./);
    const named = await whole({ toolConfig: { tools: TOOLS, toolChoice: { tool: { name: 'second' } } } });
    assert.deepEqual(named.output.message.content.map(({ toolUse }) => toolUse.name), ['second']);
  });

  const format = (schema) => ({ outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: JSON.stringify(schema) } } } } });

  test('a schema is satisfied', async () => {
    const schema = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'], additionalProperties: false };
    assert.deepEqual(JSON.parse((await whole(format(schema), { text: null })).output.message.content[0].text), { age: 1 });
  });

  const calls = (...ids) => ({ role: 'assistant', content: ids.map((toolUseId) => ({ toolUse: { toolUseId, name: 'weather', input: {} } })) });
  const results = (...ids) => ({ role: 'user', content: ids.map((toolUseId) => ({ toolResult: { toolUseId, content: [{ text: 'x' }] } })) });
  const REFUSED = [
    ['a field that no structure has', { inferenceConfig: { topK: 1 } }, /at 'inferenceConfig\.topK' failed to satisfy constraint/],
    ['no messages', { messages: [] }, /messages field is empty/],
    ['the assistant first', { messages: [{ ...USER, role: 'assistant' }] }, /must start with a user message/],
    ['two turns of one role', { messages: [USER, USER] }, /must alternate between user and assistant roles/],
    ['a turn without content', { messages: [{ role: 'user', content: [] }] }, /content field in the Message object at messages\.0 is empty/],
    ['a blank text', { messages: [{ role: 'user', content: [{ text: ' ' }] }] }, /ContentBlock object at messages\.0\.content\.0 is blank/],
    ['two kinds of content in a block', { messages: [{ role: 'user', content: [{ text: 'x', image: {} }] }] }, /one of its fields set/],
    ['a call without its result', { messages: [USER, calls('a', 'b'), results('a')], toolConfig: { tools: TOOLS } }, /Expected toolResult blocks at messages\.2\.content for the following Ids: b/],
    ['more results than calls', { messages: [USER, calls('a'), results('a', 'b')], toolConfig: { tools: TOOLS } }, /exceeds the number of toolUse blocks/],
    ['calls without tools', { messages: [USER, calls('a'), results('a')] }, /toolConfig field must be defined/],
    ['an id with other signs', { messages: [USER, calls('a b'), results('a b')], toolConfig: { tools: TOOLS } }, /regular expression pattern/],
    ['an answer to go on with that ends in white space', { messages: [USER, { role: 'assistant', content: [{ text: 'x ' }] }] }, /trailing whitespace/],
    ['too hot', { inferenceConfig: { temperature: 1.5 } }, /Value '1\.5' at 'inferenceConfig\.temperature'.* less than or equal to 1/],
    ['a choice of no tool', { toolConfig: { tools: TOOLS, toolChoice: { tool: { name: 'third' } } } }, /The tool third/],
    ['arguments that are no object', { toolConfig: { tools: [{ toolSpec: { name: 'a', inputSchema: { json: { type: 'array' } } } }] } }, /inputSchema\.json\.type must be one of/],
    ['a label with other signs', { requestMetadata: { a: 'ä' } }, /requestMetadata/],
    ['a schema that is no JSON', { outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: '{' } } } } }, /not valid JSON/],
    ['a bound in a schema', format({ type: 'integer', minimum: 1 }), /^The model returned the following errors: output_config\.format\.schema: For 'integer' type, property 'minimum' is not supported$/],
  ];
  for (const [what, more, message] of REFUSED) {
    test(`it refuses ${what}`, async () => {
      const { status, headers, body } = await show(lab, 'bedrock', more);
      assert.equal(status, 400, body.toString());
      assert.match(headers['x-amzn-errortype'], /^ValidationException:/);
      assert.match(JSON.parse(body).message, message);
    });
  }

  test('a signature is wanted, of its form and over what it must cover', async () => {
    const { authorization } = KEYS.bedrock;
    const ask = async (headers, script) => {
      const { status, headers: { 'x-amzn-errortype': type = '' } } = await show(lab, 'bedrock', {}, { headers, script });
      return [status, type.split(':')[0]];
    };
    assert.deepEqual(await ask({}), [200, '']);
    assert.deepEqual(await ask({ authorization: 'Bearer a-key' }), [200, '']);
    assert.deepEqual(await ask({ authorization: null }), [403, 'MissingAuthenticationTokenException']);
    for (const wrong of [authorization.slice(0, -1), authorization.replace('host;', ''), authorization.replace('host;', 'host;x-absent;')]) {
      assert.deepEqual(await ask({ authorization: wrong }), [403, 'IncompleteSignatureException'], wrong);
    }
    for (const wrong of [authorization.replace('20261122', '20261121'), authorization.replace('/bedrock/', '/s3/')]) {
      assert.deepEqual(await ask({ authorization: wrong }), [403, 'InvalidSignatureException'], wrong);
    }
    assert.deepEqual(await ask({ 'x-amz-date': null }), [403, 'IncompleteSignatureException']);
    assert.deepEqual(await ask({}, { auth: 'AKIDLAB' }), [200, '']);
    assert.deepEqual(await ask({}, { auth: 'AKIDOTHER' }), [403, 'UnrecognizedClientException']);
  });

  test('faults have its shape', async () => {
    const at = (kind, more = {}) => ({ fault: { kind, ...more } });
    const broken = (await stream({}, at('error_event', { after_tokens: 1 }))).at(-1);
    assert.deepEqual([broken.type, broken.name], ['exception', 'serviceUnavailableException']);
    assert.deepEqual(namesOf(await stream({}, at('cut', { after_tokens: 1 }))), ['messageStart', 'contentBlockDelta']);
    assert.deepEqual(namesOf(await stream({}, at('cut_mid_event', { after_tokens: 1 }))), ['messageStart', 'contentBlockDelta']);
    assert.equal(namesOf(await stream({}, at('no_end'))).at(-1), 'messageStop');
    assert.deepEqual(namesOf(await stream({}, at('no_finish'))).slice(-2), ['contentBlockStop', 'metadata']);
    assert.equal((await stream({}, at('garbled'))).filter(({ data }) => typeof data === 'string').length, 1);
    const long = await stream({}, at('big_line', { bytes: 200_000 }));
    assert.ok(long.some(({ data }) => data.delta?.text?.length > 190_000));
    assert.equal((await stream({}, at('empty_events_forever', { events: 3 }))).filter(({ data }) => data.delta?.text === '').length, 3);
    const limited = await show(lab, 'bedrock', {}, { script: at('status', { status: 429, retry_after: 7 }) });
    assert.deepEqual([limited.headers['x-amzn-errortype'].split(':')[0], limited.headers['retry-after']], ['ThrottlingException', '7']);
    assert.equal(JSON.parse((await show(lab, 'bedrock', {}, { script: at('context_too_long') })).body).message, 'Input is too long for requested model.');
  });
}
