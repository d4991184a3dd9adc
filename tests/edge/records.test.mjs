// The record of each exchange: what it holds, that it arrives once and only once, and how it is read back.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { hear } from './hear.mjs';
import { startWorld, until } from './world.mjs';

const CHAT = '/v1/chat/completions';
const QUESTION = [{ role: 'user', content: 'hi' }];
const BURST = 200;

let world;
let database;
let archive;
before(async () => {
  world = await startWorld();
  database = await world.mf.getD1Database('DB');
  archive = await world.mf.getR2Bucket('ARCHIVE');
});
after(() => world.close());

const idOf = (response) => response.headers.get('x-waypost-id');
const post = (fields, headers) => world.post(CHAT, { messages: QUESTION, ...fields }, headers);

/** An exchange of a fresh route whose two targets do the same, and its response. */
async function exchange({ script = {}, ...fields } = {}) {
  const model = await world.route([{ lab: 'first', script }, { lab: 'second', script }]);
  return post({ model, ...fields });
}

async function recordOf(response) {
  await response.text();
  return world.record(idOf(response));
}

/** What is true of every record that met a route. */
function checkDecision({ v, id, at, config, decision, traits }) {
  assert.equal(v, 1);
  assert.match(id, /^wp-[0-9a-f]{11}-[0-9a-f]{16}$/);
  assert.ok(Math.abs(Date.now() - at) < 60_000);
  assert.match(config.route, /^[0-9a-f]{16}$/);
  assert.match(config.providers, /^[0-9a-f]{16}$/);
  assert.deepEqual([traits.dialect, traits.key, traits.messages, traits.has_tools], ['openai-chat', 'wp-demo', 1, false]);
  assert.match(decision.seed.value, /^[0-9a-f]{16}$/);
  assert.equal(decision.candidates.length, 2);
  const shares = decision.candidates.map(({ share }) => share);
  assert.ok(Math.abs(shares.reduce((sum, share) => sum + share) - 1) < 1e-12, `${shares}`);
  assert.equal(decision.propensity, decision.candidates.find(({ target }) => target === decision.plan[0]).share);
  for (const { signals, health, score } of decision.candidates) {
    assert.ok([...Object.values(signals), score, health.p_success].every(Number.isFinite));
    assert.ok(signals.weight > 0 && signals.cost_micro_usd > 0 && signals.ttft_seconds > 0 && signals.seconds_per_token > 0);
    assert.equal(health.admission.state, 'admitted');
  }
  assert.deepEqual([...decision.plan].sort(), ['first', 'second']);
}

/** Phases come in order, and none after the end. */
function checkPhases({ attempts, outcome }) {
  for (const { sent_ms, headers_ms = sent_ms, first_token_ms = headers_ms, end_ms } of attempts) {
    const phases = [0, sent_ms, headers_ms, first_token_ms, end_ms, outcome.total_ms];
    assert.deepEqual(phases, [...phases].sort((a, b) => a - b));
  }
}

