// Entries over the admin API: who changes one says which revision it was read at, what is broken is refused whole, and
// every revision can be gone back to.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { ADMIN_KEY, startWorld } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
/** An interval at which nothing is read again during a test. */
const NEVER_MS = '600000';
const HASH = 'ab'.repeat(32);
const RACERS = 24;

let world;
before(async () => {
  world = await startWorld({ bindings: { REFRESH_MS: NEVER_MS } });
  for (const lab of Object.values(world.labs)) lab.setScript('lab-small', { ttft_ms: 0, tokens_per_s: 0 });
});
after(() => world.close());

const route = (lab, more = {}) => JSON.stringify({ targets: [{ id: lab, provider: lab, model: 'lab-small' }], ...more });
const revision = (text) => createHash('sha256').update(text).digest('hex').slice(0, 16);
const tag = (text) => `"${revision(text)}"`;

async function ask(method, path, { body, headers } = {}) {
  const response = await world.fetch(`/admin/api/config${path}`, {
    method,
    body,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, ...headers },
  });
  const text = await response.text();
  return { status: response.status, etag: response.headers.get('etag'), text, json: text.startsWith('{') ? JSON.parse(text) : undefined };
}

const put = (entry, body, headers) => ask('PUT', `/${encodeURIComponent(entry)}`, { body, headers });
const remove = (entry, headers) => ask('DELETE', `/${encodeURIComponent(entry)}`, { headers });
const history = async (entry) => (await ask('GET', `/${encodeURIComponent(entry)}/history`)).json;
const kv = () => world.mf.getKVNamespace('KV');

async function targetOf(model) {
  const response = await world.post('/v1/chat/completions', { model, messages: QUESTION });
  await response.text();
  return response.headers.get('x-waypost-target') ?? response.status;
}

