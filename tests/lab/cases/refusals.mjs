// What the lab turns down, and in which words: the requests that the real APIs would turn down.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyFor, call, DIALECTS } from './caller.mjs';

const USER = [{ role: 'user', content: 'hi' }];

const OPENAI = [
  ['no model', { model: undefined }, /you must provide a model parameter/, { param: null }],
  ['a model that is no string', { model: 5 }, /Invalid type for 'model': expected a string, but got an integer/, { param: 'model', code: 'invalid_type' }],
  ['no messages', { messages: undefined }, /Missing required parameter: 'messages'/, { param: 'messages', code: 'missing_required_parameter' }],
  ['empty messages', { messages: [] }, /Invalid 'messages': empty array/, { code: 'empty_array' }],
  ['a message that is no object', { messages: ['hi'] }, /messages\[0\]/, { param: 'messages[0]' }],
  ['an unknown role', { messages: [{ role: 'robot', content: 'hi' }] }, /Invalid value: 'robot'/, { param: 'messages[0].role' }],
  ['stream options without a stream', { stream_options: { include_usage: true } }, /only allowed when 'stream' is enabled/, { param: 'stream_options' }],
  ['a limit below one', { max_tokens: 0 }, /integer below minimum value/, { param: 'max_tokens' }],
  ['too many choices', { n: 129 }, /integer above maximum value/, { param: 'n' }],
  ['a tool without a name', { tools: [{ type: 'function', function: {} }] }, /tools\[0\]\.function\.name/, { code: 'missing_required_parameter' }],
  ['Anthropic\'s tool choice', { tools: [{ type: 'function', function: { name: 'a' } }], tool_choice: { type: 'any' } }, /Supported values are: 'none', 'auto', and 'required'/, { param: 'tool_choice' }],
  ['a choice of no tool', { tools: [{ type: 'function', function: { name: 'a' } }], tool_choice: { type: 'function', function: { name: 'b' } } }, /Tool choice 'b' not found/, {}],
  ['an unknown response format', { response_format: { type: 'xml' } }, /Invalid value: 'xml'/, { param: 'response_format.type' }],
  ['a schema without a name', { response_format: { type: 'json_schema', json_schema: { schema: {} } } }, /json_schema\.name/, {}],
];

const ANTHROPIC = [
  ['no max_tokens', { max_tokens: undefined }, 'max_tokens: Field required'],
  ['a max_tokens that is no integer', { max_tokens: '9' }, 'max_tokens: Input should be a valid integer'],
  ['no model', { model: undefined }, 'model: Field required'],
  ['no messages', { messages: undefined }, 'messages: Field required'],
  ['empty messages', { messages: [] }, 'messages: at least one message is required'],
  ['stream_options', { stream: true, stream_options: { include_usage: true } }, 'stream_options: Extra inputs are not permitted'],
  ['response_format', { response_format: { type: 'json_object' } }, 'response_format: Extra inputs are not permitted'],
  ['stop', { stop: 'x' }, 'stop: Extra inputs are not permitted'],
  ['n', { n: 1 }, 'n: Extra inputs are not permitted'],
  ['output_format without its beta', { output_format: { type: 'json_schema', schema: {} } }, 'output_format: Extra inputs are not permitted'],
  ['a system message', { messages: [{ role: 'system', content: 'x' }, ...USER] }, /Unexpected role "system"/],
  ['a tool message', { messages: [...USER, { role: 'tool', content: 'x' }] }, "messages.1.role: Input should be 'user' or 'assistant'"],
  ['empty content', { messages: [{ role: 'user', content: '' }] }, /must have non-empty content/],
  ['an empty text block', { messages: [{ role: 'user', content: [{ type: 'text', text: '' }] }] }, 'messages: text content blocks must be non-empty'],
  ['OpenAI\'s image part', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, /messages\.0\.content\.0: Input tag 'image_url' found/],
  ['OpenAI\'s tool', { tools: [{ type: 'function', function: { name: 'a' } }] }, /tools\.0: Input tag 'function' found/],
  ['a tool without a schema', { tools: [{ name: 'a' }] }, 'tools.0.custom.input_schema: Field required'],
  ['OpenAI\'s tool choice', { tools: [], tool_choice: { type: 'function' } }, /tool_choice: Input tag 'function' found/],
  ['a choice of no tool', { tools: [], tool_choice: { type: 'tool', name: 'b' } }, "Tool 'b' not found in provided tools"],
  ['a bound in a schema', schemaOf({ type: 'integer', minimum: 1, maximum: 2 }), "output_config.format.schema: For 'integer' type, properties maximum, minimum are not supported"],
  ['a length in a schema', schemaOf({ anyOf: [{ type: ['string', 'null'], maxLength: 1 }] }), "output_config.format.schema: For 'string' type, property 'maxLength' is not supported"],
  ['an open object in a schema', schemaOf({ items: { type: 'object' } }), "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"],
  ['several items in a schema', schemaOf({ type: 'array', minItems: 2 }), "output_config.format.schema: For 'array' type, 'minItems' values other than 0 or 1 are not supported"],
  ['one of several schemas', schemaOf({ oneOf: [] }), "output_config.format.schema: Schema type 'oneOf' is not supported"],
];

function schemaOf(inner) {
  const schema = { type: 'object', properties: { inner }, additionalProperties: false };
  return { output_config: { format: { type: 'json_schema', schema } } };
}

