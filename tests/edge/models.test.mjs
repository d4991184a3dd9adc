// `GET /v1/models`, as the SDKs of OpenAI and Anthropic read it: what a key may name, and what is known of it.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

import { KEY, startWorld, until } from './world.mjs';

const entryOf = (key) => `key:${createHash('sha256').update(key).digest('hex')}`;
const fails = (promise) => promise.then(assert.fail, (error) => error);

const ROUTES = ['a', 'b/with slash', 'c', 'd', 'e'];
const PRICE = { in: 1, out: 4 };

let world;
before(async () => {
  world = await startWorld({ bindings: { GROQ_API_KEY: 'set', XAI_API_KEY: 'set', ZAI_API_KEY: 'set' } });
  const dear = { provider: 'first', model: 'dear', usd_per_mtok: { in: 3, out: 15, in_cached: 0.3 }, context_tokens: 200_000, can: ['tools', 'images'] };
  const cheap = { provider: 'second', model: 'cheap', usd_per_mtok: PRICE, context_tokens: 32_768, can: ['tools'] };
  const unknown = { provider: 'second', model: 'unknown' };
  await world.put('providers', { providers: world.providers, models: { 'first/listed': { usd_per_mtok: PRICE } } });
  for (const name of ROUTES) await world.put(`route:${name}`, { targets: name === 'a' ? [dear, cheap] : [cheap, unknown] });
  await world.put('route:default', { targets: [cheap] });
  await world.put('route:broken', { targets: [] });
  await world.put(entryOf('held'), { routes: ['a', 'c'], direct: false });
  await until('the routes', async () => (await listed()).includes('e'));
});
after(() => world.close());

async function listed(options) {
  const ids = [];
  for await (const { id } of world.openai(options).models.list()) ids.push(id);
  return ids;
}
const anthropic = (apiKey = KEY) => new Anthropic({ baseURL: world.url, apiKey, maxRetries: 0 });

test('OpenAI\'s SDK lists the routes, then the models whose provider has its secret', async () => {
  const ids = await listed();
  const routes = [...ROUTES, 'default'].sort();
  assert.deepEqual(ids.slice(0, routes.length), routes);
  const models = ids.slice(routes.length);
  assert.ok(models.includes('first/listed'), 'its provider needs no secret');
  assert.ok(models.some((id) => id.startsWith('groq/')));
  assert.ok(!models.some((id) => id.startsWith('openai/') || id.startsWith('anthropic/')), 'these secrets are not set');
});

test('a route tells its targets and the span over them', async () => {
  const { object, owned_by, context_tokens, usd_per_mtok, can, targets } = await world.openai().models.retrieve('a');
  assert.deepEqual([object, owned_by], ['model', 'waypost']);
  assert.deepEqual(context_tokens, { min: 32_768, max: 200_000 });
  assert.deepEqual(usd_per_mtok, { in: { min: 1, max: 3 }, out: { min: 4, max: 15 } });
  assert.deepEqual(can, { all: ['tools'], some: ['tools', 'images'] });
  assert.deepEqual(targets[0], {
    id: 'first/dear', provider: 'first', model: 'dear', context_tokens: 200_000, can: ['tools', 'images'],
    usd_per_mtok: { in: 3, in_cached: 0.3, cache_write: 3, in_audio: 3, in_image: 3, out: 15, reasoning: 15 },
  });
  const other = await world.openai().models.retrieve('c');
  assert.deepEqual([other.can.all, other.targets[1]], [[], { id: 'second/unknown', provider: 'second', model: 'unknown' }]);
});

test('ids hold slashes, encoded or not', async () => {
  assert.equal((await world.openai().models.retrieve('b/with slash')).id, 'b/with slash');
  assert.equal((await (await world.fetch('/v1/models/b/with%20slash')).json()).id, 'b/with slash');
  assert.equal((await world.openai().models.retrieve('first/listed')).owned_by, 'first');
  assert.equal((await anthropic().models.retrieve('first/listed')).type, 'model');
  assert.equal((await world.openai().models.retrieve('auto')).id, 'default');
});

test('Anthropic\'s SDK walks its pages forwards and backwards', async () => {
  const all = await listed();
  const ids = [];
  for await (const { id, type, display_name, created_at } of anthropic().models.list({ limit: 2 })) {
    assert.deepEqual([type, display_name], ['model', id]);
    assert.ok(!Number.isNaN(Date.parse(created_at)));
    ids.push(id);
  }
  assert.deepEqual(ids, all);
  const page = await anthropic().models.list({ limit: 3, after_id: 'a' });
  assert.deepEqual([page.data.map(({ id }) => id), page.has_more, page.first_id, page.last_id], [['b/with slash', 'c', 'd'], true, 'b/with slash', 'd']);
  const before_page = await anthropic().models.list({ limit: 2, before_id: 'c' });
  assert.deepEqual([before_page.data.map(({ id }) => id), before_page.has_more], [['a', 'b/with slash'], false]);
  assert.equal((await anthropic().models.list()).data.length, 20);
  for (const query of [{ limit: 0 }, { limit: 1001 }, { after_id: 'nobody' }, { after_id: 'a', before_id: 'c' }]) {
    assert.ok((await fails(anthropic().models.list(query))) instanceof Anthropic.BadRequestError, JSON.stringify(query));
  }
});

test('a key sees what it may use', async () => {
  assert.deepEqual(await listed({ apiKey: 'held' }), ['a', 'c']);
  assert.ok((await fails(world.openai({ apiKey: 'held' }).models.retrieve('d'))) instanceof OpenAI.NotFoundError);
  assert.ok((await fails(anthropic('held').models.retrieve('first/listed'))) instanceof Anthropic.NotFoundError);
});

test('what is not there is a 404 in the caller\'s dialect', async () => {
  assert.ok((await fails(world.openai().models.retrieve('nobody'))) instanceof OpenAI.NotFoundError);
  const error = await fails(anthropic().models.retrieve('nobody'));
  assert.ok(error instanceof Anthropic.NotFoundError);
  assert.equal(error.error.error.type, 'not_found_error');
  assert.ok((await fails(world.openai({ apiKey: 'wrong' }).models.list())) instanceof OpenAI.AuthenticationError);
});