describe('an exchange that', { concurrency: true }, () => {
  test('completed', async () => {
    const record = await recordOf(await exchange({ stream: true, user: 'ann@example.com', script: { ttft_ms: 30, tokens_per_s: 500 } }));
    checkDecision(record);
    checkPhases(record);
    const [{ outcome, status, usage, first_token_ms }] = record.attempts;
    assert.deepEqual([outcome, status, record.attempts.length], ['ok', 200, 1]);
    assert.deepEqual(usage, { prompt: 4, cached: 0, answer: 24, reasoning: 0, is_estimated: false });
    assert.ok(first_token_ms >= 25, `${first_token_ms}`);
    const { code, target, finish, status: shown, first_token_ms: shownAt } = record.outcome;
    assert.deepEqual([code, target, finish, shown, shownAt], ['completed', 'first', 'stop', 200, first_token_ms]);
    assert.equal(record.traits.is_streaming, true);
    assert.match(record.traits.user, /^[0-9a-f]{16}$/, 'a user is a hash');
  });

  test('failed', async () => {
    const record = await recordOf(await exchange({ script: { fault: { kind: 'status', status: 404 } } }));
    checkDecision(record);
    checkPhases(record);
    const attempts = record.attempts.map(({ target, outcome, status }) => [target, outcome, status]);
    assert.deepEqual(attempts, [['first', 'not_found', 404], ['second', 'not_found', 404]]);
    const { code, status, error, target } = record.outcome;
    assert.deepEqual([code, status, error, target], ['failed', 502, 'not_found', undefined]);
  });

  test('was rejected by the provider', async () => {
    const record = await recordOf(await exchange({ script: { fault: { kind: 'status', status: 400 } } }));
    checkDecision(record);
    assert.deepEqual(record.attempts.map(({ outcome }) => outcome), ['rejected']);
    assert.deepEqual([record.outcome.code, record.outcome.status], ['rejected', 400]);
  });

  test('was rejected before it met a route', async () => {
    const record = await recordOf(await post({ model: 'nowhere', stream: true }));
    assert.deepEqual([record.route, record.attempts, record.decision, record.traits.is_streaming], ['nowhere', [], undefined, true]);
    assert.deepEqual([record.outcome.code, record.outcome.status, record.outcome.error], ['rejected', 404, 'model_not_found']);
    const unreadable = await recordOf(await world.post(CHAT, '{'));
    assert.deepEqual([unreadable.outcome.status, unreadable.outcome.error, unreadable.traits.key], [400, 'invalid_json', 'wp-demo']);
  });

  test('no target could serve', async () => {
    const small = { id: 'small', provider: 'first', model: 'lab-small', can: [] };
    const dear = { id: 'dear', provider: 'first', model: 'lab-large', usd_per_mtok: { in: 9000, out: 9000 } };
    await world.put('route:narrow', { targets: [small, dear], limits: { cost_usd_max: 0.01 } });
    const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
    const response = await post({ model: 'narrow', tools });
    assert.equal(response.status, 400);
    const { error } = await response.clone().json();
    assert.match(error.message, /small: lacks tools; dear: .*limit/);
    const { decision, outcome } = await recordOf(response);
    assert.deepEqual(decision.candidates.map(({ excluded }) => excluded.reason), ['lacks_tools', 'limit']);
    assert.deepEqual([decision.plan, outcome.error], [[], 'no_candidate']);
  });

  test('was cut', async () => {
    const record = await recordOf(await exchange({ stream: true, script: { fault: { kind: 'cut' } } }));
    checkDecision(record);
    checkPhases(record);
    assert.deepEqual([record.outcome.code, record.outcome.status, record.outcome.error], ['cut', 200, 'cut_off']);
    const [{ usage }] = record.attempts;
    assert.deepEqual([usage.is_estimated, usage.answer > 0], [true, true]);
  });

  test('the client left', async () => {
    const leave = new AbortController();
    const model = await world.route([{ lab: 'first', script: { tokens: 1000, tokens_per_s: 50 } }, { lab: 'second' }]);
    const request = { model, messages: QUESTION, stream: true };
    const { data, response } = await world.openai().chat.completions.create(request, { signal: leave.signal }).withResponse();
    const heard = hear(data);
    await until('a first token', () => world.calls('first', model)[0]?.first_byte_ms);
    leave.abort();
    await heard;
    const record = await world.record(idOf(response));
    checkDecision(record);
    assert.deepEqual([record.outcome.code, record.outcome.status], ['client_gone', 499]);
    assert.deepEqual(record.attempts.map(({ outcome }) => outcome), ['abandoned']);
  });

  test('cost something, by the provider\'s prices and counts', async () => {
    const priced = { lab: 'first', script: { tokens: 10, cached_tokens: 1 }, usd_per_mtok: { in: 2, in_cached: 1, out: 5 } };
    const model = await world.route([priced, { lab: 'second' }]);
    const { attempts, outcome, decision } = await recordOf(await post({ model, max_tokens: 10 }));
    assert.equal(attempts[0].cost_micro_usd, 3 * 2 + 1 * 1 + 10 * 5);
    assert.equal(outcome.cost_micro_usd, attempts[0].cost_micro_usd);
    assert.ok(decision.candidates[0].signals.cost_micro_usd > 50);
  });
});

