// The JSON Schemas that the Worker serves are the shipped ones, and need no key.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { startWorld } from './world.mjs';

const SHIPPED = new URL('../../docs/schema/', import.meta.url);

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

test('each shipped schema is served byte for byte, without a key', async () => {
  const files = readdirSync(SHIPPED);
  assert.deepEqual(files, ['flags.schema.json', 'keys.schema.json', 'providers.schema.json', 'route.schema.json']);
  for (const file of files) {
    const response = await fetch(`${world.url}/schema/${file.replace('.schema', '')}`);
    assert.deepEqual([response.status, response.headers.get('content-type')], [200, 'application/schema+json']);
    assert.equal(await response.text(), readFileSync(new URL(file, SHIPPED), 'utf8'));
  }
});

test('an unknown schema is told the ones that there are', async () => {
  for (const path of ['/schema/routes.json', '/schema/route', '/schema/', '/schema/flags/route.json']) {
    const response = await fetch(world.url + path);
    const { error } = await response.json();
    assert.deepEqual([response.status, error.code], [404, 'not_found']);
    assert.match(error.message, /\/schema\/route\.json, \/schema\/providers\.json, \/schema\/keys\.json, \/schema\/flags\.json/);
  }
});