describe('a put', () => {
  test('makes a new route, live at once, with its revision as entity tag', async () => {
    const made = await put('route:team/new', route('first'), { 'x-waypost-by': 'ann', 'x-waypost-note': 'f%C3%BCr%20alle' });
    assert.deepEqual([made.status, made.etag], [201, tag(route('first'))]);
    assert.deepEqual(made.json, { entry: 'route:team/new', revision: revision(route('first')) });
    assert.equal(await targetOf('team/new'), 'first');
    const read = await ask('GET', '/route:team%2Fnew');
    assert.deepEqual([read.status, read.etag, read.text], [200, tag(route('first')), route('first')]);
    const { changes } = await history('route:team/new');
    const [{ at, ...change }] = changes;
    assert.deepEqual([changes.length, change], [1, { revision: revision(route('first')), by: 'ann', note: 'für alle', action: 'push' }]);
    assert.ok(Math.abs(Date.now() - at) < 60_000);
    const { data } = await (await world.fetch('/v1/models')).json();
    assert.ok(data.some(({ id }) => id === 'team/new'));
  });

  test('writes the revision byte for byte and the history under its key', async () => {
    const text = `${route('first')}\n `;
    await put('route:bytes', text);
    const store = await kv();
    assert.equal(await store.get('route:bytes'), text);
    assert.equal(await store.get(`revision:route:bytes@${revision(text)}`), text);
    const { keys } = await store.list({ prefix: 'history:route:bytes@' });
    assert.match(keys[0].name, /@\d{15}$/);
    assert.equal(999_999_999_999_999 - Number(keys[0].name.split('@')[1]), keys[0].metadata.at);
    assert.deepEqual(JSON.parse(await store.get(keys[0].name)), keys[0].metadata);
  });

  test('of an existing entry wants its revision: 428 without, 412 with another, and both tell the live one', async () => {
    await put('route:guarded', route('first'));
    for (const [headers, status, code] of [
      [{}, 428, 'precondition_required'],
      [{ 'if-match': '"0123456789abcdef"' }, 412, 'precondition_failed'],
      [{ 'if-none-match': '*' }, 412, 'precondition_failed'],
    ]) {
      const refused = await put('route:guarded', route('second'), headers);
      assert.deepEqual([refused.status, refused.json.error.code, refused.etag], [status, code, tag(route('first'))]);
    }
    const absent = await put('route:absent', route('first'), { 'if-match': '*' });
    assert.deepEqual([absent.status, absent.etag], [412, null]);
    assert.equal(await targetOf('guarded'), 'first');
    const changed = await put('route:guarded', route('second'), { 'if-match': tag(route('first')) });
    assert.deepEqual([changed.status, changed.json.was], [200, revision(route('first'))]);
    assert.equal(await targetOf('guarded'), 'second');
  });

  test('of the same text changes nothing and leaves no history', async () => {
    await put('route:same', route('first'));
    const again = await put('route:same', route('first'), { 'if-match': tag(route('first')) });
    assert.equal(again.status, 200);
    assert.equal((await history('route:same')).changes.length, 1);
  });

  test('that races others wins alone, and the others are told', async () => {
    await put('route:race-end', route('first'));
    await put('route:raced', route('first'));
    // Here one may be done before the next one reads; src/config/claims.rs has those that read before anyone writes.
    const rules = [{ when: { key: 'x' }, route: 'race-end' }];
    const texts = Array.from({ length: RACERS }, (_, i) => route('second', { description: `writer ${i}`, rules }));
    const headers = { 'if-match': tag(route('first')) };
    const answers = await Promise.all(texts.map((text) => put('route:raced', text, headers)));
    const won = answers.filter(({ status }) => status === 200);
    const told = answers.filter(({ status, etag }) => status === 412 && etag === won[0]?.etag);
    assert.deepEqual([won.length, told.length], [1, RACERS - 1]);
    assert.equal((await ask('GET', '/route:raced')).etag, won[0].etag);
    assert.equal((await history('route:raced')).changes.length, 2);
  });

  test('of something broken is refused with every problem, and nothing is written', async () => {
    const broken = JSON.stringify({
      targets: [{ provider: 'frist', model: 'm' }, { provider: 'second', model: 'm', weight: -1 }],
      rules: [{ when: { key: 'x' }, route: 'nowhere' }],
      deadlines: { first_tokn_ms: 5 },
    });
    const refused = await put('route:broken', broken);
    assert.deepEqual([refused.status, refused.json.error.code], [422, 'invalid_entry']);
    const paths = refused.json.error.problems.map(({ path }) => path).sort();
    assert.deepEqual(paths, ['deadlines.first_tokn_ms', 'rules[0].route', 'targets[0].provider', 'targets[1].weight']);
    assert.equal(refused.json.error.problems.find(({ path }) => path === 'targets[0].provider').nearest, 'first');
    const store = await kv();
    for (const prefix of ['route:broken', 'revision:route:broken', 'history:route:broken']) {
      assert.deepEqual((await store.list({ prefix })).keys, []);
    }
  });

  test('that closes a circle of redirects is refused', async () => {
    const to = (name) => route('first', { rules: [{ when: { key: 'x' }, route: name }] });
    await put('route:ring-a', route('first'));
    assert.equal((await put('route:ring-b', to('ring-a'))).status, 201);
    const refused = await put('route:ring-a', to('ring-b'), { 'if-match': '*' });
    assert.equal(refused.status, 422);
    assert.match(refused.json.error.problems[0].expected, /does not lead back/);
    assert.equal((await put('route:ring-c', to('ring-c'))).status, 422);
  });

  test('of terms of a key admits it at once, and wrong ones are refused', async () => {
    const key = 'a key of this test';
    const entry = `key:${createHash('sha256').update(key).digest('hex')}`;
    const call = () => world.fetch('/v1/models', { headers: { authorization: `Bearer ${key}` } });
    assert.equal((await call()).status, 401);
    assert.equal((await put(entry, '{"name": "test"}')).status, 201);
    assert.equal((await call()).status, 200);
    assert.equal((await put(`key:${HASH}`, '{"route": []}')).json.error.problems[0].nearest, 'routes');
    assert.equal((await remove(entry, { 'if-match': '*' })).status, 200);
    assert.equal((await call()).status, 401);
  });

  test('that is too large, no text, or under no entry\'s name is refused', async () => {
    const large = await put('route:large', ' '.repeat(513 * 1024));
    assert.equal(large.status, 413);
    assert.match(large.json.error.message, /an entry may have/);
    assert.equal((await put('route:bytes-alone', new Uint8Array([0x7b, 0xff]))).status, 400);
    for (const entry of ['health', 'good:providers', 'key:plain', 'route:', 'route:a\nb', 'meta:loaded']) {
      assert.equal((await put(entry, '{}')).status, 404, entry);
    }
    assert.equal((await ask('PUT', '/route:%E0%A4%A', { body: '{}' })).status, 404);
    assert.equal((await put('route:noted', route('first'), { 'x-waypost-note': 'x'.repeat(257) })).status, 400);
    assert.equal((await put('flags', '[]')).status, 422);
  });
});

describe('providers', () => {
  test('that would break a live route are refused with the route\'s name', async () => {
    await put('route:leans', route('second'));
    const { first } = world.providers;
    const refused = await put('providers', JSON.stringify({ providers: { first } }), { 'if-match': '*' });
    assert.equal(refused.status, 422);
    const paths = refused.json.error.problems.map(({ path }) => path);
    assert.ok(paths.includes('route:leans: targets[0].provider'), `${paths}`);
    assert.equal((await remove('providers', { 'if-match': '*' })).status, 422);
  });

  test('are changed like any entry', async () => {
    const before = await ask('GET', '/providers');
    const text = JSON.stringify({ providers: { ...world.providers, third: world.providers.first } });
    assert.equal((await put('providers', text, { 'if-match': before.etag })).status, 200);
    assert.equal(await targetOf('third/lab-small'), 'third/lab-small');
    const { changes } = await history('providers');
    assert.deepEqual(changes.map(({ action, revision: one }) => [action, one]), [['push', revision(text)], ['found', revision(before.text)]]);
    assert.equal((await ask('POST', '/providers/rollback', { headers: { 'if-match': tag(text) } })).etag, before.etag);
  });
});