describe('a record', () => {
  const rowsOf = async (id) => (await database.prepare('SELECT * FROM records WHERE id = ?').bind(id).all()).results;

  test('is one row of D1 and one line of an object of R2', async () => {
    const record = await recordOf(await exchange());
    const [row, ...more] = await rowsOf(record.id);
    assert.deepEqual(more, []);
    const { route, target, outcome, status, attempts, prompt_tokens, answer_tokens, key } = row;
    assert.deepEqual([route, target, outcome, status], [record.route, 'first', 'completed', 200]);
    assert.deepEqual([attempts, prompt_tokens, answer_tokens, key], [1, 4, 24, 'wp-demo']);
    assert.equal(row.at, record.at);
    const [year, month, day, hour] = new Date(record.at).toISOString().split(/[-T:]/);
    const [object, start, length] = row.object.split(/[#+]/);
    assert.match(object, new RegExp(`^records/${year}/${month}/${day}/${hour}/[0-9a-f]{32}\\.ndjson\\.gz$`));
    const bytes = Buffer.from(await (await archive.get(object)).arrayBuffer());
    const member = gunzipSync(bytes.subarray(Number(start), Number(start) + Number(length)));
    assert.deepEqual(JSON.parse(member.subarray(row.offset, row.offset + row.length)), record);
    const lines = gunzipSync(bytes).toString().trimEnd().split('\n');
    assert.ok(lines.every((line) => JSON.parse(line).v === 1), 'the whole object is gzip too');
  });

  test('that was stored unpacked, as they once were, is read', async () => {
    const record = await recordOf(await exchange());
    const text = JSON.stringify({ ...record, id: 'unpacked' });
    const before = `${JSON.stringify({ ...record, id: 'before' })}\n`;
    await archive.put('records/2026/01/01/00/old.ndjson', `${before}${text}\n`);
    const place = ['unpacked', 'records/2026/01/01/00/old.ndjson', Buffer.byteLength(before), Buffer.byteLength(text), record.id];
    await database
      .prepare(`INSERT INTO records SELECT ?1, 1, route, target, outcome, status, attempts, first_token_ms, total_ms,
        prompt_tokens, answer_tokens, cost_micro_usd, key, team, pop, ?2, ?3, ?4 FROM records WHERE id = ?5`)
      .bind(...place)
      .run();
    assert.deepEqual(await world.record('unpacked'), JSON.parse(text));
  });

  test('that is delivered twice is stored once, whatever else is in the queue', async () => {
    const template = await recordOf(await exchange());
    const counted = (table, sum) => database
      .prepare(`SELECT SUM(${sum}) AS sum FROM ${table} WHERE minute = ? AND route = ?`)
      .bind(Math.floor(template.at / 60_000), template.route)
      .first('sum');
    const queue = await world.mf.getQueueProducer('RECORDS');
    const send = (ids) => queue.send(JSON.stringify({ v: 1, records: ids.map((id) => ({ ...template, id })) }), { contentType: 'text' });
    await queue.send('not a pack of records', { contentType: 'text' });
    await send(['twice', 'beside']);
    await world.record('twice');
    await send(['twice', 'beside']);
    await send(['after']);
    await world.record('after');
    for (const id of ['twice', 'beside', 'after']) assert.equal((await rowsOf(id)).length, 1, id);
    assert.deepEqual(await world.record('twice'), { ...template, id: 'twice' });
    assert.equal(await counted('rollups', 'completed'), 4, 'the template and three more are counted once each');
    assert.equal(await counted('attempt_rollups', 'attempts'), 4);
  });

  test('of each of many at once arrives, once', async () => {
    const model = await world.route([{ lab: 'first' }, { lab: 'second' }], { temperature: 1 });
    const responses = await Promise.all(Array.from({ length: BURST }, () => post({ model })));
    for (const response of responses) assert.equal(response.status, 200, await response.text());
    const ids = new Set(responses.map(idOf));
    assert.equal(ids.size, BURST);
    const stored = () => database.prepare('SELECT id FROM records WHERE route = ?').bind(model).all();
    const { results } = await until(`${BURST} rows`, async () => {
      const found = await stored();
      return found.results.length >= BURST && found;
    }, { every_ms: 150 });
    assert.deepEqual(new Set(results.map(({ id }) => id)), ids);
    const listed = (await world.records(BURST)).filter(({ route }) => route === model);
    assert.equal(new Set(listed.map(({ id }) => id)).size, BURST);

    const firsts = listed.filter(({ outcome }) => outcome.target === 'first').length;
    assert.ok(firsts > BURST / 2 && firsts < BURST, `${firsts} of ${BURST} went to the one with two thirds`);
    for (const { decision } of listed.filter(({ decision }) => decision.plan[0] === 'first')) {
      assert.ok(Math.abs(decision.propensity - 2 / 3) < 1e-12);
    }
  });
});

describe('the list of records', () => {
  test('is the newest first, as many as asked for', async () => {
    const made = [];
    for (let count = 0; count < 3; count += 1) made.push(await exchange());
    await Promise.all(made.map(recordOf));
    const listed = await world.records(3);
    assert.deepEqual(listed.map(({ id }) => id), made.map(idOf).reverse());
    assert.ok(listed[0].at >= listed[2].at);
  });

  for (const limit of ['0', '201', '-1', '1.5', 'x', '']) {
    test(`refuses limit=${limit}`, async () => {
      const response = await world.admin(`/records?limit=${limit}`);
      assert.equal(response.status, 400);
      const { error } = await response.json();
      assert.deepEqual([error.code, error.param], ['invalid_field', 'limit']);
      assert.match(error.message, /1 to 200/);
    });
  }
});
