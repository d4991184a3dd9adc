// What a client never notices: the first target fails before its first good token, and the second one answers.
//
// Each case has a route and models of its own, so that the health of one says nothing about another. A client that
// wants the answer whole has two cases, because a route with a deadline for the first token asks its targets for a
// stream all the same.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import OpenAI from 'openai';

import { hear } from './hear.mjs';
import { startWorld, until } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
/** Cases under way at once: most of their time they wait for their record. */
const CASES_AT_ONCE = 24;
/** Cases with a short deadline; more, and a busy machine misses it where it should not. */
const SILENCES_AT_ONCE = 6;
/** A case that waits for ever fails with the others of its suite. */
const SUITE_MS = 90_000;
/** Long enough for a sound target on a busy machine. */
const SHORT_MS = 700;
const PATIENT_MS = 20_000;

const status = (status, more = {}) => ({ kind: 'status', status, ...more });
const early = (kind) => ({ kind, after_tokens: 0 });

/**
 * Faults that end by themselves, with the outcome that the record must name: one for a stream, one for an answer
 * that was asked for whole, or one for both.
 */
const FAULTS = [
  { fault: { kind: 'refuse' }, outcome: 'unreachable' },
  { fault: { kind: 'reset' }, outcome: 'unreachable' },
  { fault: { kind: 'reset_after_headers' }, outcome: 'cut_off' },
  { fault: early('cut'), outcome: 'cut_off' },
  { fault: early('cut_clean'), outcome: 'cut_off' },
  { fault: early('cut_mid_event'), outcome: 'cut_off' },
  { fault: status(429, { retry_after: 30 }), outcome: 'rate_limited' },
  { fault: status(429), outcome: 'rate_limited' },
  { fault: status(500), outcome: 'server_error' },
  { fault: status(503, { retry_after: 'Fri, 01 Jan 2100 00:00:00 GMT' }), outcome: 'server_error' },
  { fault: status(529), outcome: 'server_error' },
  { fault: status(401), outcome: 'key_rejected' },
  { fault: status(403), outcome: 'key_rejected' },
  { fault: status(402), outcome: 'payment_required' },
  { fault: status(404), outcome: 'not_found' },
  { fault: { kind: 'context_too_long' }, outcome: 'context_too_long' },
  { fault: early('error_event'), outcome: { 'openai-chat': 'error_event', anthropic: 'server_error' } },
  { fault: { kind: 'empty' }, outcome: 'empty_answer' },
  { fault: { kind: 'html' }, outcome: 'malformed' },
  { fault: { kind: 'redirect' }, outcome: 'malformed' },
  { fault: { kind: 'wrong_type' }, outcome: 'malformed', streamedOnly: true },
  { fault: { kind: 'garbled' }, outcome: 'malformed', wholeOnly: true },
  { fault: { kind: 'empty_events_forever' }, outcome: 'too_large', streamedOnly: true },
];

const silent = { fault: { kind: 'silence_after_headers' } };
const stalled = { fault: early('stall') };
/** Faults that only a deadline ends, by the outcome. */
const SILENCES = {
  headers_deadline: {
    deadlines: { headers_ms: SHORT_MS },
    scripts: { silence: { fault: { kind: 'silence' } }, 'slow headers': { headers_ms: 4 * SHORT_MS } },
  },
  first_token_deadline: {
    deadlines: { first_token_ms: SHORT_MS },
    scripts: {
      'silence after the headers': silent,
      'a slow first token': { ttft_ms: 4 * SHORT_MS },
      'a stall before any content': stalled,
      'signs of life and nothing else': { ...stalled, keepalive_ms: 50 },
      'comments without end': { fault: { kind: 'comments_forever' } },
    },
  },
  idle_deadline: {
    deadlines: { first_token_ms: PATIENT_MS, idle_ms: SHORT_MS },
    scripts: { 'silence between two events': stalled },
  },
};

let world;
before(async () => {
  world = await startWorld({ labs: ['first', 'second', 'gone'] });
  await world.labs.gone.down();
});
after(() => world.close());

/** Asks a route whose first target fails, and checks that the second one's answer is all that the client sees. */
async function checkFailover({ targets, deadlines, outcome, stream }) {
  const model = await world.route(targets, { deadlines });
  const { data, response } = await world.openai().chat.completions.create({ model, messages: QUESTION, stream }).withResponse();
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('x-waypost-target'), 'second');
  const { text, finish, usage } = stream ? ofStream(await hear(data)) : ofWhole(data);
  assert.ok(text.startsWith(`second here, model ${model}-1.`), text);
  assert.equal(finish, 'stop');
  assert.equal(usage.completion_tokens, 24);

  const record = await world.record(response.headers.get('x-waypost-id'));
  const expected = [[targets[0].lab, outcome], ['second', 'ok']];
  // A server error is asked again while the budget of the isolate lasts, which the cases under way share.
  if (outcome === 'server_error' && record.attempts.length === 3) expected.unshift(expected[0]);
  const asked = targets[0].lab === 'gone' ? 0 : expected.length - 1;
  assert.equal(world.calls(targets[0].lab, model).length, asked, 'what fell silent or failed is not asked again');
  assert.deepEqual(record.attempts.map(({ target, outcome }) => [target, outcome]), expected);
  assert.equal(response.headers.get('x-waypost-attempts'), `${expected.length}`);
  assert.ok(record.attempts[0].reason.length > 10, 'and the reason in words');
  assert.equal(record.outcome.code, 'completed');
  assert.equal(record.outcome.target, 'second');
}

