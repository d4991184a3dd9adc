// Rules that need what only the edge has: the body's text and metadata, another route, the clock.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { REFRESH_MS, startWorld, until } from './world.mjs';

const SECRET_TEXT = 'the launch code is 0000';

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

const ask = (route, fields = {}) =>
  world.post('/v1/chat/completions', { model: route, messages: [{ role: 'user', content: 'Hello.' }], ...fields });

const targetOf = async (response) => {
  await response.text();
  assert.equal(response.status, 200);
  return response.headers.get('x-waypost-target');
};

const both = [{ lab: 'first' }, { lab: 'second' }];

test('a pattern on the user\'s text decides, and the text stays out of the record', async () => {
  const rules = [{ name: 'codes', when: { text: { regex: 'code is \\d{4}' } }, only: ['second'] }];
  const route = await world.route(both, { rules });
  assert.equal(await targetOf(await ask(route)), 'first');
  const guarded = await ask(route, { messages: [{ role: 'user', content: SECRET_TEXT }, { role: 'assistant', content: 'ok' }] });
  assert.equal(await targetOf(guarded), 'second');
  const record = await world.record(guarded.headers.get('x-waypost-id'));
  assert.deepEqual(record.decision.rules, ['codes']);
  assert.deepEqual(record.traits.text_matches, [true]);
  assert.ok(!JSON.stringify(record).includes('launch'));
});

test('a body that no other dialect can carry is still searched', async () => {
  const rules = [{ when: { text: { contains: 'launch code' } }, only: ['second'] }];
  const route = await world.route(both, { rules });
  const parts = [{ type: 'text', text: SECRET_TEXT }, { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }];
  assert.equal(await targetOf(await ask(route, { messages: [{ role: 'user', content: parts }] })), 'second');
});

test('metadata and headers decide, and only those asked for are recorded', async () => {
  const rules = [
    { when: { metadata: { tier: 'gold' } }, only: ['second'] },
    { when: { headers: { 'X-Tier': { prefix: 'paid' } } }, only: ['second'] },
  ];
  const route = await world.route(both, { rules });
  assert.equal(await targetOf(await ask(route, { metadata: { tier: 'silver' } })), 'first');
  const gold = await ask(route, { metadata: { tier: 'gold', mail: 'ann@example.com' } });
  assert.equal(await targetOf(gold), 'second');
  const record = await world.record(gold.headers.get('x-waypost-id'));
  assert.deepEqual(record.traits.metadata, { tier: 'gold' });
  const paid = await world.post(
    '/v1/chat/completions',
    { model: route, messages: [{ role: 'user', content: 'x' }] },
    { 'x-tier': 'paid-plus', 'x-other': 'no' },
  );
  assert.equal(await targetOf(paid), 'second');
});

test('a rule sends the request to another route, and the record names the way', async () => {
  const other = await world.route([{ lab: 'second' }]);
  const route = await world.route([{ lab: 'first' }], { rules: [{ when: { tags: 'beta' }, route: other }] });
  assert.equal(await targetOf(await ask(route)), 'first');
  const sent = await world.post(
    '/v1/chat/completions',
    { model: route, messages: [{ role: 'user', content: 'x' }] },
    { 'x-waypost-tags': 'beta' },
  );
  assert.equal(await targetOf(sent), 'second');
  assert.equal(sent.headers.get('x-waypost-route'), other);
  const record = await world.record(sent.headers.get('x-waypost-id'));
  assert.deepEqual([record.route, record.via], [other, [route]]);
});

test('routes that send a request in a circle still answer', async () => {
  const one = await world.route([{ lab: 'first' }]);
  const two = await world.route([{ lab: 'second' }], { rules: [{ route: one }] });
  await world.put(`route:${one}`, {
    targets: [{ id: 'first', provider: 'first', model: `${one}-0` }],
    rules: [{ route: two }],
  });
  const response = await until('the circle to close', async () => {
    const response = await ask(two);
    await response.text();
    const { via } = await world.record(response.headers.get('x-waypost-id'));
    return via.length > 1 ? response : undefined;
  }, { every_ms: REFRESH_MS });
  assert.equal(response.status, 200);
});

test('a rule that leads nowhere says which name is missing', async () => {
  const route = await world.route([{ lab: 'first' }], { rules: [{ route: 'nowhere' }] });
  const response = await ask(route);
  const { error } = await response.json();
  assert.deepEqual([response.status, error.code], [404, 'model_not_found']);
  assert.match(error.message, /nowhere/);
});

test('a rule\'s deadline is kept', async () => {
  const slow = { lab: 'first', script: { ttft_ms: 5_000 } };
  const rules = [{ when: { stream: true }, deadlines: { first_token_ms: 200 } }];
  const route = await world.route([slow, { lab: 'second' }], { rules });
  assert.equal(await targetOf(await ask(route, { stream: true })), 'second');
});
