// Faults that the other files leave: providers that cannot be reached for their name or certificate, keys that are
// refused for good, prompts that are too long, filters, odd ends of streams. docs/failures.md has the whole table;
// `failover`, `midstream`, `again`, `client_gone`, `flapping` and `floods` prove the rest of it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Miniflare, convertV4MiniflareOptions } from 'miniflare';

import { eventsOf, hear, tape } from './hear.mjs';
import { startWorld } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
const TEXT = 'one two three four five six seven eight nine ten';
const CASES_AT_ONCE = 8;
/** A case that waits for ever fails with the others of its suite. */
const SUITE_MS = 90_000;
const IDLE_MS = 400;
const DIALECTS = ['openai-chat', 'anthropic'];
const MODES = [true, false].map((stream) => ({ stream, mode: stream ? 'streamed' : 'whole' }));

let world;
let selfSigned;
before(async () => {
  selfSigned = await startSelfSigned();
  world = await startWorld();
  const { port } = new URL(world.labs.first.url);
  const at = (base_url) => ({ dialect: 'openai-chat', base_url, auth: 'none' });
  Object.assign(world.providers, {
    nameless: at('https://nowhere.invalid/v1'),
    untrusted: at(`${selfSigned.url}/v1`),
    plaintext: at(`https://127.0.0.1:${port}/v1`),
  });
  await world.put('providers', { providers: world.providers });
});
after(() => Promise.all([world.close(), selfSigned.close()]));

/** An https server on loopback whose certificate nobody has signed. Miniflare brings one, so that no key lies here. */
async function startSelfSigned() {
  const script = 'export default { fetch: () => new Response("reached") }';
  const workers = [{ name: 'self-signed', modules: true, script, compatibilityDate: '2026-10-23' }];
  const options = { host: '127.0.0.1', port: 0, https: true, cf: false, telemetry: { enabled: false }, workers };
  const mf = new Miniflare(convertV4MiniflareOptions(options));
  return { url: (await mf.ready).origin, close: () => mf.dispose() };
}

/** A route's answer: its text and finish, or its error, the response, and the record. */
async function ask(model, stream, max_tokens) {
  const client = tape();
  const call = world.openai({ fetch: client.fetch }).chat.completions.create({ model, messages: QUESTION, stream, max_tokens });
  const told = await call.withResponse().catch((error) => ({ error }));
  const { data, response = told.error, error } = told;
  const id = response.headers.get('x-waypost-id');
  const record = () => world.record(id);
  if (error) return { error, headers: error.headers, record };
  const heard = stream ? await hear(data) : { text: data.choices[0].message.content, finishes: [data.choices[0].finish_reason], error: null };
  return { ...heard, headers: response.headers, bytes: client.text(), record };
}

const outcomes = ({ attempts }) => attempts.map(({ target, outcome }) => `${target} ${outcome}`);

describe('a provider that cannot be reached', { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
  const WAYS = { nameless: 'a name that does not resolve', untrusted: 'a certificate that nobody signed', plaintext: 'no TLS where https was asked for' };
  for (const [provider, what] of Object.entries(WAYS)) {
    for (const { stream, mode } of MODES) {
      test(`for ${what}, ${mode}`, async () => {
        const model = `${provider}-${mode}`;
        world.labs.second.setScript(model, { ttft_ms: 0, tokens_per_s: 0, text: TEXT });
        const targets = [{ id: 'first', provider, model, weight: 2 }, { id: 'second', provider: 'second', model }];
        await world.put(`route:${model}`, { targets, temperature: 0 });
        const { text, error, record } = await ask(model, stream);
        assert.deepEqual([text, error], [TEXT, null]);
        assert.deepEqual(outcomes(await record()), ['first unreachable', 'second ok']);
      });
    }
  }
});

