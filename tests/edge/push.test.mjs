// The five commands of docs/routes.md, as a person types them, against a running edge: into its KV and over its admin API.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { adminStore } from '../../scripts/store/admin.mjs';
import { entryStore } from '../../scripts/store/entries.mjs';
import { revisionOf } from '../../scripts/store/names.mjs';
import { wranglerKv } from '../../scripts/store/wrangler.mjs';
import { ROOT } from '../../scripts/project.mjs';
import { ADMIN_KEY, startWorld, until } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
const CALLS = 30;
const NOBODY_TO_ASK = ['ignore', 'pipe', 'pipe'];

let world;
let folder;
let dir;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waypost-push-'));
  dir = join(folder, 'config');
  world = await startWorld({ persist: join(folder, 'v3') });
  for (const lab of Object.values(world.labs)) lab.setScript('lab-small', { ttft_ms: 0, tokens_per_s: 0 });
  mkdirSync(join(dir, 'routes', 'team'), { recursive: true });
  writeFileSync(join(dir, 'providers.json'), JSON.stringify({ providers: world.providers }));
});
after(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

const split = (stable, canary) => {
  const target = (id, provider, weight) => ({ id, provider, model: 'lab-small', weight });
  return JSON.stringify({ targets: [target('stable', 'first', stable), target('canary', 'second', canary)], sticky: 'session' });
};
const writeRoute = (name, text) => writeFileSync(join(dir, 'routes', `${name}.json`), text);
const LOCAL = () => ['--local', '--persist', join(folder, 'v3')];
const URL_FLAGS = () => ['--url', world.url];

/** Runs a script as npm does, with nobody at the keyboard. */
function run(script, ...args) {
  const child = spawn(process.execPath, [join(ROOT, 'scripts', `${script}.mjs`), ...args], {
    cwd: ROOT,
    stdio: NOBODY_TO_ASK,
    env: { ...process.env, WAYPOST_BY: 'ann' },
  });
  const out = { stdout: '', stderr: '' };
  for (const name of Object.keys(out)) child[name].setEncoding('utf8').on('data', (text) => (out[name] += text));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...out, told: out.stdout + out.stderr })));
}

async function ran(script, ...args) {
  const result = await run(script, ...args);
  assert.equal(result.code, 0, result.told);
  return result.stdout;
}

async function shares(model) {
  const response = await world.post('/v1/route', { model, messages: QUESTION });
  const { decision } = await response.json();
  return decision?.candidates.map(({ share }) => Math.round(share * 100)).join('/');
}

const isLive = (model, wanted) => until(`${model} at ${wanted}`, async () => (await shares(model)) === wanted);
const live = async (entry) => (await world.mf.getKVNamespace('KV')).get(entry);

for (const [name, where, model] of [
  ['into the KV of npm start', LOCAL, 'split'],
  ['over the admin API', URL_FLAGS, 'team/split'],
]) {
  describe(`a split changed ${name}`, () => {
    before(async () => {
      writeRoute(model, split(90, 10));
      await world.put(`route:${model}`, split(90, 10));
      const call = (session) => world.post('/v1/chat/completions', { model, messages: QUESTION }, { 'x-waypost-session': `${session}` });
      await Promise.all(Array.from({ length: CALLS }, async (_, i) => (await call(i)).text()));
      await until('their records', async () => {
        const { records } = await (await world.admin('/records?limit=200')).json();
        return records.filter(({ route }) => route === model).length === CALLS;
      }, { every_ms: 200 });
      writeRoute(model, split(50, 50));
    });

    test('is previewed, and not written while nobody says so', async () => {
      const flags = ['--preview', 'recent', '--records-url', world.url];
      const { code, told } = await run('push', dir, ...where(), ...flags);
      assert.equal(code, 1, told);
      assert.match(told, /targets\[stable\]\.weight: 90 -> 50/);
      assert.match(told, new RegExp(`route ${model}: ${CALLS} records decided again`));
      assert.match(told, /stable +90\.0 % +50\.0 %\n +canary +10\.0 % +50\.0 %/);
      assert.match(told, /Nothing was written: .*nobody to ask.*--yes/);
      assert.equal(await live(`route:${model}`), split(90, 10));
      assert.match(await ran('diff', dir, ...where()), /targets\[canary\]\.weight: 10 -> 50/);
    });

    test('is pushed, seen live, found in the history and rolled back', async () => {
      const pushed = await ran('push', dir, ...where(), '--preview', 'recent', '--records-url', world.url, '--yes', '--note', 'hälfte');
      assert.match(pushed, new RegExp(`npm run rollback -- ${model} --(local|url) .* # to ${revisionOf(split(90, 10))}`));
      await isLive(model, '50/50');
      assert.match(await ran('push', dir, ...where()), /Nothing to push/);

      const told = JSON.parse(await ran('history', model, ...where(), '--json'));
      assert.equal(told.live, revisionOf(split(50, 50)));
      const [push, found] = told.changes;
      assert.deepEqual([push.action, push.by, push.note, push.was], ['push', 'ann', 'hälfte', revisionOf(split(90, 10))]);
      assert.deepEqual([found.action, found.revision], ['found', revisionOf(split(90, 10))]);
      assert.match(await ran('history', model, ...where()), /^\* +[0-9a-f]{16} .* push +ann +hälfte$/m);

      const back = JSON.parse(await ran('rollback', model, ...where(), '--json'));
      assert.equal(back.written[0].revision, revisionOf(split(90, 10)));
      await isLive(model, '90/10');
      const { changes } = JSON.parse(await ran('history', model, ...where(), '--json'));
      assert.deepEqual(changes.map(({ action }) => action), ['rollback', 'push', 'found']);
      assert.match(await ran('rollback', model, revisionOf(split(50, 50)).slice(0, 6), ...where()), /is back at/);
      assert.equal(await live(`route:${model}`), split(50, 50));
      await isLive(model, '50/50');
    });

    test('with a mistake is refused with all of them, and forced past the check if need be', async () => {
      writeRoute(model, split(-1, 10).replace('second', 'secnd'));
      const { code, told } = await run('push', dir, ...where(), '--yes');
      assert.equal(code, 1, told);
      assert.match(told, /targets\[0\]\.weight: expected/);
      assert.match(told, /targets\[1\]\.provider: .*did you mean `second`/);
      assert.equal(await live(`route:${model}`), split(50, 50));
      const forced = await run('push', dir, ...where(), '--force');
      // The Worker itself refuses what is broken; into KV it goes, and the last good revision keeps serving.
      assert.equal(forced.code, where === LOCAL ? 0 : 1, forced.told);
      assert.equal(await shares(model), '50/50');
      await world.put(`route:${model}`, split(50, 50));
      writeRoute(model, split(50, 50));
    });
  });
}

