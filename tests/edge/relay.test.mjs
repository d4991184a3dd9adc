// Streams of a target whose streams were sound so far: they go to the client unread, and are looked at beside.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { eventsOf } from './hear.mjs';
import { startWorld, until } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
const TEXT = 'one two three four five six seven eight nine ten';
/** Streams that must have been sound before one is relayed. */
const TRUST = 5;

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

const PATHS = { 'openai-chat': '/v1/chat/completions', anthropic: '/v1/messages' };

function ask(dialect, model, max_tokens = 99) {
  return world.post(PATHS[dialect], { model, max_tokens, messages: QUESTION, stream: true });
}

/** A route whose first target has earned trust, and follows this script from now on. */
async function trusted(dialect, script = {}, fields = {}) {
  const sound = { text: TEXT, ttft_ms: 0, tokens_per_s: 0 };
  const model = await world.route([{ lab: 'first', dialect, script: sound }], fields);
  for (let n = 0; n < TRUST; n += 1) await (await ask(dialect, model)).text();
  world.labs.first.setScript(`${model}-0`, { ...sound, ...script });
  return model;
}

const recordOf = (response) => world.record(response.headers.get('x-waypost-id'));

/** What the provider itself answers, byte for byte. */
async function own(dialect, model) {
  const path = dialect === 'anthropic' ? '/v1/messages' : '/v1/chat/completions';
  const options = dialect === 'anthropic' ? {} : { stream_options: { include_usage: true } };
  const body = { model: `${model}-0`, max_tokens: 99, messages: QUESTION, stream: true, ...options };
  const headers = { 'anthropic-version': '2023-06-01' };
  const response = await fetch(world.labs.first.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return response.text();
}

for (const dialect of ['openai-chat', 'anthropic']) {
  describe(dialect, { concurrency: 4 }, () => {
    for (const script of [{}, { line_ending: 'crlf' }, { chunking: 'byte' }, { tokens_per_s: 100, keepalive_ms: 5 }]) {
      test(`the client gets the provider's bytes: ${JSON.stringify(script)}`, async () => {
        const model = await trusted(dialect, script);
        const response = await ask(dialect, model);
        const bytes = await response.text();
        const record = await recordOf(response);
        assert.equal(record.attempts[0].is_relayed, true);
        assert.deepEqual([record.outcome.code, record.outcome.finish], ['completed', 'stop']);
        assert.deepEqual([record.attempts[0].usage.answer, record.attempts[0].usage.is_estimated], [10, false]);
        const signsOfLife = /^(: [^\n]*|event: ping\r?\n[^\n]*)\r?\n\r?\n/gm;
        const plain = (text) => text.replace(signsOfLife, '').replace(/"(id|created|system_fingerprint)":("[^"]*"|\d+)/g, '');
        assert.equal(plain(bytes), plain(await own(dialect, model)));
      });
    }

    for (const kind of ['cut', 'cut_clean', 'error_event']) {
      test(`${kind} in the middle ends in a typed error`, async () => {
        const model = await trusted(dialect, { tokens_per_s: 200, fault: { kind, after_tokens: 5 } });
        const response = await ask(dialect, model);
        const bytes = await response.text();
        const events = eventsOf(bytes).filter(({ data }) => data);
        const last = JSON.parse(events.at(-1).data);
        assert.equal(typeof last.error.message, 'string', bytes);
        assert.doesNotMatch(bytes, /\[DONE\]|message_stop/);
        const record = await recordOf(response);
        assert.deepEqual([record.outcome.code, record.attempts[0].is_relayed], ['cut', true]);
        assert.ok(record.attempts[0].usage.answer >= 5, JSON.stringify(record.attempts[0].usage));
      });
    }

    test('silence in the middle is noticed', async () => {
      const fault = { kind: 'stall', after_tokens: 5 };
      const model = await trusted(dialect, { fault }, { deadlines: { idle_ms: 400 } });
      const response = await ask(dialect, model);
      const bytes = await response.text();
      assert.match(bytes, /waited 400 ms for the next event/);
      const record = await recordOf(response);
      assert.deepEqual([record.outcome.code, record.outcome.error], ['cut', 'idle_deadline']);
      const [lost] = world.calls('first', model).slice(-1);
      assert.notEqual(lost.client_closed_ms, null, 'the connection was closed');
    });

    for (const closes of [true, false]) {
      test(`a finish without an end marker is completed, ${closes ? 'closed' : 'left open'}`, async () => {
        const model = await trusted(dialect, { fault: { kind: 'no_end', closes, times: 1 } });
        const response = await ask(dialect, model);
        const bytes = await response.text();
        assert.match(bytes, /\[DONE\]\s*$|message_stop[^\n]*\s*$/);
        const record = await recordOf(response);
        assert.deepEqual([record.outcome.code, record.attempts[0].is_relayed], ['completed', true]);
        const next = await ask(dialect, model);
        await next.text();
        assert.equal((await recordOf(next)).attempts[0].is_relayed, undefined, 'and trust is gone');
      });
    }

    test('a garbled event reaches the client once, and trust is gone', async () => {
      const model = await trusted(dialect, { fault: { kind: 'garbled', after_tokens: 3, times: 1 } });
      const response = await ask(dialect, model);
      await response.text();
      const record = await recordOf(response);
      assert.deepEqual([record.outcome.code, record.attempts[0].garbled, record.attempts[0].is_relayed], ['completed', 1, true]);
      const next = await ask(dialect, model);
      await next.text();
      assert.equal((await recordOf(next)).attempts[0].is_relayed, undefined);
    });

    test('a client that reads late gets all of it', async () => {
      const text = 'a word or two '.repeat(8_000).trim();
      const model = await trusted(dialect, { text });
      const response = await ask(dialect, model, 100_000);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const bytes = await response.text();
      assert.match(bytes, /\[DONE\]\s*$|message_stop[^\n]*\s*$/);
      const record = await recordOf(response);
      assert.deepEqual([record.outcome.code, record.attempts[0].is_relayed], ['completed', true]);
      const words = [...bytes.matchAll(/"(?:text|content)":"((?:[^"\\]|\\.)*)"/g)].map(([, piece]) => piece).join('');
      assert.ok(words.endsWith(text), `${words.length} of ${text.length}`);
    });

    test('a cut within an event is ended, and trust with it', async () => {
      const model = await trusted(dialect, { tokens_per_s: 200, fault: { kind: 'cut_mid_event', after_tokens: 5, times: 1 } });
      const response = await ask(dialect, model);
      const bytes = await response.text();
      assert.match(bytes, /\n\n(event: error\n)?data: [^\n]*"error"[^\n]*\n\n$/);
      const next = await ask(dialect, model);
      await next.text();
      assert.equal((await recordOf(next)).attempts[0].is_relayed, undefined);
    });
  });
}

test('the client who leaves closes the provider\'s connection', async () => {
  const model = await trusted('openai-chat', { tokens_per_s: 50, tokens: 2_000, text: null });
  const url = new URL(`${world.url}/v1/chat/completions`);
  const call = http.request(url, { method: 'POST', headers: { authorization: 'Bearer wp-demo', 'content-type': 'application/json' } });
  const id = await new Promise((resolve, reject) => {
    call.on('error', reject);
    call.on('response', (response) => {
      response.on('error', () => {});
      response.once('data', () => {
        call.destroy();
        resolve(response.headers['x-waypost-id']);
      });
    });
    call.end(JSON.stringify({ model, messages: QUESTION, stream: true }));
  });
  const lost = await until('the provider to see it', () => world.calls('first', model).at(-1).client_closed_ms !== null);
  assert.ok(lost);
  const record = await world.record(id);
  assert.deepEqual([record.outcome.code, record.attempts[0].is_relayed], ['client_gone', true]);
});

test('a stream that is watched, mended or carried on is not relayed', async () => {
  for (const fields of [{ midstream: 'buffer' }, { midstream: 'continue' }]) {
    const model = await trusted('openai-chat', {}, fields);
    const response = await ask('openai-chat', model);
    await response.text();
    assert.equal((await recordOf(response)).attempts[0].is_relayed, undefined);
  }
});

test('a flood is stopped', async () => {
  const fault = { kind: 'big_line', bytes: 100_000_000, after_tokens: 1 };
  const model = await trusted('openai-chat', { fault });
  const response = await ask('openai-chat', model);
  const bytes = await response.text();
  assert.ok(bytes.length < 60_000_000, `${bytes.length}`);
  assert.match(bytes.slice(-2_000), /"error"/);
  const record = await recordOf(response);
  assert.deepEqual([record.outcome.code, record.outcome.error], ['cut', 'too_large']);
});