describe('a provider that will not serve us', { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
  const REFUSALS = { 401: 'key_rejected', 402: 'payment_required', 403: 'key_rejected', 404: 'not_found' };
  for (const [status, outcome] of Object.entries(REFUSALS)) {
    for (const { stream, mode } of MODES) {
      test(`${status} for good is no longer asked, and the records say why, ${mode}`, async () => {
        const fault = { kind: 'status', status: Number(status) };
        const model = await world.route([{ lab: 'first', script: { fault } }, { lab: 'second', script: { text: TEXT } }]);
        const first = await ask(model, stream);
        assert.deepEqual([first.text, first.error], [TEXT, null]);
        const [refused] = (await first.record()).attempts;
        assert.deepEqual([refused.target, refused.outcome, refused.status], ['first', outcome, Number(status)]);
        assert.ok(refused.reason.length > 10, 'and the reason in words');
        const later = [await ask(model, stream), await ask(model, stream), await ask(model, stream)];
        assert.equal(world.calls('first', model).length, 3, 'ejected after three in a row');
        const { decision } = await later.at(-1).record();
        assert.deepEqual(decision.candidates.find(({ target }) => target === 'first').excluded, { reason: 'ejected' });
      });
    }
  }
});

describe('a prompt that is too long for every target', { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
  for (const dialect of DIALECTS) {
    for (const { stream, mode } of MODES) {
      test(`is told in the last one's words, and each is asked once: ${dialect}, ${mode}`, async () => {
        const script = { fault: { kind: 'context_too_long' } };
        const model = await world.route([{ lab: 'first', script }, { lab: 'second', dialect, script }]);
        const { error, record } = await ask(model, stream);
        assert.deepEqual([error.status, error.code], [400, 'context_length_exceeded']);
        assert.match(error.message, /8192/);
        assert.deepEqual(outcomes(await record()), ['first context_too_long', 'second context_too_long']);
      });
    }
  }

  test('and is not asked for again after it was waited for', async () => {
    const model = await world.route([
      { lab: 'first', script: { fault: { kind: 'status', status: 429, retry_after_ms: 300, times: 1 } } },
      { lab: 'second', script: { fault: { kind: 'context_too_long' } } },
    ]);
    const { text, record } = await ask(model, true);
    assert.ok(text.startsWith('first here'), text);
    assert.deepEqual(outcomes(await record()), ['first rate_limited', 'second context_too_long', 'first ok']);
  });
});

describe('a safety filter', { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
  const REFUSED = {
    'openai-chat': { kind: 'status', status: 400, error_code: 'content_filter', message: 'The prompt was filtered.' },
    anthropic: { kind: 'status', status: 400, message: 'Output blocked by content filtering policy' },
  };
  const ended = { kind: 'content_filter' };
  for (const dialect of DIALECTS) {
    for (const { stream, mode } of MODES) {
      const route = (fault, fields, last = { script: { text: TEXT } }) =>
        world.route([{ lab: 'first', dialect, script: { fault } }, { lab: 'second', ...last }], fields);

      test(`that refuses is the answer, unless the route says otherwise: ${dialect}, ${mode}`, async () => {
        const model = await route(REFUSED[dialect], {});
        const { error } = await ask(model, stream);
        assert.deepEqual([error.status, error.code], [400, 'content_filter']);
        assert.ok(error.message.includes(REFUSED[dialect].message), error.message);
        assert.deepEqual(world.calls('second', model), []);
      });

      for (const [what, fault] of Object.entries({ refuses: REFUSED[dialect], 'ends an answer': ended })) {
        test(`that ${what} leads on where the route says next: ${dialect}, ${mode}`, async () => {
          const { text, error, finishes, record } = await ask(await route(fault, { filtered: 'next' }), stream);
          assert.deepEqual([text, error, finishes], [TEXT, null, ['stop']]);
          assert.deepEqual(outcomes(await record()), ['first content_filtered', 'second ok']);
        });
      }

      test(`of every target is told as the reason: ${dialect}, ${mode}`, async () => {
        const { error, record } = await ask(await route(ended, { filtered: 'next' }, { script: { fault: ended } }), stream);
        assert.deepEqual([error.status, error.code], [400, 'content_filter']);
        assert.deepEqual(outcomes(await record()), ['first content_filtered', 'second content_filtered']);
      });
    }
  }
});