describe('a rollback', () => {
  const rollback = (entry, headers, body) => ask('POST', `/${encodeURIComponent(entry)}/rollback`, { headers, body });

  test('goes to the revision before the live one, is live at once, and is undone by another', async () => {
    await put('route:back', route('first'));
    await put('route:back', route('second'), { 'if-match': '*' });
    assert.equal((await rollback('route:back', {})).status, 428);
    const back = await rollback('route:back', { 'if-match': tag(route('second')), 'x-waypost-note': 'oops' });
    assert.deepEqual([back.status, back.etag], [200, tag(route('first'))]);
    assert.equal(await targetOf('back'), 'first');
    await rollback('route:back', { 'if-match': tag(route('first')) });
    assert.equal(await targetOf('back'), 'second');
    const { changes, revision: live } = await history('route:back');
    assert.equal(live, revision(route('second')));
    assert.deepEqual(changes.map(({ action, note }) => [action, note]), [
      ['rollback', undefined],
      ['rollback', 'oops'],
      ['push', undefined],
      ['push', undefined],
    ]);
  });

  test('goes to a revision that is named, and to none that is not kept', async () => {
    const texts = ['one', 'two', 'three'].map((description) => route('first', { description }));
    await put('route:named', texts[0]);
    for (const text of texts.slice(1)) await put('route:named', text, { 'if-match': '*' });
    const named = await rollback('route:named', { 'if-match': '*' }, JSON.stringify({ revision: revision(texts[0]) }));
    assert.equal(named.etag, tag(texts[0]));
    assert.equal((await ask('GET', `/route:named/revisions/${revision(texts[1])}`)).text, texts[1]);
    const unknown = await rollback('route:named', { 'if-match': '*' }, '{"revision": "0000000000000000"}');
    assert.deepEqual([unknown.status, unknown.json.error.code], [404, 'revision_not_found']);
    assert.equal((await rollback('route:named', { 'if-match': '*' }, '[1')).status, 400);
  });

  test('brings back a route that was put past the history', async () => {
    await world.put('route:raw', route('first'));
    assert.equal((await rollback('route:raw', { 'if-match': '*' })).status, 409);
    await put('route:raw', route('second'), { 'if-match': tag(route('first')) });
    await rollback('route:raw', { 'if-match': '*' });
    assert.equal(await targetOf('raw'), 'first');
    const { changes } = await history('route:raw');
    assert.deepEqual(changes.map(({ action }) => action), ['rollback', 'push', 'found']);
  });

  test('of what has become broken meanwhile is refused', async () => {
    await put('route:front', route('first'));
    await put('route:behind', route('first', { rules: [{ when: { key: 'x' }, route: 'front' }] }));
    await put('route:behind', route('first'), { 'if-match': '*' });
    await remove('route:front', { 'if-match': '*' });
    const refused = await rollback('route:behind', { 'if-match': '*' });
    assert.deepEqual([refused.status, refused.json.error.problems[0].path], [422, 'rules[0].route']);
  });
});

describe('a deletion', () => {
  test('takes the route away at once, keeps its history, and can be gone back on', async () => {
    await put('route:goes', route('first'));
    assert.equal((await remove('route:goes')).status, 428);
    assert.equal((await remove('route:goes', { 'if-match': tag(route('second')) })).status, 412);
    const gone = await remove('route:goes', { 'if-match': tag(route('first')) });
    assert.deepEqual([gone.status, gone.json], [200, { entry: 'route:goes', was: revision(route('first')) }]);
    assert.equal(await targetOf('goes'), 404);
    assert.equal((await remove('route:goes', { 'if-match': '*' })).status, 404);
    const { changes, revision: live } = await history('route:goes');
    assert.deepEqual([live, changes.map(({ action }) => action)], [null, ['delete', 'push']]);
    assert.equal((await ask('POST', '/route:goes/rollback')).status, 201);
    assert.equal(await targetOf('goes'), 'first');
  });

  test('of a route that others lead to is refused', async () => {
    await put('route:end', route('first'));
    await put('route:start', route('first', { rules: [{ when: { key: 'x' }, route: 'end' }] }));
    const refused = await remove('route:end', { 'if-match': '*' });
    assert.deepEqual([refused.status, refused.json.error.problems[0].path], [422, 'route:start: rules[0].route']);
  });
});

test('the list has every entry with its revision, and is for the admin key alone', async () => {
  await put('route:listed', route('first'));
  const { entries } = (await ask('GET', '')).json;
  assert.deepEqual(entries.find(({ entry }) => entry === 'route:listed'), { entry: 'route:listed', revision: revision(route('first')) });
  assert.ok(entries.some(({ entry }) => entry === 'providers'));
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const response = await world.fetch('/admin/api/config/route:listed', { method, body: method === 'PUT' ? '{}' : undefined });
    assert.equal(response.status, 401, method);
  }
});