function ofStream(heard) {
  assert.equal(heard.error, null);
  assert.equal(heard.finishes.length, 1);
  return { text: heard.text, finish: heard.finishes[0], usage: heard.usages.at(-1) };
}

function ofWhole({ choices: [{ message, finish_reason }], usage }) {
  return { text: message.content, finish: finish_reason, usage };
}

/** The error that a call raises. */
function fails(fields) {
  return world.openai().chat.completions.create({ messages: QUESTION, ...fields }).then(assert.fail, (error) => error);
}

for (const dialect of ['openai-chat', 'anthropic']) {
  const outcomeOf = ({ outcome }) => outcome[dialect] ?? outcome;
  const targets = (script) => [{ lab: 'first', dialect, script }, { lab: 'second' }];

  describe(`${dialect}: the second target answers for`, { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
    for (const each of FAULTS) {
      const name = [each.fault.kind, each.fault.status, each.fault.retry_after && 'with a time'].filter(Boolean).join(' ');
      const given = { targets: targets({ fault: each.fault }), outcome: outcomeOf(each) };
      if (!each.wholeOnly) {
        test(`${name}, streamed`, () => checkFailover({ ...given, stream: true }));
        test(`${name}, whole from a stream`, () => checkFailover({ ...given, deadlines: { first_token_ms: PATIENT_MS } }));
      }
      if (!each.streamedOnly) test(`${name}, whole`, () => checkFailover(given));
    }

    test('cut, for a client that wants the answer whole', () =>
      checkFailover({ targets: targets({ fault: { kind: 'cut' } }), deadlines: { first_token_ms: PATIENT_MS }, outcome: 'cut_off' }));

    test('a port that refuses', async () => {
      for (const stream of [true, false]) {
        await checkFailover({ targets: [{ lab: 'gone', dialect }, { lab: 'second' }], outcome: 'unreachable', stream });
      }
    });
  });

  describe(`${dialect}: the second target answers after`, { concurrency: SILENCES_AT_ONCE, timeout: SUITE_MS }, () => {
    for (const [outcome, { deadlines, scripts }] of Object.entries(SILENCES)) {
      for (const [name, script] of Object.entries(scripts)) {
        const given = { targets: targets(script), deadlines, outcome };
        test(`${name}, streamed`, () => checkFailover({ ...given, stream: true }));
        test(`${name}, whole from a stream`, () => checkFailover(given));
      }
    }

    test('a stall in a whole body', () =>
      checkFailover({ targets: targets({ fault: { kind: 'stall' } }), deadlines: { idle_ms: SHORT_MS }, outcome: 'idle_deadline' }));
  });
}

describe('no target can answer', { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
  const each = (...faults) => [
    { lab: 'first', script: { fault: faults[0] } },
    { lab: 'second', dialect: 'anthropic', script: { fault: faults.at(-1) } },
  ];
  const gone = [{ lab: 'gone' }, { lab: 'gone', id: 'second', dialect: 'anthropic' }];
  const forAWhile = [status(429, { retry_after: 40 }), status(429, { retry_after_ms: 6500 })];
  const CASES = [
    { name: 'all broken', targets: each({ kind: 'reset' }), status: 502, code: 'unreachable' },
    { name: 'all refuse the connection', targets: gone, status: 502, code: 'unreachable', first: 'gone' },
    { name: 'all overloaded', targets: each(status(503)), status: 503, code: 'server_error' },
    { name: 'all silent', targets: each({ kind: 'silence' }), deadlines: { headers_ms: SHORT_MS }, status: 504, code: 'headers_deadline' },
    { name: 'all limited', targets: each(status(429)), status: 429, code: 'rate_limited' },
    { name: 'all limited for a time', targets: each(...forAWhile), status: 429, code: 'rate_limited', retryAfter: '7' },
    { name: 'each in its own way', targets: each(status(401), status(500)), status: 502, code: 'server_error' },
  ];
  for (const { name, targets, deadlines, status: expected, code, retryAfter = null, first = 'first' } of CASES) {
    for (const stream of [true, false]) {
      test(`${name}, ${stream ? 'streamed' : 'whole'}`, async () => {
        const model = await world.route(targets, { deadlines });
        const error = await fails({ model, stream });
        assert.ok(error instanceof (expected === 429 ? OpenAI.RateLimitError : OpenAI.InternalServerError), `${error}`);
        assert.equal(error.status, expected);
        assert.equal(error.code, code);
        assert.equal(error.param, null);
        assert.equal(typeof error.type, 'string');
        assert.ok(error.message.includes(`${first}: `) && error.message.includes('second: '), error.message);
        assert.equal(error.headers.get('retry-after'), retryAfter);
        assert.equal(error.headers.get('x-should-retry'), retryAfter === null ? 'false' : null);
        assert.equal(error.headers.get('x-waypost-target'), null);
        const record = await world.record(error.headers.get('x-waypost-id'));
        assert.deepEqual([record.outcome.code, record.outcome.status], ['failed', expected]);
        const { attempts } = record;
        assert.equal(error.headers.get('x-waypost-attempts'), `${attempts.length}`);
        assert.deepEqual([...new Set(attempts.map(({ target }) => target))], [first, 'second']);
        const again = attempts.length - 2;
        const serverErrors = attempts.filter(({ outcome }) => outcome === 'server_error').length;
        assert.ok(again <= serverErrors / 2, `only server errors are asked again, and once: ${serverErrors} of ${attempts.length}`);
      });
    }
  }

  test('the Messages API says so in its own shape', async () => {
    const model = await world.route(each(status(503)));
    const response = await world.post('/v1/messages', { model, max_tokens: 9, messages: QUESTION });
    const body = await response.json();
    assert.equal(response.status, 529);
    assert.deepEqual([body.type, body.error.type], ['error', 'overloaded_error']);
    assert.match(body.error.message, /first: .*second: /);
  });
});