const matches = (text, expected) => (expected instanceof RegExp ? assert.match(text, expected) : assert.equal(text, expected));

export function testRefusals(lab) {
  const refused = async (status, rest) => {
    const answer = await call(lab, rest);
    assert.equal(answer.status, status, answer.body.toString());
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(lab.calls().at(-1).outcome, 'refused');
    return JSON.parse(answer.body);
  };

  for (const [what, more, message, fields] of OPENAI) {
    test(`the OpenAI dialect refuses ${what}`, async () => {
      const { error } = await refused(400, { body: bodyFor('openai-chat', more) });
      assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code']);
      assert.equal(error.type, 'invalid_request_error');
      matches(error.message, message);
      for (const [field, value] of Object.entries(fields)) assert.equal(error[field], value, field);
    });
  }

  for (const [what, more, message] of ANTHROPIC) {
    test(`the Anthropic dialect refuses ${what}`, async () => {
      const body = await refused(400, { dialect: 'anthropic', body: bodyFor('anthropic', more) });
      assert.equal(body.type, 'error');
      assert.equal(body.error.type, 'invalid_request_error');
      assert.match(body.request_id, /^req_/);
      matches(body.error.message, message);
    });
  }

  test('the Anthropic dialect refuses a missing and a doubled version', async () => {
    const missing = await refused(400, { dialect: 'anthropic', headers: { 'anthropic-version': null } });
    assert.equal(missing.error.message, 'anthropic-version: header is required');
    const doubled = await refused(400, { dialect: 'anthropic', headers: { 'Anthropic-Version': '2023-06-01' } });
    assert.equal(doubled.error.message, 'anthropic-version: "2023-06-01, 2023-06-01" is not a valid version');
  });

  test('the newest Anthropic version takes no sampling fields, the one before does', async () => {
    const body = (field) => bodyFor('anthropic', { [field]: 1 });
    for (const field of ['temperature', 'top_k', 'top_p']) {
      const newest = await refused(400, { dialect: 'anthropic', headers: { 'anthropic-version': '2026-10-21' }, body: body(field) });
      assert.equal(newest.error.message, `${field}: Extra inputs are not permitted`);
      assert.equal((await call(lab, { dialect: 'anthropic', script: {}, body: body(field) })).status, 200);
    }
    const plain = await call(lab, { dialect: 'anthropic', script: {}, headers: { 'anthropic-version': '2026-10-21' } });
    assert.equal(plain.status, 200);
    const future = await refused(400, { dialect: 'anthropic', headers: { 'anthropic-version': 'latest' } });
    assert.equal(future.error.message, 'anthropic-version: "latest" is not a valid version');
  });

  test('counting tokens takes no max_tokens', async () => {
    const body = await refused(400, { dialect: 'anthropic', path: '/v1/messages/count_tokens' });
    assert.equal(body.error.message, 'max_tokens: Extra inputs are not permitted');
  });

  test('what is not JSON, or no object, is refused in the dialect\'s shape', async () => {
    for (const body of ['{"model":', '[]']) {
      const openai = await refused(400, { body });
      assert.equal(openai.error.type, 'invalid_request_error');
      const other = await refused(400, { dialect: 'anthropic', body });
      assert.equal(other.error.type, 'invalid_request_error');
    }
  });

  test('an unknown path is 404, also with another method', async () => {
    for (const [method, path] of [['POST', '/v1/images'], ['GET', '/v1/chat/completions'], ['PUT', '/v1/messages']]) {
      await refused(404, { method, path });
    }
    assert.equal(lab.calls().at(-2).path, '/v1/chat/completions');
  });

  test('a wrong key is refused, the right one is not, and each dialect has its own header', async () => {
    lab.setScript('fast-1', { auth: ['key-one', 'key-two'], ttft_ms: 0, tokens_per_s: 0 });
    const wrong = await refused(401, { headers: { authorization: 'Bearer key-three' } });
    assert.equal(wrong.error.code, 'invalid_api_key');
    assert.match(wrong.error.message, /Incorrect API key provided: \*\*\*\*hree/);
    await refused(401, {});
    await refused(401, { headers: { 'x-api-key': 'key-one' } });
    const other = await refused(401, { dialect: 'anthropic', headers: { 'x-api-key': 'key-three' } });
    assert.deepEqual(other.error, { type: 'authentication_error', message: 'invalid x-api-key' });
    assert.equal((await call(lab, { headers: { authorization: 'Bearer key-two' } })).status, 200);
    assert.equal((await call(lab, { dialect: 'anthropic', headers: { 'x-api-key': 'key-one' } })).status, 200);
    assert.equal((await call(lab, { dialect: 'anthropic', headers: { authorization: 'Bearer key-one' } })).status, 200);
    await refused(401, { dialect: 'anthropic', headers: { authorization: 'Bearer key-one', 'x-api-key': 'key-three' } });
    lab.setScript('fast-1', { auth: 'only' });
    assert.equal((await call(lab, { headers: { authorization: 'Bearer only' } })).status, 200);
    lab.clearScripts();
    for (const dialect of DIALECTS) assert.equal((await call(lab, { dialect })).status, 200);
  });

  test('a mistake of the caller\'s shows even where a fault is due', async () => {
    await refused(400, { script: { fault: { kind: 'status', status: 503 } }, body: bodyFor('openai-chat', { messages: [] }) });
  });
}