test('what nobody made is told: no history, no such revision, two places at once', async () => {
  for (const [args, code, words] of [
    [['history', 'nowhere', ...LOCAL()], 1, /has no entry route:nowhere and never had/],
    [['rollback', 'nowhere', ...LOCAL()], 1, /no history of route:nowhere/],
    [['rollback', 'split', 'ffff', ...LOCAL()], 1, /has no revision ffff. It has:\n\n {2}[0-9a-f]{16}/],
    [['history', 'split', '--local', '--url', 'http://127.0.0.1:1'], 2, /exclude each other/],
    [['push', dir, '--url', 'http://example.com'], 2, /expects an https URL/],
    [['push', dir, ...LOCAL(), '--preview', 'nothing.ndjson'], 1, /no file .*nothing\.ndjson/],
    [['push', dir, ...LOCAL(), '--note', 'x'.repeat(257)], 2, /at most 256 bytes/],
  ]) {
    const { code: found, told } = await run(...args);
    assert.match(told, words);
    assert.equal(found, code, told);
  }
});

test('a revision that is no longer the live one is not overwritten over the admin API', async () => {
  const store = adminStore(world.url, ADMIN_KEY);
  const was = revisionOf('what somebody saw');
  const change = [{ entry: 'route:split', text: split(1, 1), was }];
  await assert.rejects(store.write(change, { action: 'push' }), /Somebody changed route:split since/);
  await assert.rejects(adminStore(world.url, 'wrong').list(), /refused the admin key/);
});

test('routes that lead to each other go over the admin API in any order', async () => {
  const store = adminStore(world.url, ADMIN_KEY);
  const to = (name) => JSON.stringify({ ...JSON.parse(split(1, 1)), rules: [{ when: { key: 'x' }, route: name }] });
  const changes = [['a', to('b')], ['b', to('c')], ['c', split(1, 1)]];
  await store.write(changes.map(([name, text]) => ({ entry: `route:chain-${name}`, text: text.replace(/"route":"/, '$&chain-') })), { action: 'push' });
  assert.equal(await shares('chain-a'), '50/50');
  const bad = [{ entry: 'route:chain-d', text: to('nowhere') }];
  await assert.rejects(store.write(bad, { action: 'push' }), ({ details }) => /route:chain-d: rules\[0\]\.route: expected/.test(details));
});

test('wrangler reads and writes the same entries, revisions and history', async () => {
  const store = entryStore(wranglerKv(['--local', '--persist-to', folder]), 'wrangler');
  const was = revisionOf(await live('route:split'));
  await store.write([{ entry: 'route:split', text: split(70, 30), was }], { action: 'push', note: 'by wrangler' });
  await isLive('split', '70/30');
  const [newest] = await store.history('route:split');
  assert.deepEqual([newest.revision, newest.was, newest.note], [revisionOf(split(70, 30)), was, 'by wrangler']);
  await ran('rollback', 'split', ...LOCAL());
  assert.equal((await store.read(['route:split'])).get('route:split'), split(50, 50));
});
