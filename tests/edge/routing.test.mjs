// Where a call goes: by session, by rule, by weight, and with which of a provider's keys.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { KEY, startWorld, until } from './world.mjs';

const CHAT = '/v1/chat/completions';
const QUESTION = [{ role: 'user', content: 'hi' }];

let world;
before(async () => {
  // Two pools, because a key rests by its name.
  world = await startWorld({ bindings: { WRONG_O: 'wrong', RIGHT_O: 'right', WRONG_A: 'wrong', RIGHT_A: 'right' } });
});
after(() => world.close());

async function ask(model, headers = {}, fields = {}) {
  const response = await world.post(CHAT, { model, messages: QUESTION, ...fields }, headers);
  assert.equal(response.status, 200, await response.clone().text());
  await response.text();
  return response;
}

const recordOf = (response) => world.record(response.headers.get('x-waypost-id'));
const targetOf = async (...asked) => (await ask(...asked)).headers.get('x-waypost-target');
const pair = [{ lab: 'first' }, { lab: 'second', weight: 1 }];

describe('a route that is sticky to the session', { concurrency: true }, () => {
  let model;
  before(async () => {
    model = await world.route(pair, { sticky: 'session', temperature: 1 });
  });

  test('sends a session to the same target each time', async () => {
    for (const session of ['ann', 'bob', 'världen 世界']) {
      const headers = { 'x-waypost-session': Buffer.from(session).toString('latin1') };
      const targets = await Promise.all(Array.from({ length: 20 }, () => targetOf(model, headers)));
      assert.equal(new Set(targets).size, 1, `${session}: ${targets}`);
    }
  });

  test('spreads different sessions', async () => {
    const targets = await Promise.all(Array.from({ length: 40 }, (_, n) => targetOf(model, { 'x-waypost-session': `session ${n}` })));
    const firsts = targets.filter((target) => target === 'first').length;
    assert.ok(firsts > 5 && firsts < 35, `${firsts} of 40`);
  });

  test('says in the record where its seed came from', async () => {
    const seedOf = async (headers) => (await recordOf(await ask(model, headers))).decision.seed;
    const session = { 'x-waypost-session': 'ann' };
    const [ann, again, nobody] = await Promise.all([seedOf(session), seedOf(session), seedOf({})]);
    assert.equal(ann.source, 'session');
    assert.deepEqual(ann, again);
    assert.equal(nobody.source, 'random');
  });

  test('fails over all the same', async () => {
    const broken = { lab: 'first', script: { fault: { kind: 'reset' } } };
    const pinned = await world.route([broken, { lab: 'second', weight: 1 }], { sticky: 'session', temperature: 1 });
    for (let n = 0; n < 6; n += 1) assert.equal(await targetOf(pinned, { 'x-waypost-session': `${n}` }), 'second');
  });
});

