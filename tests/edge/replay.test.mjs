// `waypost replay --id`: any stored record, from its id alone, comes to the same plan on this machine.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';

import { ROOT } from '../../scripts/project.mjs';
import { ADMIN_KEY, startWorld } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

const ask = (fields, headers) => world.post('/v1/chat/completions', { messages: QUESTION, ...fields }, headers);
const targets = (script = {}) => [{ lab: 'first', script }, { lab: 'second' }];

/** The id of an exchange whose record is stored. */
async function stored(response) {
  await response.text();
  const id = response.headers.get('x-waypost-id');
  await world.record(id);
  return id;
}

/** What the CLI tells of a record, and its exit code. */
async function replay(id, env = {}) {
  const args = ['run', '--quiet', '--bin', 'waypost', '--', 'replay', '--json', '--url', world.url, '--id', id];
  const child = spawn('cargo', args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (texts[name] += text));
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, ...texts, told: texts.stdout === '' ? undefined : JSON.parse(texts.stdout) };
}

async function assertSame(id, decisions = 1) {
  const { code, told, stderr } = await replay(id);
  assert.equal(code, 0, stderr + JSON.stringify(told));
  assert.deepEqual([told.id, told.outcome, told.decisions.length], [id, 'same', decisions]);
  for (const { from, outcome } of told.decisions) assert.deepEqual([from, outcome], ['revision', 'same']);
}

describe('a record comes to the same plan', () => {
  test('of a sticky call, of one that failed over, and of one with the caller\'s own limits', async () => {
    const sticky = await world.route(targets(), { sticky: 'session', temperature: 0.5, prefer: { price: 1, ttft: 1 } });
    await assertSame(await stored(await ask({ model: sticky }, { 'x-waypost-session': 'ann' })));
    const failing = await world.route(targets({ fault: { kind: 'status', status: 503 } }), { temperature: 1 });
    await assertSame(await stored(await ask({ model: failing, stream: true })));
    await assertSame(await stored(await ask({ model: failing, provider: { order: ['second'], sort: 'price' } })));
  });

  test('of each name of the client\'s `models`', async () => {
    const down = await world.route([{ lab: 'first', script: { fault: { kind: 'status', status: 500 } } }]);
    const up = await world.route(targets());
    await assertSame(await stored(await ask({ model: down, models: [down, up] })), 2);
  });

  test('also when its revision is live no more, as long as it is kept', async () => {
    const model = await world.route(targets());
    const id = await stored(await ask({ model }));
    const entry = `${world.url}/admin/api/config/${encodeURIComponent(`route:${model}`)}`;
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'if-match': '*' };
    const text = await (await fetch(entry, { headers })).text();
    const put = await fetch(entry, { method: 'PUT', headers, body: `${text}\n` });
    assert.equal(put.status, 200, await put.text());
    await assertSame(id);

    await (await world.mf.getKVNamespace('KV')).delete(`revision:route:${model}@${(await world.record(id)).config.route}`);
    const { code, told } = await replay(id);
    assert.deepEqual([code, told.outcome, told.decisions[0].from], [1, 'same', 'figures']);
    assert.match(told.decisions[0].reason, /route:.* at [0-9a-f]{16} is not at hand/);
  });
});

test('what cannot be had is said', async () => {
  const nobody = await replay('wp-nobody');
  assert.deepEqual([nobody.code, nobody.stdout], [1, '']);
  assert.match(nobody.stderr, /expected a record of the id `wp-nobody`, found none/);
  const refused = await replay('wp-nobody', { WAYPOST_ADMIN_KEY: 'another' });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /the admin key was refused; set WAYPOST_ADMIN_KEY/);
  assert.doesNotMatch(refused.stderr, /another/);
});
