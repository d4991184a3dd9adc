// KV entries: a change is live without a restart, and a broken one breaks no traffic, also not that of an edge
// which starts after it was put.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';

import OpenAI from 'openai';

import { hear } from './hear.mjs';
import { REFRESH_MS, startWorld, until } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
/** After the interval one call still has the old entry and starts the reading of the new one; the rest is for a busy machine. */
const LIVE_WITHIN_MS = REFRESH_MS + 2_000;

let world;
let folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waypost-config-'));
  world = await startWorld({ persist: folder });
  for (const lab of Object.values(world.labs)) lab.setScript('lab-small', { ttft_ms: 0, tokens_per_s: 0 });
});
after(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

const targets = (lab, more = {}) => [{ id: lab, provider: lab, model: 'lab-small', ...more }];
const call = (model, more) => world.openai().chat.completions.create({ model, messages: QUESTION, ...more }).withResponse();
const targetOf = async (model) => (await call(model)).response.headers.get('x-waypost-target');
const problems = async () => (await (await world.fetch('/healthz')).json()).config.problems;

/** The problems of one entry, as soon as there are as many. */
function problemsOf(entry, count) {
  return until(`${count} problems of ${entry}`, async () => {
    const found = (await problems())[entry] ?? [];
    return found.length === count ? found : undefined;
  }, { within_ms: LIVE_WITHIN_MS });
}

function isServed(model, lab) {
  return until(`${model} to go to ${lab}`, async () => (await targetOf(model)) === lab, { within_ms: LIVE_WITHIN_MS });
}

test('a put changes where calls go within the refresh interval, and leaves the streams under way alone', async () => {
  world.labs.first.setScript('slow', { ttft_ms: 0, tokens_per_s: 15 });
  const rules = [{ when: { stream: true }, only: ['slow'] }, { when: { stream: false }, only: ['first'] }];
  await world.put('route:moves', { targets: [...targets('first'), ...targets('first', { id: 'slow', model: 'slow' })], rules });
  const stream = await call('moves', { stream: true });
  const heard = hear(stream.data);
  await world.put('route:moves', { targets: targets('second') });
  const began_ms = performance.now();
  await isServed('moves', 'second');
  assert.ok(performance.now() - began_ms < LIVE_WITHIN_MS);
  const { text, finishes, error } = await heard;
  assert.deepEqual([error, finishes, text.split(' ').length], [null, ['stop'], 24]);
});

test('a deleted route is unknown, and the answer names those that exist', async () => {
  await world.put('route:stays', { targets: targets('first') });
  await world.put('route:goes', { targets: targets('first') });
  await call('goes');
  await world.put('route:goes', null);
  const refused = () => call('goes').then(() => undefined, (error) => error);
  const error = await until('the route to be gone', refused, { within_ms: LIVE_WITHIN_MS });
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
  const named = await until('the list of names to follow', async () => {
    const { message } = await call('goes').catch((error) => error);
    return /known names: .*stays/.test(message) && message;
  }, { within_ms: LIVE_WITHIN_MS });
  assert.doesNotMatch(named.replace('`goes`', ''), /goes/);
});

test('a route that never was good says where its problems are', async () => {
  await world.put('route:stillborn', '{"targets": [}');
  const error = await call('stillborn').then(assert.fail, (error) => error);
  assert.ok(error instanceof OpenAI.InternalServerError);
  assert.deepEqual([error.status, error.code], [503, 'route_unusable']);
  assert.match(error.message, /stillborn.*healthz/);
  const [problem] = await problemsOf('route:stillborn', 1);
  assert.match(problem.got, /line 1, column 14/);
  await world.put('route:stillborn', null);
  await problemsOf('route:stillborn', 0);
});

describe('entries that KV does not give with others', () => {
  const VALUE_BYTES_MAX = 25 * 1024 * 1024;
  const spread = (text, bytes) => `${text.slice(0, -1)}${' '.repeat(bytes - text.length)}${text.slice(-1)}`;
  const status = async () => (await (await world.fetch('/healthz')).json()).status;

  test('a name too long for KV is that of no route, and one beside it that just fits hides no other', async () => {
    for (const length of [506, 512]) {
      const response = await world.post('/v1/chat/completions', { model: 'x'.repeat(length), messages: QUESTION });
      assert.deepEqual([response.status, (await response.json()).error.code], [404, 'model_not_found'], `${length}`);
    }
    const name = 'y'.repeat(506);
    await world.put(`route:${name}`, { targets: targets('first') });
    await until('the long name to be listed', async () => {
      const { data } = await (await world.fetch('/v1/models')).json();
      return data?.some(({ id }) => id === name);
    });
    assert.equal(await status(), 'ok');
    assert.equal(await targetOf(name), 'first');
    await world.put(`route:${name}`, null);
  });

  test('entries of 13 MB are told as problems, and hide no other', async () => {
    const vast = spread(JSON.stringify({ targets: targets('first') }), 13 * 1024 * 1024);
    for (const name of ['vast-1', 'vast-2']) await world.put(`route:${name}`, vast);
    for (const name of ['vast-1', 'vast-2']) await problemsOf(`route:${name}`, 1);
    for (const name of ['vast-1', 'vast-2']) await world.put(`route:${name}`, null);
  });

  test('providers as large as KV takes leave the last good ones serving on an edge that starts after them', async () => {
    await world.put('route:spared', { targets: targets('first') });
    await isServed('spared', 'first');
    await world.put('providers', spread(JSON.stringify({ providers: world.providers }), VALUE_BYTES_MAX));
    await world.restartEdge();
    assert.equal(await targetOf('spared'), 'first');
    await world.put('providers', { providers: world.providers });
  });
});

const THREE_MISTAKES = {
  targets: [...targets('first', { provider: 'frist' }), ...targets('second', { weight: -1 })],
  deadlines: { first_tokn_ms: 100 },
};

describe('three mistakes in a route', () => {
  let good;
  beforeEach(async () => {
    await world.put('route:steady', { targets: targets('first') });
    await problemsOf('route:steady', 0);
    await isServed('steady', 'first');
    good = (await call('steady')).response.headers.get('x-waypost-config');
    await world.put('route:steady', THREE_MISTAKES);
  });

  async function checkServing() {
    const found = await problemsOf('route:steady', 3);
    assert.deepEqual(found.map(({ path }) => path).sort(), ['deadlines.first_tokn_ms', 'targets[0].provider', 'targets[1].weight']);
    assert.equal(found.find(({ path }) => path.startsWith('targets[0]')).nearest, 'first');
    assert.equal(found.find(({ path }) => path.startsWith('deadlines')).nearest, 'first_token_ms');
    const { response } = await call('steady');
    const header = (name) => response.headers.get(`x-waypost-${name}`);
    assert.deepEqual([header('target'), header('config'), header('config-problems')], ['first', good, '3']);
    const record = await world.record(header('id'));
    assert.deepEqual([record.config.route, record.config.problems], [good, 3]);
  }

  test('are listed with their paths while the last good revision serves', checkServing);

  test('leave it serving on an edge that starts after them', async () => {
    await problemsOf('route:steady', 3);
    await world.restartEdge();
    await checkServing();
  });

  test('are gone with a corrected entry', async () => {
    await problemsOf('route:steady', 3);
    await world.put('route:steady', { targets: targets('second') });
    await isServed('steady', 'second');
    await problemsOf('route:steady', 0);
    assert.equal((await call('steady')).response.headers.get('x-waypost-config-problems'), null);
  });
});

describe('mistakes in the providers', () => {
  const BROKEN = { providers: { first: { dialect: 'openai', base_url: 'nowhere' }, second: { auth: { bearer: 7 } } } };
  const PATHS = ['providers.first.base_url', 'providers.first.dialect'];
  const sound = () => world.put('providers', { providers: world.providers });

  beforeEach(async () => {
    await sound();
    await world.put('route:borne', { targets: targets('first') });
    await isServed('borne', 'first');
    await until('the providers to be sound', async () => (await problems()).providers === undefined);
    await world.put('providers', BROKEN);
  });
  after(sound);

  async function checkServing() {
    const found = await until('problems of the providers', async () => (await problems()).providers);
    const paths = found.map(({ path }) => path);
    for (const path of PATHS) assert.ok(paths.includes(path), `${path} among ${paths}`);
    assert.ok(paths.some((path) => path.startsWith('providers.second')), `${paths}`);
    const { response } = await call('borne');
    assert.equal(response.headers.get('x-waypost-target'), 'first');
    assert.equal(response.headers.get('x-waypost-config-problems'), String(found.length));
  }

  test('are listed with their paths while the last good ones serve', checkServing);

  test('leave them serving on an edge that starts after them', async () => {
    await until('problems of the providers', async () => (await problems()).providers);
    await world.restartEdge();
    await checkServing();
  });

  test('are gone with a corrected entry', async () => {
    await until('problems of the providers', async () => (await problems()).providers);
    await sound();
    await until('no problems', async () => (await problems()).providers === undefined, { within_ms: LIVE_WITHIN_MS });
    assert.equal((await call('borne')).response.headers.get('x-waypost-config-problems'), null);
  });

  test('that leave out one which a route uses break neither the route nor an edge that starts later', async () => {
    const { first: _, ...others } = world.providers;
    await world.put('providers', { providers: others });
    const [problem] = await problemsOf('route:borne', 1);
    assert.equal(problem.path, 'targets[0].provider');
    assert.equal(await targetOf('borne'), 'first');
    await world.restartEdge();
    assert.equal(await targetOf('borne'), 'first');
  });
});