describe('a rule', { concurrency: true }, () => {
  /** A route whose calls go to the first target unless the rule holds. */
  const ruled = (when, effect = { only: ['second'] }) =>
    world.route([{ lab: 'first' }, { lab: 'second', region: 'eu' }], { rules: [{ name: 'the rule', when, ...effect }] });

  const CASES = [
    { name: 'a tag', when: { tags: 'gold' }, yes: { 'x-waypost-tags': 'blue, GOLD' }, no: { 'x-waypost-tags': 'golden' } },
    { name: 'one of two tags', when: { tags: ['gold', 'silver'] }, yes: { 'x-waypost-tags': 'silver' }, no: {} },
    { name: 'a topic in a tag', when: { topic: 'code' }, yes: { 'x-waypost-tags': 'topic=code' }, no: { 'x-waypost-tags': 'topic=law' } },
    { name: 'a difficulty', when: { difficulty: { gt: 0.6 } }, yes: { 'x-waypost-tags': 'difficulty=0.7' }, no: { 'x-waypost-tags': 'difficulty=0.5' } },
    { name: 'a header', when: { headers: { 'X-Tier': 'paid' } }, yes: { 'x-tier': 'Paid' }, no: { 'x-tier': 'free' } },
    { name: 'a header that is anything else', when: { headers: { 'x-tier': { not: 'free' } } }, yes: {}, no: { 'x-tier': 'free' } },
    {
      name: 'two conditions',
      when: { tags: 'gold', headers: { 'x-tier': 'paid' } },
      yes: { 'x-tier': 'paid', 'x-waypost-tags': 'gold' },
      no: { 'x-tier': 'paid' },
    },
    { name: 'avoided targets', when: { tags: 'gold' }, effect: { avoid: ['first'] }, yes: { 'x-waypost-tags': 'gold' }, no: {} },
    { name: 'a required region', when: { tags: 'gold' }, effect: { require: { region: 'EU' } }, yes: { 'x-waypost-tags': 'gold' }, no: {} },
    { name: 'the key', when: { key: KEY }, yes: {}, no: null },
  ];
  for (const { name, when, effect, yes, no } of CASES) {
    test(`on ${name}`, async () => {
      const model = await ruled(when, effect);
      assert.equal(await targetOf(model, yes), 'second');
      if (no !== null) assert.equal(await targetOf(model, no), 'first');
    });
  }

  test('on the country that the network tells', async () => {
    const model = await ruled({ country: ['DE', 'FR'] }, { require: { region: 'eu' } });
    const targetFrom = async (country) => {
      const response = await world.mf.dispatchFetch(world.url + CHAT, {
        method: 'POST',
        headers: { authorization: `Bearer ${KEY}` },
        body: JSON.stringify({ model, messages: QUESTION }),
        cf: { country },
      });
      await response.text();
      return response.headers.get('x-waypost-target');
    };
    assert.deepEqual([await targetFrom('DE'), await targetFrom('FR'), await targetFrom('GB')], ['second', 'second', 'first']);
  });

  test('is named in the record, with what it excluded', async () => {
    const model = await ruled({ headers: { 'x-tier': 'paid' } });
    const { decision, traits } = await recordOf(await ask(model, { 'x-tier': 'paid', 'x-other': 'not asked about' }));
    assert.deepEqual(decision.rules, ['the rule']);
    assert.deepEqual(decision.candidates[0].excluded, { reason: 'rule', rule: 'the rule' });
    assert.deepEqual(traits.headers, { 'x-tier': 'paid' });
  });

  test('x-waypost-route and auto name routes too', async () => {
    const model = await world.route([{ lab: 'second' }]);
    assert.equal((await ask('anything', { 'x-waypost-route': model })).headers.get('x-waypost-route'), model);
    await world.put('route:default', { targets: [{ provider: 'first', model: 'lab-small' }] });
    assert.equal((await ask('auto')).headers.get('x-waypost-route'), 'default');
  });
});

describe('what only one dialect can carry', () => {
  test('goes to the target that speaks it', async () => {
    const model = await world.route([{ lab: 'first', dialect: 'anthropic' }, { lab: 'second' }]);
    assert.equal(await targetOf(model), 'first');
    const response = await ask(model, {}, { n: 2 });
    assert.equal(response.headers.get('x-waypost-target'), 'second');
    const { decision, traits } = await recordOf(response);
    assert.deepEqual([traits.asks[0].field, decision.candidates[0].excluded], ['n', { reason: 'cannot_carry', field: 'n' }]);
  });
});

describe('a provider with a pool of keys', () => {
  const POOL = ['WRONG', 'RIGHT'];

  for (const dialect of ['openai-chat', 'anthropic']) {
    test(`of ${dialect} answers with the key that works, and stays with it`, async () => {
      const provider = `pool-${dialect}`;
      const [wrong, right] = POOL.map((name) => `${name}_${dialect === 'anthropic' ? 'A' : 'O'}`);
      const auth = dialect === 'anthropic' ? { header: { name: 'x-api-key', secret: [wrong, right] } } : { bearer: [wrong, right] };
      world.providers[provider] = { dialect, base_url: `${world.labs.first.url}/v1`, auth };
      await world.put('providers', { providers: world.providers });
      world.labs.first.setScript('guarded', { auth: 'right', ttft_ms: 0, tokens_per_s: 0 });
      const spare = { id: 'spare', provider: 'second', model: 'lab-small', weight: 0.1 };
      await world.put(`route:${provider}`, { targets: [{ id: 'guarded', provider, model: 'guarded' }, spare], temperature: 0 });

      const unlucky = await until('a call that draws the wrong key', async () => {
        const response = await ask(provider);
        assert.equal(response.headers.get('x-waypost-target'), 'guarded');
        return response.headers.get('x-waypost-attempts') === '2' && response;
      });
      const attempts = (await recordOf(unlucky)).attempts.map(({ target, outcome, secret }) => [target, outcome, secret]);
      assert.deepEqual(attempts, [['guarded', 'key_rejected', wrong], ['guarded', 'ok', right]]);

      const next = await Promise.all(Array.from({ length: 10 }, () => ask(provider)));
      assert.deepEqual(new Set(next.map(({ headers }) => headers.get('x-waypost-attempts'))), new Set(['1']));
      const { attempts: [only], decision } = await recordOf(next[0]);
      assert.equal(only.secret, right);
      assert.ok(decision.candidates[0].health.p_success > 0.9, 'a key that was refused says nothing about the target');
    });
  }
});
