// The pipeline behind the queue: nothing is lost or counted twice when its consumer is ended, and what nobody can take
// stops nothing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { consumerThatEnds } from './consumer.mjs';
import { ADMIN_KEY, startWorld, until } from './world.mjs';

const CHAT = '/v1/chat/completions';
const BURST = 5000;
const AT_ONCE = 40;
const WITHIN = { within_ms: 60_000, every_ms: 250 };
const request = (model) => ({ model, messages: [{ role: 'user', content: 'hi' }] });

/** The lines of all objects, by id. */
async function archived(archive) {
  const ids = [];
  for (let cursor; ; ) {
    const page = await archive.list({ prefix: 'records/', cursor });
    for (const { key } of page.objects) {
      const text = gunzipSync(Buffer.from(await (await archive.get(key)).arrayBuffer())).toString();
      ids.push(...text.trimEnd().split('\n').map((line) => JSON.parse(line).id));
    }
    if (!page.truncated) return ids;
    cursor = page.cursor;
  }
}

describe('5,000 records in a burst', () => {
  let world;
  let database;
  before(async () => {
    world = await startWorld({ overrides: consumerThatEnds(['', 'before', '', 'after']) });
    database = await world.mf.getD1Database('DB');
  });
  after(() => world.close());

  const crashed = async () => (await (await world.fetch('/crashed')).json());
  const sum = (expression, table, where) => database.prepare(`SELECT SUM(${expression}) AS sum FROM ${table} WHERE ${where}`).first('sum');

  test('all arrive, once each, though the consumer is ended twice', async () => {
    const model = await world.route([{ lab: 'first' }, { lab: 'second' }]);
    const ids = new Set();
    let left = BURST;
    const send = async () => {
      while (left-- > 0) {
        const response = await world.post(CHAT, request(model));
        assert.equal(response.status, 200, await response.text());
        ids.add(response.headers.get('x-waypost-id'));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, send));
    assert.equal(ids.size, BURST);
    const count = () => database.prepare('SELECT COUNT(*) AS count FROM records').first('count');
    await until(`${BURST} rows`, async () => (await count()) >= BURST, WITHIN);

    assert.equal((await crashed()).crashed, 2, 'the consumer was ended twice');
    const { results } = await database.prepare('SELECT id FROM records').all();
    assert.equal(results.length, BURST);
    assert.deepEqual(new Set(results.map(({ id }) => id)), ids);
    for (const minutes of ['minute = 0', 'minute > 0']) {
      for (const column of ['completed', 'first_token_0 + first_token_1 + first_token_2 + first_token_3 + first_token_4 + first_token_5']) {
        assert.equal(await sum(column, 'rollups', minutes), BURST, `${column} where ${minutes}`);
      }
      assert.equal(await sum('attempts', 'attempt_rollups', minutes), BURST, minutes);
      assert.equal(await sum('prompt_tokens', 'attempt_rollups', minutes), BURST * 4, minutes);
    }

    const lines = await archived(await world.mf.getR2Bucket('ARCHIVE'));
    assert.deepEqual(new Set(lines), ids);
    assert.ok(lines.length > BURST, 'the batch that was ended between R2 and D1 has its lines twice, and its rows once');
    const worker = await world.mf.getWorker();
    await worker.scheduled({ cron: '17 * * * *' });
    assert.equal((await archived(await world.mf.getR2Bucket('ARCHIVE'))).length, lines.length, 'a consumer may still be at it');
    await database.prepare('UPDATE unfinished SET at = at - 3600000').run();
    await worker.scheduled({ cron: '17 * * * *' });
    const swept = await archived(await world.mf.getR2Bucket('ARCHIVE'));
    assert.equal(swept.length, BURST, 'once each');
    assert.deepEqual(new Set(swept), ids);
    assert.equal(await database.prepare('SELECT COUNT(*) AS count FROM unfinished').first('count'), 0);
    const listed = await world.records(200);
    assert.ok(listed.every(({ id }) => ids.has(id)));
  });

  test('are a data point each, or stand in for one', async () => {
    const { points, mostPoints } = await crashed();
    const stands = points.reduce((total, { doubles }) => total + doubles[0], 0);
    assert.ok(stands > points.length && stands < BURST, `${points.length} stand for ${stands}: all but those of the consumer that was ended late`);
    assert.ok(mostPoints > 100 && mostPoints <= 250, `${mostPoints} points in one invocation`);
    for (const { indexes, blobs, doubles } of points) {
      assert.deepEqual([indexes.length, blobs.length, doubles.length], [1, 6, 7]);
      assert.deepEqual(blobs.slice(1, 4), ['first', '', 'completed']);
    }
  });
});