describe('a stream ends oddly', { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
  for (const dialect of DIALECTS) {
    const first = (script) => [{ lab: 'first', dialect, script: { text: TEXT, ...script } }, { lab: 'second', script: { text: TEXT } }];

    test(`with an event that cannot be read: cut, ${dialect}`, async () => {
      const model = await world.route(first({ fault: { kind: 'garbled', after_tokens: 5, ends: false } }));
      const { text, error, record } = await ask(model, true);
      assert.deepEqual([text, error.code], ['one two three four five', 'cut_off']);
      const { attempts } = await record();
      assert.deepEqual([attempts[0].outcome, attempts[0].garbled], ['cut_off', 1]);
    });

    for (const { stream, mode } of MODES) {
      test(`without an end marker, and stays open: whole all the same, ${dialect}, ${mode}`, async () => {
        const script = { fault: { kind: 'no_end', closes: false, streams_only: true } };
        const model = await world.route(first(script), { deadlines: { first_token_ms: 20_000 } });
        const { text, error, finishes, record } = await ask(model, stream);
        assert.deepEqual([text, error, finishes], [TEXT, null, ['stop']]);
        const { attempts } = await record();
        assert.deepEqual([attempts.length, attempts[0].outcome], [1, 'ok']);
        assert.ok(attempts[0].end_ms < 10_000, `${attempts[0].end_ms} ms, which no deadline ended`);
        assert.notEqual(world.calls('first', model)[0].client_closed_ms, null, 'and its connection is closed');
      });
    }

    test(`slower than its idle time between two tokens, with signs of life: left alone, ${dialect}`, async () => {
      const model = await world.route(first({ tokens_per_s: 1, keepalive_ms: IDLE_MS / 8 }), { deadlines: { idle_ms: IDLE_MS } });
      const { text, error, record } = await ask(model, true, 3);
      assert.deepEqual([text, error], ['one two three', null]);
      const [attempt] = (await record()).attempts;
      assert.ok(attempt.end_ms - attempt.first_token_ms > 4 * IDLE_MS, 'the pauses were longer than the idle time');
    });
  }
});

test('a buffered answer starts again from nothing, so no target is asked to accept a prefill', async () => {
  for (const { stream } of MODES) {
    const model = await world.route(
      [
        { lab: 'first', script: { text: TEXT, fault: { kind: 'cut' } } },
        { lab: 'second', can: ['prefill'], script: { text: TEXT, fault: { kind: 'prefill_refused' } } },
      ],
      { midstream: 'buffer', deadlines: { first_token_ms: 20_000 } },
    );
    const { text, error, record } = await ask(model, stream);
    assert.deepEqual([text, error], [TEXT, null]);
    assert.deepEqual(outcomes(await record()), ['first cut_off', 'second ok']);
  }
});

test('where everything is down, the Messages API says each reason and when to come back, streamed or not', async () => {
  for (const { stream } of MODES) {
    const busy = (retry_after) => ({ script: { fault: { kind: 'status', status: 503, retry_after } } });
    const model = await world.route([{ lab: 'first', ...busy(40) }, { lab: 'second', dialect: 'anthropic', ...busy(30) }]);
    const response = await world.post('/v1/messages', { model, max_tokens: 9, messages: QUESTION, stream });
    const text = await response.text();
    const { type, error } = JSON.parse(text);
    assert.deepEqual([response.status, type, error.type], [529, 'error', 'overloaded_error']);
    assert.match(error.message, /first: .*second: /);
    assert.equal(response.headers.get('retry-after'), '30');
    assert.equal(response.headers.get('x-should-retry'), null);
    assert.equal(eventsOf(text).filter(({ event }) => event !== undefined).length, 0, 'an error, not a stream of one');
  }
});

test('a provider\'s words about our key do not reach the client', async () => {
  const fault = { kind: 'status', status: 401, message: 'Incorrect API key provided: sk-lab-1234' };
  const model = await world.route([{ lab: 'first', script: { fault } }]);
  const { error, record } = await ask(model, false);
  assert.equal(error.status, 502);
  assert.doesNotMatch(error.message, /sk-lab/);
  assert.deepEqual(outcomes(await record()), ['first key_rejected']);
});
