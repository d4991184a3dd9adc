// What becomes of a call whose first target fails or dawdles: the same target again, a second beside it, or another that
// carries the answer on. Each on real sockets; `tests/exchange/` has every case of the rules.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { eventsOf, hear, tape } from './hear.mjs';
import { startWorld } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
const TEXT = 'one two three four five six seven eight nine ten';
const cut = { kind: 'cut', after_tokens: 5 };

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

/** Calls a new route, and gives what the client heard, the bytes, and the record. */
async function call({ first, second, fields, stream = true }) {
  const model = await world.route([{ lab: 'first', ...first }, { lab: 'second', ...second }], fields);
  const client = tape();
  const began_ms = performance.now();
  const { data, response } = await world
    .openai({ fetch: client.fetch })
    .chat.completions.create({ model, messages: QUESTION, stream })
    .withResponse();
  const heard = stream ? await hear(data) : data;
  const took_ms = performance.now() - began_ms;
  const record = await world.record(response.headers.get('x-waypost-id'));
  const attempts = record.attempts.map(({ target, outcome }) => `${target} ${outcome}`);
  return { model, heard, response, bytes: client.text(), took_ms, record, attempts };
}

for (const stream of [true, false]) {
  test(`a server error once: the same target answers, ${stream ? 'streamed' : 'whole'}`, async () => {
    const fault = { kind: 'status', status: 500, times: 1 };
    const { attempts, model } = await call({ first: { script: { fault } }, stream });
    assert.deepEqual(attempts, ['first server_error', 'first ok']);
    assert.deepEqual(world.calls('second', model), []);
  });

  test(`a short Retry-After everywhere is waited out, ${stream ? 'streamed' : 'whole'}`, async () => {
    const limited = (retry_after_ms) => ({ script: { fault: { kind: 'status', status: 429, retry_after_ms, times: 1 } } });
    const { attempts, took_ms, record } = await call({ first: limited(60_000), second: limited(900), stream });
    assert.deepEqual(attempts, ['first rate_limited', 'second rate_limited', 'second ok']);
    assert.ok(took_ms >= 900, `asked after ${took_ms} ms`);
    const [, limitedAt, again] = record.attempts;
    assert.ok(again.sent_ms - limitedAt.end_ms >= 900, 'never earlier than it said');
  });
}

test('a hedge answers for a silent target, whose connection closes at once', async () => {
  const { attempts, heard, model } = await call({
    first: { script: { fault: { kind: 'silence' } } },
    fields: { hedge: { after_ms: 200 } },
  });
  assert.deepEqual(attempts, ['first abandoned', 'second ok']);
  assert.equal(heard.error, null);
  const [lost] = world.calls('first', model);
  assert.notEqual(lost.client_closed_ms, null, 'the loser was cancelled');
});

test('a buffered answer that breaks is started again, unseen', async () => {
  for (const dialect of ['openai-chat', 'anthropic']) {
    const { attempts, heard, bytes, response } = await call({
      first: { script: { text: 'never shown at all', fault: { kind: 'cut', after_tokens: 2 } } },
      second: { dialect, script: { text: TEXT } },
      fields: { midstream: 'buffer' },
    });
    assert.deepEqual(attempts, ['first cut_off', 'second ok']);
    assert.equal(heard.text, TEXT);
    assert.doesNotMatch(bytes, /never/);
    assert.equal(response.headers.get('x-waypost-target'), 'second');
  }
});

for (const client of ['openai-chat', 'anthropic']) {
  for (const begins of ['openai-chat', 'anthropic']) {
    for (const ends of ['openai-chat', 'anthropic']) {
      test(`${client} client: begun by ${begins}, carried on by ${ends}`, async () => {
        const model = await world.route(
          [
            { lab: 'first', dialect: begins, script: { text: TEXT, fault: cut } },
            { lab: 'second', dialect: ends, can: ['prefill'], script: { text: TEXT } },
          ],
          { midstream: 'continue' },
        );
        const path = client === 'anthropic' ? '/v1/messages' : '/v1/chat/completions';
        const response = await world.post(path, { model, max_tokens: 99, messages: QUESTION, stream: true });
        const text = await response.text();
        const told = eventsOf(text).filter(({ data }) => data !== undefined && data !== '[DONE]');
        const events = told.map(({ data }) => JSON.parse(data));
        const [shown, ids, ends_] = client === 'anthropic' ? anthropic(events) : openai(events);
        assert.equal(shown, TEXT);
        assert.equal(new Set(ids).size, 1, `${ids}`);
        assert.equal(ends_, 1, 'one end');
        assert.match(text, /\n: waypost: continued by second\n/);
        const record = await world.record(response.headers.get('x-waypost-id'));
        assert.deepEqual(record.attempts.map(({ outcome }) => outcome), ['cut_off', 'ok']);
        assert.equal(record.outcome.code, 'completed');
        const [asked] = world.calls('second', model);
        const last = JSON.parse(asked.body).messages.at(-1);
        assert.equal(last.role, 'assistant');
        assert.match(JSON.stringify(last.content), /one two three four five/);
      });
    }
  }
}

const openai = (events) => [
  events.map(({ choices }) => choices?.[0]?.delta?.content ?? '').join(''),
  events.map(({ id }) => id),
  events.filter(({ choices }) => choices?.[0]?.finish_reason).length,
];

const anthropic = (events) => [
  events.map(({ delta }) => delta?.text ?? '').join(''),
  events.filter(({ type }) => type === 'message_start').map(({ message }) => message.id),
  events.filter(({ type }) => type === 'message_stop').length,
];

test('a target that refuses the prefill is passed over, and the client is told what broke', async () => {
  const { attempts, heard } = await call({
    first: { script: { text: TEXT, fault: cut } },
    second: { dialect: 'anthropic', can: ['prefill'], script: { fault: { kind: 'prefill_refused' } } },
    fields: { midstream: 'continue' },
  });
  assert.deepEqual(attempts, ['first cut_off', 'second rejected']);
  assert.equal(heard.text, 'one two three four five');
  assert.equal(heard.error.code, 'cut_off');
});
