// Amazon Bedrock: a signed call, and a binary stream that a client gets as its own events.
//
// The provider here checks the signature as AWS would, with its own code: it computes it anew from what it received.

import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';

import { startWorld } from './world.mjs';

const [ID, SECRET, TOKEN] = ['AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG', 'IQoJb3Jp//token+='];
const REGION = 'eu-central-1';
const MODEL = 'arn:aws:bedrock:eu-central-1:1:inference-profile/eu.x-v1:0';
const USAGE = { inputTokens: 3, outputTokens: 5, totalTokens: 8 };
const ANSWER = {
  output: { message: { role: 'assistant', content: [{ text: 'Hello there' }] } },
  stopReason: 'end_turn',
  usage: USAGE,
  metrics: { latencyMs: 1 },
};
const STREAM = [
  ['messageStart', { role: 'assistant' }],
  ['contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Hello' }, p: 'abcd' }],
  ['contentBlockDelta', { contentBlockIndex: 0, delta: { text: ' there' }, p: 'ab' }],
  ['contentBlockStop', { contentBlockIndex: 0 }],
  ['messageStop', { stopReason: 'end_turn' }],
  ['metadata', { usage: USAGE, metrics: { latencyMs: 1 } }],
];

let world;
let provider;
before(async () => {
  provider = await startProvider();
  const aws = { dialect: 'bedrock', base_url: provider.url };
  const sigv4 = (secret) => ({ ...aws, auth: { aws_sigv4: { secret, region: REGION } } });
  const key = { ...aws, auth: { bearer: 'API_KEY' } };
  const providers = { aws: sigv4('AWS_KEYS'), temporary: sigv4('AWS_TEMPORARY'), odd: sigv4('AWS_ODD'), key };
  const bindings = {
    AWS_KEYS: `${ID}:${SECRET}`, AWS_TEMPORARY: `${ID}:${SECRET}:${TOKEN}`, AWS_ODD: SECRET, API_KEY: 'bedrock-api-key',
  };
  world = await startWorld({ labs: [], providers, bindings });
});
after(() => Promise.all([world?.close(), provider?.close()]));

async function startProvider() {
  const calls = [];
  const state = { answer: undefined };
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request)).toString();
    calls.push({ path: request.url, headers: request.headers, body, signature: signature(request, body) });
    if (state.answer) {
      const [status, headers, text] = state.answer;
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(text);
    } else if (request.url.endsWith('/converse')) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(ANSWER));
    } else {
      response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' });
      const bytes = Buffer.concat(STREAM.map(([type, payload]) => message(type, payload)));
      // Cut where no message ends.
      response.write(bytes.subarray(0, 150));
      response.end(bytes.subarray(150));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${server.address().port}`;
  return { url, calls, state, close: () => new Promise((resolve) => server.close(resolve)) };
}

function message(type, payload) {
  const header = (name, value) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(Buffer.byteLength(value));
    return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([7]), length, Buffer.from(value)]);
  };
  const headers = Buffer.concat([header(':event-type', type), header(':message-type', 'event')]);
  const body = Buffer.from(JSON.stringify(payload));
  const number = (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value >>> 0);
    return bytes;
  };
  const lengths = Buffer.concat([number(headers.length + body.length + 16), number(headers.length)]);
  const rest = Buffer.concat([lengths, number(crc32(lengths)), headers, body]);
  return Buffer.concat([rest, number(crc32(rest))]);
}

/** The signature that the request should have. */
function signature(request, body) {
  const names = /SignedHeaders=([^,]+)/.exec(request.headers.authorization ?? '')?.[1].split(';');
  if (names === undefined) return undefined;
  const sha = (text) => createHash('sha256').update(text).digest('hex');
  const mac = (key, text) => createHmac('sha256', key).update(text).digest();
  const path = request.url.split('/').map(encodeURIComponent).join('/');
  const lines = names.map((name) => `${name}:${request.headers[name]}\n`).join('');
  const canonical = ['POST', path, '', lines, names.join(';'), sha(body)].join('\n');
  const time = request.headers['x-amz-date'];
  const scope = [time.slice(0, 8), REGION, 'bedrock', 'aws4_request'];
  const key = scope.reduce(mac, `AWS4${SECRET}`);
  return mac(key, ['AWS4-HMAC-SHA256', time, scope.join('/'), sha(canonical)].join('\n')).toString('hex');
}

const ask = (name, fields = {}) =>
  world.post('/v1/chat/completions', { model: `${name}/${MODEL}`, messages: [{ role: 'user', content: 'Hi' }], ...fields });

test('a call is signed, with a session\'s token where there is one', async () => {
  for (const name of ['aws', 'temporary']) {
    const before_ms = Date.now();
    const response = await ask(name);
    const { choices, usage } = await response.json();
    assert.deepEqual([choices[0].message.content, choices[0].finish_reason, usage.total_tokens], ['Hello there', 'stop', 8]);
    const { path, headers, body, signature: expected } = provider.calls.at(-1);
    assert.equal(path, `/model/${encodeURIComponent(MODEL)}/converse`);
    assert.deepEqual(JSON.parse(body), { messages: [{ role: 'user', content: [{ text: 'Hi' }] }] });
    assert.ok(headers.authorization.startsWith(`AWS4-HMAC-SHA256 Credential=${ID}/`));
    assert.equal(headers['content-type'], 'application/json');
    assert.ok(headers.authorization.endsWith(`Signature=${expected}`), headers.authorization);
    assert.equal(headers['x-amz-security-token'], name === 'temporary' ? TOKEN : undefined);
    const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(headers['x-amz-date']);
    const sent_ms = Date.UTC(year, month - 1, day, hour, minute, second);
    assert.ok(sent_ms >= before_ms - 1_000 && sent_ms <= Date.now(), headers['x-amz-date']);
  }
});

test('an API key is a bearer token', async () => {
  assert.equal((await ask('key')).status, 200);
  assert.equal(provider.calls.at(-1).headers.authorization, 'Bearer bedrock-api-key');
});

test('a secret of another form is named, and shown to nobody', async () => {
  const calls = provider.calls.length;
  const response = await ask('odd');
  const text = await response.text();
  assert.equal(response.status, 502);
  assert.match(text, /AWS_ODD/);
  assert.ok(!text.includes(SECRET));
  assert.equal(provider.calls.length, calls);
});

test('a binary stream becomes the client\'s events', async () => {
  const client = world.openai();
  const stream = await client.chat.completions.create({
    model: `aws/${MODEL}`, stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: 'Hi' }],
  });
  const chunks = await Array.fromAsync(stream);
  assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), 'Hello there');
  assert.equal(chunks.at(-1).usage.total_tokens, 8);
  assert.match(provider.calls.at(-1).path, /\/converse-stream$/);
  assert.ok(provider.calls.at(-1).headers.authorization.endsWith(provider.calls.at(-1).signature));
});

test('the header that names an error is read', async () => {
  provider.state.answer = [400, { 'x-amzn-errortype': 'ServiceQuotaExceededException:http://x.example/' }, '{"message":"no"}'];
  const response = await ask('key');
  provider.state.answer = undefined;
  assert.equal(response.status, 429);
});
