// What a provider keeps for its clients, by OpenAI's SDK: found, changed and ended at the one provider that a key's terms
// name, and by no other key.

import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import OpenAI from 'openai';

import { startWorld, until } from './world.mjs';

let world;
let keeper;
before(async () => {
  keeper = await startKeeper();
  world = await startWorld({
    labs: [],
    providers: {
      keeper: { dialect: 'openai-chat', base_url: `${keeper.url}/v1?api-version=7`, auth: { bearer: 'KEEPER_KEY' } },
      locked: { dialect: 'openai-chat', base_url: `${keeper.url}/v1`, auth: { bearer: 'NOT_SET' } },
      other: { dialect: 'anthropic', base_url: `${keeper.url}/v1`, auth: 'none' },
      nobody: { dialect: 'openai-chat', base_url: 'http://127.0.0.1:1/v1', auth: 'none' },
    },
    bindings: { KEEPER_KEY: 'sk-keeper' },
  });
});
after(() => Promise.all([world?.close(), keeper?.close()]));

/** A provider that tells what it was asked for. Ids say what it does: `missing`, `limited`, `refused`, `moved`. */
async function startKeeper() {
  const calls = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request)).toString();
    calls.push({ method: request.method, url: request.url, headers: request.headers, body });
    const json = (status, answer, headers = {}) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(answer));
    const error = { message: 'as scripted', type: 'invalid_request_error', code: null, param: null };
    if (request.url.includes('missing')) return json(404, { error });
    if (request.url.includes('limited')) return json(429, { error }, { 'retry-after': '7', 'x-secret': 'of the provider' });
    if (request.url.includes('refused')) return json(401, { error });
    if (request.url.includes('moved')) return response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
    if (request.method === 'GET' && request.url.startsWith('/v1/chat/completions?')) {
      return json(200, { object: 'list', data: [{ id: 'chatcmpl-1' }, { id: 'chatcmpl-2' }], first_id: 'chatcmpl-1', last_id: 'chatcmpl-2', has_more: false });
    }
    return json(200, { id: 'kept', deleted: request.method === 'DELETE' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    calls,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

/** An SDK with a key of these terms. */
async function clientWith(terms) {
  const apiKey = randomUUID();
  await world.put(`key:${createHash('sha256').update(apiKey).digest('hex')}`, terms);
  const client = new OpenAI({ baseURL: `${world.url}/v1`, apiKey, maxRetries: 0 });
  await until('the key to be known', async () => (await fetch(`${world.url}/v1/models`, { headers: { authorization: `Bearer ${apiKey}` } })).ok);
  return client;
}

const fails = (promise) => promise.then(assert.fail, (error) => error);

test('every path of the list reaches the provider as it was called, with its secret alone', async () => {
  const client = await clientWith({ kept_at: 'keeper' });
  const listed = await client.chat.completions.list({ limit: 2, metadata: { a: 'b' } });
  assert.deepEqual(listed.data.map(({ id }) => id), ['chatcmpl-1', 'chatcmpl-2']);
  await client.chat.completions.update('chatcmpl-1', { metadata: { 'is': 'kept' } });
  await client.chat.completions.messages.list('chatcmpl-1');
  assert.equal((await client.chat.completions.delete('chatcmpl-1')).deleted, true);
  await client.responses.retrieve('resp_1', { include: ['reasoning.encrypted_content'] });
  await client.responses.cancel('resp_1');
  await client.responses.inputItems.list('resp_1');
  await client.responses.delete('resp_1');
  assert.equal((await client.models.delete('ft:gpt-4o-mini:acme:x:7p4lURel')).deleted, true);
  assert.deepEqual(keeper.calls.map(({ method, url }) => `${method} ${decodeURIComponent(url)}`), [
    'GET /v1/chat/completions?limit=2&metadata[a]=b&api-version=7',
    'POST /v1/chat/completions/chatcmpl-1?api-version=7',
    'GET /v1/chat/completions/chatcmpl-1/messages?api-version=7',
    'DELETE /v1/chat/completions/chatcmpl-1?api-version=7',
    'GET /v1/responses/resp_1?include[]=reasoning.encrypted_content&api-version=7',
    'POST /v1/responses/resp_1/cancel?api-version=7',
    'GET /v1/responses/resp_1/input_items?api-version=7',
    'DELETE /v1/responses/resp_1?api-version=7',
    'DELETE /v1/models/ft:gpt-4o-mini:acme:x:7p4lURel?api-version=7',
  ]);
  assert.equal(keeper.calls[1].body, '{"metadata":{"is":"kept"}}');
  assert.ok(keeper.calls.every(({ headers }) => headers.authorization === 'Bearer sk-keeper'));
  assert.ok(keeper.calls.every(({ headers }) => !Object.keys(headers).some((name) => name.startsWith('x-stainless'))));
});

test('the provider\'s own refusals are the client\'s to read, and its 401 is the operator\'s', async () => {
  const client = await clientWith({ kept_at: 'keeper' });
  assert.ok(await fails(client.responses.retrieve('missing')) instanceof OpenAI.NotFoundError);
  const limited = await fails(client.responses.retrieve('limited'));
  assert.ok(limited instanceof OpenAI.RateLimitError);
  assert.equal(limited.headers.get('retry-after'), '7');
  assert.equal(limited.headers.get('x-secret'), null);
  for (const [id, status, code] of [['refused', 502, 'provider_key_rejected'], ['moved', 502, 'provider_unreachable']]) {
    const error = await fails(client.responses.retrieve(id));
    assert.deepEqual([error.status, error.code], [status, code]);
  }
});

test('a key without the term reaches nothing, and neither does one whose provider has no such paths', async () => {
  const before = keeper.calls.length;
  for (const [terms, status, code] of [
    [{}, 403, 'not_allowed'],
    [{ kept_at: 'other' }, 503, 'key_unusable'],
    [{ kept_at: 'unheard-of' }, 503, 'key_unusable'],
    [{ kept_at: 'locked' }, 502, 'provider_key_rejected'],
    [{ kept_at: 'nobody' }, 502, 'provider_unreachable'],
  ]) {
    const client = await clientWith(terms);
    for (const call of [() => client.chat.completions.retrieve('chatcmpl-1'), () => client.models.delete('m')]) {
      const error = await fails(call());
      assert.deepEqual([error.status, error.code], [status, code], JSON.stringify(terms));
    }
  }
  const nobody = await fetch(`${world.url}/v1/responses/resp_1`, { headers: { authorization: 'Bearer nobody' } });
  assert.equal(nobody.status, 401);
  assert.equal(keeper.calls.length, before);
});
