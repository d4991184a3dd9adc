// What happens after the first good token: a stream that breaks ends in a typed error, never as if it were whole,
// and one that is merely odd or slow is left alone.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import OpenAI from 'openai';

import { eventsOf, hear, tape } from './hear.mjs';
import { startWorld } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
const CASES_AT_ONCE = 8;
/** A case that waits for ever fails with the others of its suite. */
const SUITE_MS = 90_000;
const IDLE_MS = 400;
const TEXT = 'one two three four five six seven eight nine ten';

const BREAKS = [
  { kind: 'cut', outcome: 'cut_off' },
  { kind: 'cut_clean', outcome: 'cut_off' },
  { kind: 'cut_mid_event', outcome: 'cut_off' },
  { kind: 'stall', outcome: 'idle_deadline' },
  { kind: 'error_event', outcome: { 'openai-chat': 'error_event', anthropic: 'server_error' } },
];
/** All at once, so that content and break may arrive in one read, and slowly, so that they do not. */
const PACES = { 'at once': {}, slowly: { tokens_per_s: 50 } };

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

/** Streams an answer of a route's first target. */
async function stream(dialect, script, deadlines) {
  const model = await world.route([{ lab: 'first', dialect, script: { text: TEXT, ...script } }, { lab: 'second' }], { deadlines });
  const client = tape();
  const request = { model, messages: QUESTION, stream: true };
  const { data, response } = await world.openai({ fetch: client.fetch }).chat.completions.create(request).withResponse();
  const heard = await hear(data);
  return { model, heard, response, bytes: client.text(), record: () => world.record(response.headers.get('x-waypost-id')) };
}

for (const dialect of ['openai-chat', 'anthropic']) {
  describe(`${dialect}: a break after content is an error`, { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
    for (const { kind, outcome: outcomes } of BREAKS) {
      for (const [pace, script] of Object.entries(PACES)) {
        test(`${kind}, ${pace}`, async () => {
          const outcome = outcomes[dialect] ?? outcomes;
          const fault = { kind, after_tokens: 5 };
          const { model, heard, response, bytes, record } = await stream(dialect, { ...script, fault }, { idle_ms: IDLE_MS });

          assert.equal(response.status, 200);
          assert.equal(heard.text, 'one two three four five');
          assert.ok(heard.error instanceof OpenAI.APIError, `${heard.error}`);
          assert.ok(!(heard.error instanceof OpenAI.APIConnectionError), 'an event said it, not the connection');
          assert.equal(heard.error.code, outcome);
          assert.match(heard.error.message, /first: /);
          assert.deepEqual(heard.finishes, []);
          assert.doesNotMatch(bytes, /\[DONE\]|"finish_reason":"/);
          const events = eventsOf(bytes).map(({ data }) => JSON.parse(data));
          assert.equal(events.at(-1).error.code, outcome, 'the error is the last event');

          assert.equal(response.headers.get('x-waypost-target'), 'first');
          assert.deepEqual(world.calls('second', model), []);
          const { outcome: ending, attempts } = await record();
          assert.deepEqual([ending.code, ending.status, ending.error, ending.target], ['cut', 200, outcome, 'first']);
          assert.deepEqual(attempts.map((attempt) => attempt.outcome), [outcome]);
          assert.ok(attempts[0].usage.answer > 0, 'what was said is counted');
        });
      }
    }

    test('in the Messages API too', async () => {
      const model = await world.route([{ lab: 'first', dialect, script: { text: TEXT, fault: { kind: 'cut', after_tokens: 5 } } }]);
      const response = await world.post('/v1/messages', { model, max_tokens: 99, messages: QUESTION, stream: true });
      const events = eventsOf(await response.text());
      assert.equal(events.at(-1).event, 'error');
      const { type, error } = JSON.parse(events.at(-1).data);
      assert.deepEqual([type, typeof error.type], ['error', 'string']);
      assert.ok(events.some(({ event }) => event === 'content_block_delta'));
      assert.ok(events.every(({ event, data }) => event !== 'message_stop' && !data.includes('"stop_reason":"')));
    });
  });

  describe(`${dialect}: a sound stream is left alone`, { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
    const checkWhole = ({ heard, bytes, response }) => {
      assert.equal(heard.error, null);
      assert.equal(heard.text, TEXT);
      assert.deepEqual(heard.finishes, ['stop']);
      assert.equal(heard.usages.at(-1).completion_tokens, 10);
      assert.match(bytes, /data: \[DONE\]\n\n$/);
      assert.equal(response.headers.get('x-waypost-target'), 'first');
      assert.equal(response.headers.get('x-waypost-attempts'), '1');
    };

    test('with an event that cannot be read, which is skipped and counted', async () => {
      const answer = await stream(dialect, { fault: { kind: 'garbled', after_tokens: 3 } });
      checkWhole(answer);
      const { attempts, outcome } = await answer.record();
      assert.deepEqual([attempts[0].outcome, attempts[0].garbled, outcome.code], ['ok', 1, 'completed']);
    });

    test('without an end marker', async () => checkWhole(await stream(dialect, { fault: { kind: 'no_end' } })));

    test('without an end marker, in the Messages API', async () => {
      const model = await world.route([{ lab: 'first', dialect, script: { text: TEXT, fault: { kind: 'no_end' } } }]);
      const response = await world.post('/v1/messages', { model, max_tokens: 3, messages: QUESTION, stream: true });
      const events = eventsOf(await response.text()).map(({ data }) => JSON.parse(data));
      const only = (type) => events.filter((event) => event.type === type);
      assert.deepEqual(only('message_delta').map(({ delta, usage }) => [delta.stop_reason, usage.output_tokens]), [['max_tokens', 3]]);
      assert.equal(only('message_start').length, 1);
      assert.equal(events.at(-1).type, 'message_stop');
    });

    test('slower in all than any deadline, but steady', async () => {
      const deadlines = { first_token_ms: 2 * IDLE_MS, idle_ms: IDLE_MS };
      const began_ms = performance.now();
      checkWhole(await stream(dialect, { tokens_per_s: 5 }, deadlines));
      const took_ms = performance.now() - began_ms;
      assert.ok(took_ms > deadlines.first_token_ms + deadlines.idle_ms, `took ${took_ms} ms`);
    });

    test('slow to begin, with signs of life', async () => {
      const deadlines = { first_token_ms: 10 * IDLE_MS, idle_ms: IDLE_MS };
      checkWhole(await stream(dialect, { ttft_ms: 3 * IDLE_MS, keepalive_ms: IDLE_MS / 8 }, deadlines));
    });

    test('with a line of a megabyte', async () => {
      const { heard, bytes } = await stream(dialect, { fault: { kind: 'big_line', bytes: 1_000_000, after_tokens: 1 } });
      assert.equal(heard.error, null);
      assert.ok(heard.text.length > 900_000, `${heard.text.length}`);
      assert.match(bytes, /data: \[DONE\]\n\n$/);
    });
  });
}
