// A provider that keeps the bytes it is sent, and says the same bytes to everyone, in each dialect.
//
// For tests of what must not change on the way. Its answers are valid, and odd wherever a rebuild would show: escapes, integers beyond
// 2^53, white space, unknown fields, comments. Not here: what a lab does (waits, faults, checks of the request).

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const FIXTURES = new URL('../dialects/', import.meta.url);

const CHAT_WHOLE =
  '{ "id":"chatcmpl-x","object":"chat.completion", "created":1,\r\n"model":"m\\u0031","x":9007199254740993,'
  + '"choices":[{"index":0,"message":{"role":"assistant","content":"\\ud83d\\ude00 h\\u0069"},"finish_reason":"stop"}],'
  + '"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"x":1.50} }\n';
const CHAT_STREAM = [
  'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant"}}],"n":9007199254740993}\r\n\r\n',
  'data:{"id":"x", "choices":[{"index":0,"delta":{"content":"h\\u0069"}}]}\n\n',
  ': a comment in between\n\n',
  'event: odd\nid: 7\ndata: {"choices":[{"index":0,\ndata: "delta":{"content":" 世界"}}],"x":[1.50]}\n\n',
  'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
  'data: {"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
  'data: [DONE]\n\n',
].join('');

/** The dialects in which both sides can be the same, and where each is asked. Gemini has the model in its path. */
const PATHS = { 'openai-chat': '/v1/chat/completions', 'openai-responses': '/v1/responses', anthropic: '/v1/messages' };
const GEMINI = { whole: 'generateContent', stream: 'streamGenerateContent?alt=sse' };
const MODELS = '/v1beta/models/';

export const DIALECTS = [...Object.keys(PATHS), 'gemini'];

/** Where a client asks for `model` of the exact provider of a dialect. */
export function pathFor(dialect, model, isStream = false) {
  if (dialect !== 'gemini') return PATHS[dialect];
  return `${MODELS}${encodeURIComponent(`exact-gemini/${model}`)}:${isStream ? GEMINI.stream : GEMINI.whole}`;
}

/**
 * Starts it. `providers` is for `startWorld`: one for each dialect, `exact-<dialect>`. `answers[dialect]` is `{ whole, stream }` as
 * bytes, and `received()` the body of the last request as bytes.
 */
export async function startExact() {
  const answers = { 'openai-chat': { whole: Buffer.from(CHAT_WHOLE), stream: Buffer.from(CHAT_STREAM) } };
  for (const dialect of ['openai-responses', 'anthropic', 'gemini']) answers[dialect] = await oddly(dialect);
  let last;
  const server = createServer(async (request, response) => {
    last = Buffer.concat(await Array.fromAsync(request));
    const dialect = Object.keys(PATHS).find((dialect) => PATHS[dialect] === request.url) ?? 'gemini';
    const isStream = dialect === 'gemini' ? request.url.endsWith(GEMINI.stream) : /"stream"\s*:\s*true/.test(last.toString('latin1'));
    response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
    response.end(answers[dialect][isStream ? 'stream' : 'whole']);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `http://127.0.0.1:${server.address().port}`;
  const providers = DIALECTS.map((dialect) =>
    [`exact-${dialect}`, { dialect, base_url: `${base}${dialect === 'gemini' ? '/v1beta' : '/v1'}`, auth: 'none' }]);
  return {
    answers,
    providers: Object.fromEntries(providers),
    received: () => last,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

/** The answers of the fixture `text`, with a field that nobody knows and a comment. */
async function oddly(dialect) {
  const [whole, stream] = await Promise.all(['text.answer.json', 'text.stream.txt'].map((name) => readFile(new URL(`${dialect}/${name}`, FIXTURES), 'utf8')));
  return {
    whole: Buffer.from(whole.replace('{', '{ "x_odd" : [9007199254740993, "\\u00e9\\/", 1.50],\r\n')),
    stream: Buffer.from(stream.replace('\n\n', '\n\n: a comment in between\n\n')),
  };
}
