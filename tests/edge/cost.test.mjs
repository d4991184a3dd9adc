// What a call is expected to cost, as it falls while a conversation goes on.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startWorld } from './world.mjs';

const PRICES = { in: 1, in_cached: 0.1, out: 0 };
/** More than the 1,024 tokens from which providers cache. */
const LONG = 'Tell me all that you know about the whales of the southern seas. '.repeat(120);

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

async function look(body, headers = {}) {
  const response = await world.post('/v1/route', body, headers);
  assert.equal(response.status, 200, await response.clone().text());
  const { traits, decision } = await response.json();
  return { prompt: traits.prompt_tokens, candidates: decision.candidates, record: JSON.stringify(decision) };
}

test('a conversation is warm where its last turns were answered, and nowhere else', async () => {
  const model = await world.route(['first', 'second'].map((lab) => ({ lab, usd_per_mtok: PRICES })));
  const headers = { 'x-waypost-session': 'whales' };
  const messages = [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: LONG }];
  const cold = await look({ model, messages }, headers);
  assert.deepEqual(cold.candidates.map(({ health }) => health.warm_tokens), [0, 0]);
  let seen;
  for (const question of ['And seals?', 'And penguins?']) {
    seen = await look({ model, messages }, headers);
    const response = await world.post('/v1/chat/completions', { model, messages, stream: true }, headers);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-waypost-target'), 'first');
    await response.text();
    messages.push({ role: 'assistant', content: 'Many.' }, { role: 'user', content: question });
  }
  const third = await look({ model, messages }, headers);
  assert.deepEqual(third.candidates.map(({ health }) => health.warm_tokens), [seen.prompt, 0]);
  assert.ok(third.prompt > seen.prompt && seen.prompt > 1024);
  const [first, second] = third.candidates.map(({ signals }) => signals.cost_micro_usd);
  assert.ok(first < second, `${first} is not below ${second}`);

  const changed = [{ role: 'system', content: 'Be long.' }, ...messages.slice(1)];
  const other = await look({ model, messages: changed }, headers);
  assert.deepEqual(other.candidates.map(({ health }) => health.warm_tokens), [0, 0], 'the same session, another prompt');
});
