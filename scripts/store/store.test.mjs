// The stores' logic, and Cloudflare's REST API as a server on loopback has it.
//
// The server has the endpoints, shapes and limits of https://developers.cloudflare.com/api/resources/kv/ and the headers of
// https://developers.cloudflare.com/fundamentals/api/reference/limits/, both read in November 2026.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { adminStore } from './admin.mjs';
import { entryStore } from './entries.mjs';
import { entryNamed, historyKey, isHistoryKey, revisionBefore, revisionOf } from './names.mjs';
import { restKv } from './rest.mjs';

const ACCOUNT = 'a'.repeat(32);
const NAMESPACE = 'b'.repeat(32);
const TOKEN = 'the token of this test';

/** A KV namespace as the API has it. `faults` are answers that are given before anything is done, in order. */
async function cloudflare(t, { faults = [] } = {}) {
  const store = new Map();
  const calls = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request.setEncoding('utf8')) body += piece;
    const url = new URL(request.url, 'http://x');
    calls.push(`${request.method} ${url.pathname.split('/').slice(6).join('/')}`);
    const answer = (status, json, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify({ errors: [], messages: [], success: status === 200, ...json }));
    };
    const fault = faults.shift();
    if (fault === 'hang up') return request.socket.destroy();
    if (fault !== undefined) return answer(fault.status, { errors: fault.errors ?? [] }, fault.headers);
    const refuse = (status, code, message) => answer(status, { result: null, errors: [{ code, message }] });
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return refuse(403, 10000, 'Authentication error');
    const [, , account, , , , namespace, ...rest] = url.pathname.split('/');
    if (account !== ACCOUNT) return refuse(404, 7003, 'Could not route, perhaps your object identifier is invalid?');
    if (namespace !== NAMESPACE) return refuse(404, 10013, 'namespace not found');
    return answer(200, perform(store, `${request.method} /${rest.join('/')}`, url, body === '' ? undefined : JSON.parse(body)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const base = `http://127.0.0.1:${server.address().port}`;
  return { store, calls, base, options: { account: ACCOUNT, namespace: NAMESPACE, token: TOKEN, base } };
}

function perform(store, endpoint, url, body) {
  if (endpoint === 'POST /bulk/get') {
    assert.ok(body.keys.length <= 100, 'at most 100 keys');
    return { result: { values: Object.fromEntries(body.keys.map((key) => [key, store.get(key)?.value ?? null])) } };
  }
  if (endpoint === 'PUT /bulk') {
    assert.ok(body.length <= 10_000, 'at most 10,000 pairs');
    // A key whose name says so is not written the first time.
    const failed = body.filter(({ key }) => key.includes('at second try') && !store.has(`tried ${key}`));
    for (const { key } of failed) store.set(`tried ${key}`, {});
    for (const { key, value, metadata } of body) if (!failed.some((one) => one.key === key)) store.set(key, { value, metadata });
    return { result: { successful_key_count: body.length - failed.length, unsuccessful_keys: failed.map(({ key }) => key) } };
  }
  if (endpoint === 'POST /bulk/delete') {
    for (const key of body) store.delete(key);
    return { result: { successful_key_count: body.length, unsuccessful_keys: [] } };
  }
  assert.equal(endpoint, 'GET /keys');
  const limit = Number(url.searchParams.get('limit'));
  assert.ok(limit >= 10 && limit <= 1000, 'a limit from 10 to 1,000');
  const names = [...store.keys()].filter((name) => name.startsWith(url.searchParams.get('prefix'))).sort();
  const from = Number(url.searchParams.get('cursor') ?? 0);
  const result = names.slice(from, from + limit).map((name) => ({ name, metadata: store.get(name).metadata }));
  const cursor = from + limit < names.length ? String(from + limit) : '';
  return { result, result_info: { count: result.length, cursor } };
}

const pushed = (note) => ({ action: 'push', by: 'ann', note });
const store = (cloud) => entryStore(restKv(cloud.options), 'the test');

test('a push writes revisions and history before the entry, and nothing twice', async (t) => {
  const cloud = await cloudflare(t);
  const entries = store(cloud);
  await entries.write([{ entry: 'route:a', text: '{"a":"ä"}', was: undefined }], pushed('first'));
  const writes = [];
  const { set } = cloud.store;
  cloud.store.set = (key, value) => writes.push(key.replace(/\d{15}$/, 'N')) && set.call(cloud.store, key, value);
  const was = revisionOf('{"a":"ä"}');
  await entries.write([{ entry: 'route:a', text: '{}', was }], pushed('second'));
  assert.deepEqual(writes, [`revision:route:a@${revisionOf('{}')}`, 'history:route:a@N', 'route:a']);
  const changes = await entries.history('route:a');
  assert.deepEqual(
    changes.map(({ at: _, ...change }) => change),
    [
      { revision: revisionOf('{}'), was, by: 'ann', note: 'second', action: 'push' },
      { revision: was, by: 'ann', note: 'first', action: 'push' },
    ],
  );
  assert.equal(await entries.revisionText('route:a', was), '{"a":"ä"}');
  assert.equal(await entries.revisionText('route:a', '0'.repeat(16)), undefined);
});

test('an entry that was put past the history is noted and kept before it is replaced', async (t) => {
  const cloud = await cloudflare(t);
  cloud.store.set('route:a', { value: 'raw' });
  await store(cloud).write([{ entry: 'route:a', text: null, was: revisionOf('raw') }], { action: 'delete' });
  assert.equal(cloud.store.has('route:a'), false);
  assert.equal(cloud.store.get(`revision:route:a@${revisionOf('raw')}`).value, 'raw');
  const changes = await store(cloud).history('route:a');
  assert.deepEqual(changes.map(({ action }) => action), ['delete', 'found']);
  assert.equal(revisionBefore(changes, undefined), revisionOf('raw'));
});

test('a push that came in between is told, and nothing of this one is written', async (t) => {
  const cloud = await cloudflare(t);
  cloud.store.set('route:a', { value: 'theirs' });
  const before = [...cloud.store.keys()];
  const changes = [
    { entry: 'route:a', text: 'ours', was: revisionOf('what we saw') },
    { entry: 'route:b', text: 'ours', was: undefined },
  ];
  await assert.rejects(store(cloud).write(changes, pushed()), /Somebody changed route:a since/);
  assert.deepEqual([...cloud.store.keys()], before);
  const gone = [{ entry: 'route:gone', text: 'ours', was: revisionOf('x') }];
  await assert.rejects(store(cloud).write(gone, pushed()), /Somebody changed route:gone/);
});

test('more keys than a request may have go in several, and lists follow their cursor', async (t) => {
  const cloud = await cloudflare(t);
  const kv = restKv(cloud.options);
  const pairs = Array.from({ length: 1203 }, (_, i) => ({ key: `route:${String(i).padStart(4, '0')}`, value: String(i), metadata: { i } }));
  await kv.write(pairs);
  const found = await kv.read([...pairs.map(({ key }) => key), 'route:none']);
  assert.equal(found.size, 1203);
  assert.equal(found.get('route:1202'), '1202');
  const listed = await kv.list('route:');
  assert.deepEqual([listed.length, listed.at(-1)], [1203, { name: 'route:1202', metadata: { i: 1202 } }]);
  assert.equal((await kv.list('route:', 200)).length, 200);
  await kv.write(pairs.map(({ key }) => ({ key, value: null })));
  assert.deepEqual(await kv.list('route:'), []);
});

test('what a bulk write did not write is written again', async (t) => {
  const cloud = await cloudflare(t);
  await restKv(cloud.options).write([{ key: 'x', value: '1' }, { key: 'y at second try', value: '2' }]);
  assert.deepEqual([cloud.store.get('x').value, cloud.store.get('y at second try').value], ['1', '2']);
  assert.equal(cloud.calls.length, 2);
});

test('429, 5xx and a broken connection are tried again, 429 after what Retry-After asks', async (t) => {
  const cloud = await cloudflare(t, { faults: [{ status: 429, headers: { 'retry-after': '0' } }, { status: 503, headers: { 'retry-after': '0' } }, 'hang up'] });
  cloud.store.set('flags', { value: '{}' });
  assert.deepEqual([...(await restKv(cloud.options).read(['flags']))], [['flags', '{}']]);
  assert.equal(cloud.calls.length, 4);
});

test('what stays refused is told with its remedy, and the token never', async (t) => {
  const again = { status: 429, headers: { 'retry-after': '0' } };
  for (const [change, faults, words] of [
    [{ token: 'another secret' }, [], /"Workers KV Storage: Edit"/],
    [{ namespace: 'c'.repeat(32) }, [], /no KV namespace c+\. Put the id/],
    [{ account: 'd'.repeat(32) }, [], /no account d+\. Set CLOUDFLARE_ACCOUNT_ID/],
    [{}, [again, again, again, again], /takes no more calls for now \(429\)/],
    [{}, [{ status: 400, errors: [{ code: 10147, message: 'odd' }] }], /answered 400/],
  ]) {
    const cloud = await cloudflare(t, { faults });
    const error = await restKv({ ...cloud.options, ...change }).read(['flags']).then(assert.fail, (error) => error);
    assert.match(String(error), words);
    assert.doesNotMatch(String(error), /secret|the token of this test/);
  }
});

test('an API that is not there is told with its address', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  const admin = adminStore(`http://127.0.0.1:${port}`, 'key');
  const change = [{ entry: 'route:a', text: '{}', was: undefined }];
  await assert.rejects(admin.write(change, pushed()), new RegExp(`no answer from http://127.0.0.1:${port} \\(ECONNREFUSED\\)`));
});

test('names and places are as the Worker has them', () => {
  assert.equal(historyKey('route:chat', 1_790_000_000_000), 'history:route:chat@998209999999999');
  assert.ok(isHistoryKey('route:chat', 'history:route:chat@998209999999999'));
  assert.ok(!isHistoryKey('route:chat', 'history:route:chat@2@998209999999999'));
  const named = ['split', 'team/a', 'flags', 'route:x', `key:${'a'.repeat(64)}`, 'key:short'].map(entryNamed);
  assert.deepEqual(named, ['route:split', 'route:team/a', 'flags', 'route:x', `key:${'a'.repeat(64)}`, 'route:key:short']);
});

test('the revision before the live one is what that one replaced', () => {
  const changes = [{ revision: 'a', was: 'b' }, { revision: 'b', was: 'a' }, { revision: 'a' }];
  assert.equal(revisionBefore(changes, 'a'), 'b');
  assert.equal(revisionBefore(changes, 'b'), 'a');
  assert.equal(revisionBefore(changes.slice(2), 'a'), undefined);
  assert.equal(revisionBefore(changes, 'put past it'), 'a');
  assert.equal(revisionBefore([{ was: 'c' }, { revision: 'c' }], undefined), 'c');
});
