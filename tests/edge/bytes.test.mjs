// Where client and provider speak the same dialect, every byte but a few named ones is the other side's own.
//
// The bodies here are valid JSON that a rebuild would change: escapes, integers beyond 2^53, odd white space,
// keys twice, fields that nobody knows.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { startWorld } from './world.mjs';

const HOSTILE = [
  ' "messages" :\r\n\t[ { "role":"user","content":"caf\\u00e9 \\ud83d\\ude00 \\/ \\u0000 世界 \u2028", "extra":[1.50, 1E+2, -0] } ] ',
  '"seed":9007199254740993',
  '"x_unknown" : { "b":1,"a":2, "b":3, "\\u0061":"\\ud800" }',
  '"\\u006dodel":"MODEL"',
  '"tools" : [ {"type":"function","function":{"name":"z","parameters":{"type":"object","properties":{"z":{},"a":{}}}}} ]\n\n',
].join(',');
const HOSTILE_MESSAGES = [
  ' "max_tokens" : 100',
  '"messages":\r\n\t[ { "role" : "user" , "content":[ {"text":"caf\\u00e9 \\/ 世界","type":"text"} ]}]',
  '"metadata":{"user_id":"\\u0075" }',
  '"tools":[ {"name":"z","input_schema":{"type":"object" , "properties":{"z":{"default":9007199254740993},"a":{"maximum":1E+2}}}} ]',
  '"model"  :  "MODEL"\t',
].join(',');

const WHOLE_BODY =
  '{ "id":"chatcmpl-x","object":"chat.completion", "created":1,\r\n"model":"m\\u0031","x":9007199254740993,'
  + '"choices":[{"index":0,"message":{"role":"assistant","content":"\\ud83d\\ude00 h\\u0069"},"finish_reason":"stop"}],'
  + '"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"x":1.50} }\n';
const STREAM_BODY = [
  'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant"}}],"n":9007199254740993}\r\n\r\n',
  'data:{"id":"x", "choices":[{"index":0,"delta":{"content":"h\\u0069"}}]}\n\n',
  ': a comment in between\n\n',
  'event: odd\nid: 7\ndata: {"choices":[{"index":0,\ndata: "delta":{"content":" 世界"}}],"x":[1.50]}\n\n',
  'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
  'data: {"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
  'data: [DONE]\n\n',
].join('');

let world;
let provider;
before(async () => {
  provider = await startProvider();
  world = await startWorld({ providers: { exact: { dialect: 'openai-chat', base_url: provider.url, auth: 'none' } } });
});
after(() => Promise.all([world.close(), provider.close()]));

/** A provider that says the same bytes to everyone. */
async function startProvider() {
  const server = createServer(async (request, response) => {
    const parts = await Array.fromAsync(request);
    const isStream = JSON.parse(Buffer.concat(parts)).stream === true;
    response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
    response.end(isStream ? STREAM_BODY : WHOLE_BODY);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/v1`, close: () => new Promise((resolve) => server.close(resolve)) };
}

describe('the request', () => {
  /** Sends a body through the edge, and returns it beside what the lab received. */
  async function through(path, dialect, template) {
    const model = await world.route([{ lab: 'first', dialect }]);
    const response = await world.post(path, template.replace('MODEL', model));
    assert.equal(response.status, 200, await response.text());
    return { received: world.calls('first', model)[0].body, expected: template.replace('MODEL', `${model}-0`) };
  }

  test('to /v1/chat/completions differs in the model alone', async () => {
    const { received, expected } = await through('/v1/chat/completions', 'openai-chat', `\t{${HOSTILE}}  \n`);
    assert.equal(received, expected);
  });

  test('of a stream differs in the model and the wish for usage', async () => {
    const { received, expected } = await through('/v1/chat/completions', 'openai-chat', `{${HOSTILE}, "stream" : true}`);
    const wish = '"stream_options":{"include_usage":true}';
    assert.equal(received.split(wish).length, 2, received);
    assert.equal(received.replace(`${wish},`, ''), expected);
  });

  test('keeps the client\'s own stream options', async () => {
    const options = '"stream":true , "stream_options" : { "x":1.50,"include_usage" : true }';
    const asked = await through('/v1/chat/completions', 'openai-chat', `{${HOSTILE},${options}}`);
    assert.equal(asked.received, asked.expected);
    const refused = await through('/v1/chat/completions', 'openai-chat', `{${HOSTILE},${options.replace('true }', 'false }')}}`);
    assert.equal(refused.received, refused.expected.replace('false }', 'true }'));
  });

  test('to /v1/messages differs in the model alone, streamed or not', async () => {
    for (const body of [`{${HOSTILE_MESSAGES}}`, `{${HOSTILE_MESSAGES} ,"stream":true}\n`]) {
      const { received, expected } = await through('/v1/messages', 'anthropic', body);
      assert.equal(received, expected);
    }
  });
});

describe('the answer', () => {
  const QUESTION = { model: 'exact/m', messages: [{ role: 'user', content: 'hi' }] };

  test('unstreamed is the provider\'s body', async () => {
    const response = await world.post('/v1/chat/completions', QUESTION);
    assert.equal(await response.text(), WHOLE_BODY);
  });

  test('streamed is the provider\'s stream, comments and unknown fields included', async () => {
    const response = await world.post('/v1/chat/completions', { ...QUESTION, stream: true });
    assert.equal(await response.text(), STREAM_BODY);
  });
});