describe('a message that cannot be taken', () => {
  let world;
  let queue;
  before(async () => {
    const queueConsumers = {
      'waypost-records': { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 1, deadLetterQueue: 'waypost-records-dead' },
      'waypost-records-dead': { maxBatchSize: 10, maxBatchTimeout: 1 },
    };
    world = await startWorld({ overrides: { queueConsumers } });
    queue = await world.mf.getQueueProducer('RECORDS');
  });
  after(() => world.close());

  const admin = (method, path) => world.fetch(`/admin/api${path}`, { method, headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  const send = (message) => queue.send(typeof message === 'string' ? message : JSON.stringify(message), { contentType: 'text' });
  const list = async () => (await (await admin('GET', '/dead')).json()).dead;
  const text = async ({ name }) => (await admin('GET', `/dead/${name}`)).text();
  const letter = (part) => until(`a dead letter with ${part}`, async () => {
    for (const dead of await list()) if ((await text(dead)).includes(part)) return dead;
  }, WITHIN);

  async function template() {
    const response = await world.post(CHAT, request(await world.route([{ lab: 'first' }])));
    await response.text();
    return world.record(response.headers.get('x-waypost-id'));
  }

  test('waits where a person finds it, and the others go on', async () => {
    const record = await template();
    // SQLite's sum of two such numbers fails, and with it the transaction.
    const endless = { ...record.outcome, total_ms: 9223372036854775807n };
    const poison = (id) => ({ ...record, id, outcome: { ...endless, total_ms: 'ENDLESS' } });
    const spoilt = JSON.stringify({ v: 1, records: [poison('poison-1'), poison('poison-2')] }).replaceAll('"ENDLESS"', `${endless.total_ms}`);
    const good = Array.from({ length: 20 }, (_, place) => ({ v: 1, records: [{ ...record, id: `beside-${place}` }] }));
    for (const message of good.slice(0, 10)) await send(message);
    await send(spoilt);
    await send('no record at all');
    for (const message of good.slice(10)) await send(message);
    for (let place = 0; place < 20; place += 1) await world.record(`beside-${place}`);
    assert.equal(await text(await letter('poison-1')), spoilt);
    assert.equal(await text(await letter('no record')), 'no record at all');
    assert.equal((await list()).length, 2);
    assert.equal((await world.admin('/records/poison-1')).status, 404);
  });

  test('can be deleted, or put back when it can be taken', async () => {
    const record = await template();
    const archive = await world.mf.getR2Bucket('ARCHIVE');
    const healed = JSON.stringify({ v: 1, records: [{ ...record, id: 'healed' }] });
    await archive.put('dead/2026-01-01T00-healed.json', healed);
    const answer = await admin('POST', '/dead/2026-01-01T00-healed/retry');
    assert.deepEqual([answer.status, await answer.json()], [200, { revived: 1, has_more: false }]);
    assert.equal((await world.record('healed')).id, 'healed');
    assert.equal((await admin('GET', '/dead/2026-01-01T00-healed')).status, 404);

    for (const dead of await list()) assert.equal((await admin('DELETE', `/dead/${dead.name}`)).status, 200);
    assert.deepEqual(await list(), []);
    await archive.put('dead/2026-01-01T00-more.json', healed.replace('healed', 'more'));
    assert.deepEqual(await (await admin('POST', '/dead/retry')).json(), { revived: 1, has_more: false });
    await world.record('more');
  });

  test('is nobody else\'s business', async () => {
    for (const [method, path] of [['GET', '/dead'], ['POST', '/dead/retry']]) {
      assert.equal((await world.fetch(`/admin/api${path}`, { method })).status, 401);
    }
    assert.equal((await admin('POST', '/dead/nothing/retry')).status, 404);
    assert.equal((await admin('DELETE', '/dead/nothing')).status, 404);
    assert.equal((await admin('PUT', '/dead')).status, 404);
  });
});

describe('what is older than RETENTION_DAYS', () => {
  let world;
  let database;
  let archive;
  before(async () => {
    world = await startWorld({ bindings: { RETENTION_DAYS: '7' } });
    database = await world.mf.getD1Database('DB');
    archive = await world.mf.getR2Bucket('ARCHIVE');
  });
  after(() => world.close());

  test('goes when the trigger fires, and nothing else', async () => {
    const response = await world.post(CHAT, request(await world.route([{ lab: 'first' }])));
    await response.text();
    const record = await world.record(response.headers.get('x-waypost-id'));
    const day = 86_400_000;
    const queue = await world.mf.getQueueProducer('RECORDS');
    const aged = (id, days, route) => ({ ...record, id, route, at: Date.now() - days * day });
    const records = [aged('old', 8, 'gone'), aged('older', 400, 'gone'), aged('young', 6, 'kept'), aged('ancient', 8, 'kept')];
    await queue.send(JSON.stringify({ v: 1, records }), { contentType: 'text' });
    await world.record('young');
    await archive.put('dead/2020-01-01T00-old.json', 'x');
    const objects = async () => (await archive.list({ prefix: '' })).objects.length;
    // Four of the records that were sent, the one that was asked for, and the dead letter.
    assert.equal(await objects(), 5);
    const worker = await world.mf.getWorker();
    await worker.scheduled({ cron: '17 * * * *' });

    const ids = (await database.prepare('SELECT id FROM records ORDER BY id').all()).results.map(({ id }) => id);
    assert.deepEqual(ids, [record.id, 'young'].sort());
    assert.equal(await objects(), 2);
    assert.equal((await world.record('young')).id, 'young');
    const of = async (sql) => (await database.prepare(sql).all()).results.map(({ route }) => route);
    const kept = [record.route, 'kept'].sort();
    assert.deepEqual(await of('SELECT route FROM rollups WHERE minute > 0 ORDER BY route'), kept);
    assert.deepEqual(await of('SELECT route FROM attempt_rollups WHERE minute > 0 ORDER BY route'), kept);
    assert.deepEqual(await of('SELECT route FROM series ORDER BY route'), kept);
    const totals = await database.prepare("SELECT completed FROM rollups WHERE minute = 0 AND route = 'kept'").first('completed');
    assert.equal(totals, 2, 'a counter does not fall when its minutes are deleted');
  });
});

describe('names that a caller makes up', () => {
  const INVENTED = 1000;
  let world;
  let database;
  before(async () => {
    world = await startWorld();
    database = await world.mf.getD1Database('DB');
  });
  after(() => world.close());

  test('do not take the labels of routes', async () => {
    const response = await world.post(CHAT, request(await world.route([{ lab: 'first' }])));
    await response.text();
    const record = await world.record(response.headers.get('x-waypost-id'));
    const queue = await world.mf.getQueueProducer('RECORDS');
    const send = (records) => queue.send(JSON.stringify({ v: 1, records }), { contentType: 'text' });
    const made = (place) => {
      const name = `first/model-${place}`;
      const attempts = record.attempts.map((attempt) => ({ ...attempt, target: name }));
      return { ...record, id: `made-up-${place}`, route: name, attempts, outcome: { ...record.outcome, target: name } };
    };
    for (let from = 0; from < INVENTED; from += 50) await send(Array.from({ length: 50 }, (_, place) => made(from + place)));
    await Promise.all([...Array(INVENTED / 50).keys()].map((part) => world.record(`made-up-${part * 50}`)));
    await send([{ ...record, id: 'after', route: 'route-of-tomorrow' }]);
    await world.record('after');

    const counted = async (where) => (await database.prepare(`SELECT SUM(completed) AS sum FROM rollups WHERE minute = 0 AND ${where}`).first('sum')) ?? 0;
    assert.equal(await counted("route = 'route-of-tomorrow'"), 1, 'has labels of its own');
    const own = await counted("route LIKE 'first/%'");
    assert.ok(own > 0 && own <= 100, `${own} have labels of their own`);
    assert.equal(own + (await counted("route = 'other'")), INVENTED, 'each is counted once');
  });
});
