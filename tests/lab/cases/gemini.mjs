// Gemini's dialect: what is its own in answers, refusals and faults.
//
// What the dialects share (waits, scripts, the log, faults without a wire format) is in the other files.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventsOf } from './caller.mjs';
import { show } from './shown.mjs';

const TEXT = 'one two three';
const TOOLS = [{ functionDeclarations: ['weather', 'second'].map((name) => (
  { name, parameters: { type: 'OBJECT', properties: { city: { type: 'STRING' } }, required: ['city'] } })) }];
const USER = { role: 'user', parts: [{ text: 'hi' }] };

export function testGemini(lab) {
  const whole = async (more, script = {}) => JSON.parse((await show(lab, 'gemini', more, { script: { text: TEXT, ...script } })).body);
  const stream = async (more, script = {}) =>
    eventsOf(await show(lab, 'gemini', more, { stream: true, script: { text: TEXT, ...script } })).map(({ data }) => data);
  const partsOf = (chunks) => chunks.flatMap(({ candidates }) => candidates?.[0].content?.parts ?? []);

  test('a stream is a chunk for each token, and one that says why it ended', async () => {
    const chunks = await stream({});
    assert.deepEqual(partsOf(chunks).map(({ text }) => text), ['one', ' two', ' three', '']);
    assert.deepEqual(chunks.map(({ candidates }) => candidates[0].finishReason), [undefined, undefined, undefined, 'STOP']);
    const usage = { promptTokenCount: 6, candidatesTokenCount: 3, totalTokenCount: 9, promptTokensDetails: [{ modality: 'TEXT', tokenCount: 6 }] };
    assert.deepEqual(chunks.map(({ usageMetadata }) => usageMetadata), [undefined, undefined, undefined, usage]);
    const { responseId, ...body } = await whole({});
    assert.ok(responseId);
    assert.deepEqual(body, {
      candidates: [{ content: { parts: [{ text: TEXT }], role: 'model' }, finishReason: 'STOP', index: 0 }], usageMetadata: usage, modelVersion: 'fast-1',
    });
  });

  test('thoughts, limits, filters and several candidates are told in its words', async () => {
    const { candidates: [thought], usageMetadata } = await whole({}, { reasoning_tokens: 2, cached_tokens: 2 });
    assert.deepEqual(thought.content.parts.map(({ thought: is }) => is), [true, undefined]);
    assert.deepEqual([usageMetadata.thoughtsTokenCount, usageMetadata.candidatesTokenCount, usageMetadata.cachedContentTokenCount], [2, 3, 2]);
    const limited = await whole({ generationConfig: { maxOutputTokens: 2 } });
    assert.deepEqual([limited.candidates[0].finishReason, limited.candidates[0].content.parts[0].text], ['MAX_TOKENS', 'one two']);
    const [filtered] = (await whole({}, { fault: { kind: 'content_filter' } })).candidates;
    assert.deepEqual([filtered.finishReason, filtered.content], ['SAFETY', undefined]);
    const several = await stream({ generationConfig: { candidateCount: 2 } });
    assert.deepEqual([...new Set(several.map(({ candidates }) => candidates[0].index))], [0, 1]);
    assert.equal('usageMetadata' in (await whole({}, { usage: false })), false);
  });

  test('calls come whole, several at a time, the first one signed, and are answered', async () => {
    const parts = partsOf(await stream({ tools: TOOLS })).filter(({ functionCall }) => functionCall);
    assert.deepEqual(parts.map(({ functionCall: { name, args } }) => [name, args]), [['weather', { city: 'lab' }], ['second', { city: 'lab' }]]);
    assert.deepEqual(parts.map(({ thoughtSignature }) => thoughtSignature !== undefined), [true, false]);
    const results = parts.map(({ functionCall: { id, name } }) => ({ functionResponse: { id, name, response: { output: 'It rains.' } } }));
    const contents = [USER, { role: 'model', parts }, { role: 'user', parts: results }];
    assert.match((await whole({ contents, tools: TOOLS }, { text: null })).candidates[0].content.parts[0].text, /The tool said: It rains\./);
    const named = { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['second'] } };
    assert.deepEqual(partsOf([await whole({ tools: TOOLS, toolConfig: named })]).map(({ functionCall }) => functionCall.name), ['second']);
    const none = await whole({ tools: TOOLS, tool_config: { function_calling_config: { mode: 'NONE' } } });
    assert.equal(partsOf([none])[0].text, TEXT);
  });

  test('a schema of either form is satisfied', async () => {
    const google = { type: 'OBJECT', properties: { age: { type: 'INTEGER', minimum: 18 } } };
    const json = { type: 'object', properties: { age: { type: 'integer', minimum: 18 } }, $schema: 'x', additionalProperties: false };
    for (const schema of [{ responseSchema: google }, { responseJsonSchema: json }]) {
      const answer = await whole({ generationConfig: { responseMimeType: 'application/json', ...schema } }, { text: null });
      assert.deepEqual(JSON.parse(partsOf([answer])[0].text), { age: 18 });
    }
  });

  const call = { functionCall: { name: 'weather', args: {} } };
  const signed = { ...call, thoughtSignature: 'skip_thought_signature_validator' };
  const result = { functionResponse: { name: 'weather', response: { output: 'x' } } };
  const model = (...parts) => ({ contents: [USER, { role: 'model', parts }, { role: 'user', parts: [result] }], tools: TOOLS });
  const REFUSED = [
    ['a field of another API', { messages: [] }, /^Invalid JSON payload received\. Unknown name "messages": Cannot find field\.$/],
    ['a field deep inside', { contents: [{ parts: [{ functionResponse: { x: 1 } }] }] }, /"x" at 'contents\[0\]\.parts\[0\]\.function_response'/],
    ['JSON Schema where its own form belongs', { generation_config: { response_schema: { properties: { a: { items: { additionalProperties: false } } } } } }, /at 'generation_config\.response_schema\.properties\[0\]\.value\.items'/],
    ['no contents', { contents: [] }, /contents is not specified/],
    ['another role', { contents: [{ role: 'assistant', parts: [{ text: 'x' }] }] }, 'Please use a valid role: user, model.'],
    ['no parts', { contents: [{ parts: [] }] }, /parts must not be empty/],
    ['an empty text', { contents: [{ parts: [{ text: '' }] }] }, /contents\[0\]\.parts\[0\]\.data: required oneof field 'data'/],
    ['a call without a signature', model(call), /missing a thought_signature/],
    ['a signature of somebody else\'s', model({ ...call, thoughtSignature: 'c2ln' }), 'Thought signature is not valid.'],
    ['fewer responses than calls', model(signed, call), /number of function response parts is equal/],
    ['a response to another function', model({ ...signed, functionCall: { name: 'second', args: {} } }), /names match/],
    ['a call at the start', { contents: [{ role: 'model', parts: [signed] }, { parts: [result] }] }, /immediately after a user turn/],
    ['a choice without functions', { toolConfig: { functionCallingConfig: { mode: 'ANY' } } }, /without function_declarations/],
    ['names without the mode for them', { tools: TOOLS, toolConfig: { functionCallingConfig: { allowedFunctionNames: ['weather'] } } }, /only when function calling mode is ANY/],
    ['both forms of parameters', { tools: [{ functionDeclarations: [{ name: 'a', parameters: {}, parametersJsonSchema: {} }] }] }, /only one of/],
    ['a schema for plain text', { generationConfig: { responseJsonSchema: {} } }, /only supported with response_mime_type/],
    ['too hot', { generationConfig: { temperature: 3 } }, /temperature must be in the range/],
  ];
  for (const [what, more, message] of REFUSED) {
    test(`it refuses ${what}`, async () => {
      const { status, body } = await show(lab, 'gemini', more);
      const { error } = JSON.parse(body);
      assert.deepEqual([status, error.code, error.status], [400, 400, 'INVALID_ARGUMENT']);
      if (typeof message === 'string') assert.equal(error.message, message);
      else assert.match(error.message, message);
    });
  }

  test('older models know of no signatures', async () => {
    const answer = await show(lab, 'gemini', model(call), { path: '/v1beta/models/gemini-2.5-flash:generateContent' });
    assert.equal(answer.status, 200, answer.body.toString());
  });

  test('a key is wanted, in the header or in the URL, and hidden in the log', async () => {
    const ask = async (more) => {
      const { status, body } = await show(lab, 'gemini', {}, more);
      return [status, JSON.parse(body).error?.status];
    };
    assert.deepEqual(await ask({ headers: { 'x-goog-api-key': null } }), [403, 'PERMISSION_DENIED']);
    const path = '/v1beta/models/fast-1:generateContent?key=secret-1234&x=1';
    assert.deepEqual(await ask({ path, headers: { 'x-goog-api-key': null } }), [200, undefined]);
    const { path: kept, headers } = lab.calls().at(-1);
    assert.deepEqual([kept, headers['x-goog-api-key']], [path.replace('secret-', ''), undefined]);
    assert.deepEqual(await ask({ script: { auth: 'key-two' } }), [400, 'INVALID_ARGUMENT']);
    assert.equal(lab.calls().at(-1).headers['x-goog-api-key'], '-one');
    assert.deepEqual(await ask({ path: '/v1beta/models/fast-1:countTokens' }), [404, 'NOT_FOUND']);
    assert.deepEqual(await ask({ path: '/v1beta/models/%ff:generateContent' }), [404, 'NOT_FOUND']);
  });

  test('faults have its shape', async () => {
    const at = (kind, more = {}) => ({ fault: { kind, ...more } });
    const limited = await show(lab, 'gemini', {}, { script: at('status', { status: 429, retry_after: 7 }) });
    assert.equal(limited.headers['retry-after'], undefined);
    const { error } = JSON.parse(limited.body);
    assert.deepEqual([error.status, error.details.at(-1).retryDelay], ['RESOURCE_EXHAUSTED', '7s']);
    assert.deepEqual((await stream({}, at('error_event', { after_tokens: 1 }))).at(-1).error.status, 'UNAVAILABLE');
    assert.deepEqual(partsOf(await stream({}, at('cut', { after_tokens: 1 }))).map(({ text }) => text), ['one']);
    assert.equal((await stream({}, at('no_finish'))).at(-1).candidates[0].finishReason, undefined);
    assert.equal((await stream({}, at('no_end'))).at(-1).candidates[0].finishReason, 'STOP');
    assert.equal(lab.calls().at(-1).outcome, 'complete');
    assert.equal((await stream({}, at('garbled'))).filter((data) => typeof data === 'string').length, 1);
    assert.equal(partsOf(await stream({}, at('empty_events_forever', { events: 3 }))).length, 3);
    assert.match(JSON.parse((await show(lab, 'gemini', {}, { script: at('context_too_long') })).body).error.message, /exceeds the maximum number of tokens/);
  });

  test('one body at once and as a stream is answered as each was asked', async () => {
    const script = { text: TEXT, tokens_per_s: 0 };
    assert.match((await show(lab, 'gemini', {}, { script })).body.toString(), /^\{"candidates"/);
    assert.match((await show(lab, 'gemini', {}, { script, stream: true })).body.toString(), /^data: /);
  });
}