describe('the caller\'s own mistake is no reason to ask another target', { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
  for (const dialect of ['openai-chat', 'anthropic']) {
    for (const stream of [true, false]) {
      test(`${dialect}, ${stream ? 'streamed' : 'whole'}`, async () => {
        const mistake = status(400, { message: 'temperature must be below 2', error_type: 'invalid_request_error' });
        const model = await world.route([{ lab: 'first', dialect, script: { fault: mistake } }, { lab: 'second' }]);
        const error = await fails({ model, stream });
        assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
        assert.equal(error.message, '400 temperature must be below 2');
        assert.equal(error.headers.get('x-waypost-attempts'), '1');
        assert.deepEqual(world.calls('second', model), []);
        const record = await world.record(error.headers.get('x-waypost-id'));
        assert.deepEqual([record.outcome.code, record.outcome.status], ['rejected', 400]);
      });
    }
  }

  test('in the provider\'s own bytes, where the caller speaks its dialect', async () => {
    const mistake = status(422, { message: 'no', error_code: 'odd_code' });
    const model = await world.route([{ lab: 'first', script: { fault: mistake } }, { lab: 'second' }]);
    const own = await fetch(`${world.labs.first.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: `${model}-0`, messages: QUESTION }),
    });
    const passed = await world.post('/v1/chat/completions', { model, messages: QUESTION });
    assert.equal(passed.status, 422);
    assert.equal(await passed.text(), await own.text());
  });

  test('a safety filter\'s decision stands', async () => {
    const model = await world.route([{ lab: 'first', script: { fault: { kind: 'content_filter' } } }, { lab: 'second' }]);
    for (const stream of [true, false]) {
      const { data, response } = await world.openai().chat.completions.create({ model, messages: QUESTION, stream }).withResponse();
      const { finish } = stream ? ofStream({ usages: [], ...(await hear(data)) }) : ofWhole(data);
      assert.equal(finish, 'content_filter');
      assert.equal(response.headers.get('x-waypost-target'), 'first');
    }
    assert.deepEqual(world.calls('second', model), []);
  });
});

test('killing the first target\'s server between two calls costs the client nothing but time', async () => {
  const { gone: server } = world.labs;
  await server.up();
  const model = await world.route([{ lab: 'gone', id: 'primary' }, { lab: 'second', id: 'backup' }]);
  const call = () => world.openai().chat.completions.create({ model, messages: QUESTION }).withResponse();
  const seen = ({ response: { status, headers } }) => [status, headers.get('x-waypost-target'), headers.get('x-waypost-attempts')];

  assert.deepEqual(seen(await call()), [200, 'primary', '1']);
  await server.down();
  const second = await call();
  assert.deepEqual(seen(second), [200, 'backup', '2']);
  assert.match(second.data.choices[0].message.content, /^second here/);
  const { attempts, outcome } = await world.record(second.response.headers.get('x-waypost-id'));
  assert.deepEqual(attempts.map(({ target, outcome }) => [target, outcome]), [['primary', 'unreachable'], ['backup', 'ok']]);
  assert.match(attempts[0].reason, /could not connect/);
  assert.deepEqual([outcome.code, outcome.target], ['completed', 'backup']);

  const ejected = await until('the primary to be ejected', async () => {
    const last = await call();
    return last.response.headers.get('x-waypost-attempts') === '1' ? last : undefined;
  });
  assert.deepEqual(seen(ejected), [200, 'backup', '1']);
  const { decision } = await world.record(ejected.response.headers.get('x-waypost-id'));
  assert.deepEqual(decision.candidates.find(({ target }) => target === 'primary').excluded, { reason: 'ejected' });
  assert.deepEqual(decision.plan, ['backup', 'primary']);

  await server.up();
  const back = await until('the primary to be used again', async () => {
    const last = await call();
    assert.equal(last.response.status, 200);
    return last.response.headers.get('x-waypost-target') === 'primary' ? last : undefined;
  });
  assert.deepEqual(seen(back), [200, 'primary', '1']);
});
