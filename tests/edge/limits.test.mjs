// What a caller says of the targets for one request: limits, and names to fall back to.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startWorld } from './world.mjs';

let world;
before(async () => {
  world = await startWorld({ labs: ['one', 'two'] });
});
after(() => world.close());

const ask = (model, fields = {}) => ({ model, messages: [{ role: 'user', content: 'hi' }], ...fields });

const dear = { usd_per_mtok: { in: 30, out: 60 } };
const cheap = { usd_per_mtok: { in: 0.1, out: 0.2 } };

test('a limit is kept, in each way to say it, and the answer names it', async () => {
  const route = await world.route([{ lab: 'one', ...dear }, { lab: 'two', ...cheap }]);
  const said = [
    [{}, { 'x-waypost-limits': '{"max_price": {"prompt": 1}}' }, 'max_price'],
    [{}, { 'x-waypost-limits': 'cost_usd_max=0.001' }, 'cost_usd_max'],
    [{ waypost: { limits: { cost_usd_max: 0.001 } } }, {}, 'cost_usd_max'],
    [{ provider: { ignore: ['one'], zdr: null } }, {}, 'ignore'],
    [{ waypost: { soft: { only: ['two'] } } }, {}, 'only'],
  ];
  for (const [fields, headers, limit] of said) {
    const response = await world.post('/v1/chat/completions', ask(route, fields), headers);
    assert.equal(response.status, 200, JSON.stringify(fields));
    assert.equal(response.headers.get('x-waypost-target'), 'two');
    assert.equal(response.headers.get('x-waypost-limited-by'), limit);
    await response.text();
  }
  assert.equal(world.calls('one', route).length, 0);
  for (const { body } of world.calls('two', route)) {
    assert.deepEqual(Object.keys(JSON.parse(body)).sort(), ['messages', 'model'], 'what is said to us alone reached a provider');
  }
});

test('without a limit that binds the answer names none', async () => {
  const route = await world.route([{ lab: 'one', ...cheap }]);
  const response = await world.post('/v1/chat/completions', ask(route, { provider: { zdr: false } }));
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('x-waypost-limited-by'), null);
});

test('limits that leave nobody are a 400 with each reason; the record holds them', async () => {
  const route = await world.route([{ lab: 'one', ...dear }, { lab: 'two', ...cheap }]);
  const response = await world.post('/v1/chat/completions', ask(route, { provider: { zdr: true } }));
  assert.equal(response.status, 400);
  const { error } = await response.json();
  assert.equal(error.code, 'no_candidate');
  assert.match(error.message, /one: beyond the request's `zdr`; two: beyond the request's `zdr`/);
  const record = await world.record(response.headers.get('x-waypost-id'));
  assert.deepEqual(record.traits.constraints, { hard: { zdr: true } });
  assert.deepEqual(record.decision.candidates[0].excluded, { reason: 'request', limit: 'zdr' });
});

test('a limit that is not known is a 400 that names it and the nearest', async () => {
  const route = await world.route([{ lab: 'one' }]);
  const refused = [
    [{ provider: { zrd: true } }, {}, 'provider.zrd', /did you mean `zdr`/],
    [{ waypost: { limits: { cost_usd_max: -1 } } }, {}, 'waypost.limits.cost_usd_max', /a number from 0/],
    [{}, { 'x-waypost-limits': 'cheap' }, 'x-waypost-limits', /valid JSON/],
    [{}, { 'x-waypost-limits': `only=${'x'.repeat(9000)}` }, 'x-waypost-limits', /at most 8192 bytes/],
    [{ models: [route, 7] }, {}, 'models[1]', /a string/],
  ];
  for (const [fields, headers, param, words] of refused) {
    const response = await world.post('/v1/chat/completions', ask(route, fields), headers);
    const { error } = await response.json();
    assert.equal(response.status, 400, JSON.stringify(error));
    assert.equal(error.param, param);
    assert.match(error.message, words);
  }
  assert.equal(world.calls('one', route).length, 0);
});

test('models names what is tried next, and each record tells both decisions', async () => {
  const first = await world.route([{ lab: 'one', script: { fault: { kind: 'reset' } } }]);
  const second = await world.route([{ lab: 'two' }]);
  const client = world.openai();
  const answered = await client.chat.completions
    .create(ask(first, { models: [first, second] }))
    .withResponse();
  assert.ok(answered.data.choices[0].message.content);
  const { headers } = answered.response;
  assert.equal(headers.get('x-waypost-route'), second);
  assert.equal(headers.get('x-waypost-attempts'), '2');
  const record = await world.record(headers.get('x-waypost-id'));
  assert.equal(record.route, second);
  assert.equal(record.fell_back_from[0].route, first);
  assert.deepEqual(record.fell_back_from[0].decision.plan, ['one']);
  assert.deepEqual(record.attempts.map(({ route, outcome }) => [route, outcome]), [
    [first, 'unreachable'],
    [undefined, 'ok'],
  ]);
});

test('an unknown name among models is told before anything is sent', async () => {
  const route = await world.route([{ lab: 'one' }]);
  const response = await world.post('/v1/chat/completions', ask(route, { models: ['no-such-route'] }));
  const { error } = await response.json();
  assert.equal(response.status, 404);
  assert.match(error.message, /no-such-route/);
  assert.equal(world.calls('one', route).length, 0);
});

test('what would be tried for each name is told beforehand', async () => {
  const first = await world.route([{ lab: 'one' }]);
  const second = await world.route([{ lab: 'two' }]);
  const response = await world.post('/v1/route', ask(first, { models: [second], waypost: { sort: 'price' } }));
  const told = await response.json();
  assert.equal(told.route, first);
  assert.deepEqual(told.fallbacks.map(({ route, traits }) => [route, traits.model]), [[second, second]]);
  assert.equal(told.decision.temperature, 0);
});
