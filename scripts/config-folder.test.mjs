import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { loadInto, readConfigFolder, withMovedOrigins } from './config-folder.mjs';

const HASH = 'ab'.repeat(32);

function folderWith(t, files) {
  const folder = mkdtempSync(join(tmpdir(), 'waypost-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

test('a folder becomes KV entries with the text as the team wrote it', async (t) => {
  const folder = folderWith(t, {
    'providers.json': '\uFEFF{"providers":{"own":{"auth":{"bearer":["OWN_A","OWN_B"]}}}}',
    'flags.json': '{"beta":{"share":0.10}}',
    'routes/chat.json': '{"$schema":"x","b":1,"a":12345678901234567890}',
    'routes/acme/chat.json': '{}',
    'routes/notes.txt': 'not a route',
    'lab/quick.json': '{}',
  });
  const { entries, routes, secrets } = await readConfigFolder(folder);
  assert.deepEqual(Object.fromEntries(entries), {
    providers: '{"providers":{"own":{"auth":{"bearer":["OWN_A","OWN_B"]}}}}',
    flags: '{"beta":{"share":0.10}}',
    'route:acme/chat': '{}',
    'route:chat': '{"$schema":"x","b":1,"a":12345678901234567890}',
  });
  assert.deepEqual(routes, ['acme/chat', 'chat']);
  assert.deepEqual([...secrets], ['OWN_A', 'OWN_B']);
});

test('a route may be a link to a file; what is hidden or leads in a circle is none', async (t) => {
  const folder = folderWith(t, { elsewhere: '{}', 'routes/._chat.json': '\0', 'routes/.git/x.json': '{}', 'routes/acme/y.json': '{}' });
  for (const [name, to] of Object.entries({ 'linked.json': '../elsewhere', circle: '.', 'dangling.json': 'nowhere', 'endless.json': '/dev/zero' })) {
    symlinkSync(to, join(folder, 'routes', name));
  }
  assert.deepEqual((await readConfigFolder(folder)).routes, ['acme/y', 'linked']);
});

test('a plain key is stored as its hash alone', async (t) => {
  const keys = {
    $schema: 'x',
    'wp-demo': { team: 'a' },
    [HASH.toUpperCase()]: 1,
    [`sha256:${'cd'.repeat(32)}`]: 2,
  };
  const { entries, plainKeys } = await readConfigFolder(folderWith(t, { 'keys.json': JSON.stringify(keys) }));
  const demo = createHash('sha256').update('wp-demo').digest('hex');
  assert.deepEqual(Object.fromEntries(entries), {
    [`key:${demo}`]: '{"team":"a"}',
    [`key:${HASH}`]: '1',
    [`key:${'cd'.repeat(32)}`]: '2',
  });
  assert.equal(plainKeys, 1);
});

test('everything unreadable is told at once, with file, line and column', async (t) => {
  const folder = folderWith(t, {
    'routes/a.json': '{\n  "x": 1,,\n}',
    'routes/b.json': '{"x": [1, 2',
    'keys.json': JSON.stringify({ [HASH]: 1, [`sha256:${HASH}`]: 2 }),
  });
  await assert.rejects(readConfigFolder(folder), ({ details }) => {
    assert.match(details, /^routes\/a\.json:2:10: /m);
    assert.match(details, /^routes\/b\.json:1:12: /m);
    assert.match(details, /^keys\.json: two of its keys are the same one/m);
    return true;
  });
});

test('a folder that is not there, or holds nothing, is a problem', async (t) => {
  await assert.rejects(readConfigFolder('/no/such/folder'), /There is no config folder/);
  await assert.rejects(readConfigFolder(folderWith(t, { 'readme.txt': '' })), /holds no config/);
});

test('a load deletes what an earlier one left, and nothing that was put by hand', async () => {
  const store = new Map([['route:by-hand', 'x']]);
  const kv = {
    get: async (key) => store.get(key) ?? null,
    put: async (key, value) => store.set(key, value),
    delete: async (key) => store.delete(key),
  };
  await loadInto(
    kv,
    new Map([
      ['route:a', '1'],
      ['route:b', '2'],
    ]),
  );
  await loadInto(
    kv,
    new Map([
      ['route:b', '3'],
      ['flags', '{}'],
    ]),
  );
  assert.deepEqual(Object.fromEntries(store), {
    'route:by-hand': 'x',
    'meta:loaded': '["route:b","flags"]',
    'route:b': '3',
    flags: '{}',
  });
});

test('a base URL moves with its origin, and only with its own', () => {
  const urls = { a: 'http://127.0.0.1:9101/v1', b: 'http://127.0.0.1:91010/v1', c: 'http://127.0.0.1:9102' };
  const text = JSON.stringify({
    providers: Object.fromEntries(Object.entries(urls).map(([name, base_url]) => [name, { base_url }])),
  });
  const moved = withMovedOrigins(new Map([['providers', text]]), {
    'http://127.0.0.1:9101': 'http://127.0.0.1:5',
    'http://127.0.0.1:9102': 'http://127.0.0.1:9102',
  });
  const { a, b, c } = JSON.parse(moved.get('providers')).providers;
  assert.deepEqual([a.base_url, b.base_url, c.base_url], ['http://127.0.0.1:5/v1', urls.b, urls.c]);
});
