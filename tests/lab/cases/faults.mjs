// Every fault as it looks on the wire, in both dialects, streamed and not.
//
// `SEEN` has one check per kind; a kind without one fails the last test. Answers have twelve words,
// so that a fault which strikes after five leaves something out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_KINDS } from '../fault.mjs';
import { bodyFor, call, DIALECTS, eventsOf, saidIn } from './caller.mjs';

const TEXT = 'one two three four five six seven eight nine ten eleven twelve';
const FIVE = 'one two three four five';

const sound = (seen) => {
  assert.equal(seen.status, 200);
  assert.equal(seen.ending, 'whole');
  if (seen.isStream) {
    const said = saidIn(seen);
    assert.equal(said.text, TEXT);
    assert.equal(said.finish, seen.dialect === 'anthropic' ? 'end_turn' : 'stop');
    assert.ok(said.isEnded && said.usage !== null && said.error === null);
    return said;
  }
  const body = JSON.parse(seen.body);
  assert.equal(body.content?.[0].text ?? body.choices[0].message.content, TEXT);
  return body;
};

const nothing = (ending) => (seen) => {
  assert.equal(seen.bytes, 0);
  assert.equal(seen.ending, ending);
};

const headersOnly = (ending) => (seen) => {
  assert.equal(seen.status, 200);
  assert.match(seen.headers['content-type'], seen.isStream ? /event-stream/ : /json/);
  assert.equal(seen.body.length, 0);
  assert.equal(seen.ending, ending);
};

/** A stream that says five words and no more; a body that is not whole JSON. */
const broken = (ending, unstreamedEnding = ending) => (seen) => {
  assert.equal(seen.status, 200);
  if (seen.isStream) {
    const said = saidIn(seen);
    assert.equal(said.text, FIVE);
    assert.deepEqual([said.finish, said.isEnded, said.error], [null, false, null]);
    assert.equal(seen.ending, ending);
  } else {
    assert.ok(seen.body.length > 20);
    assert.throws(() => JSON.parse(seen.body));
    assert.equal(seen.ending, unstreamedEnding);
  }
};

const errorIs = (seen, status, expected) => {
  assert.equal(seen.status, status);
  assert.equal(seen.ending, 'whole');
  const body = JSON.parse(seen.body);
  if (seen.dialect === 'anthropic') assert.equal(body.type, 'error');
  assert.deepEqual(body.error, expected[seen.dialect]);
};

const untilBytes = (bytes) => ({ until: (seen) => seen.body.length >= bytes });

/** `how` is what the caller does, `check` what it must then see; `isIdle` says that an unstreamed answer stays sound. */
const SEEN = {
  refuse: { check: nothing('cut') },
  reset: { check: nothing('reset') },
  reset_after_headers: { check: headersOnly('reset') },
  silence: { how: { leave: true }, check: nothing('cut') },
  silence_after_headers: { how: { until: (seen) => seen.status !== null }, check: headersOnly('left') },
  cut: {
    check(seen) {
      broken('cut')(seen);
      if (!seen.isStream) assert.ok(seen.body.length < Number(seen.headers['content-length']));
    },
  },
  cut_clean: { check: broken('whole') },
  cut_mid_event: {
    check(seen) {
      broken('cut')(seen);
      if (seen.isStream) assert.ok(!seen.body.toString().endsWith('\n\n'), 'it ends inside an event');
    },
  },
  stall: { how: { until: hasStalled }, check: broken('left') },
  error_event: {
    fault: { message: 'too much', error_type: 'busy_error' },
    check(seen) {
      const error = { type: 'busy_error', message: 'too much', ...(seen.dialect === 'anthropic' ? {} : { param: null, code: null }) };
      if (!seen.isStream) return errorIs(seen, 200, { 'openai-chat': error, anthropic: error });
      const said = saidIn(seen);
      assert.equal(said.text, FIVE);
      assert.deepEqual(said.error, error);
      assert.deepEqual([said.finish, said.isEnded, seen.ending], [null, false, 'whole']);
      assert.equal(eventsOf(seen).at(-1).event, seen.dialect === 'anthropic' ? 'error' : null);
      return undefined;
    },
  },
  garbled: {
    check(seen) {
      if (!seen.isStream) return broken('whole')(seen);
      const said = sound(seen);
      assert.equal(said.broken, 1);
      const at = eventsOf(seen).findIndex(({ data }) => typeof data === 'string' && data !== '[DONE]');
      assert.match(JSON.stringify(eventsOf(seen)[at - 1].data), /" five"/);
      return undefined;
    },
  },
  no_end: {
    isIdle: true,
    check(seen) {
      const said = saidIn(seen);
      assert.equal(said.text, TEXT);
      assert.ok(said.finish !== null && said.usage !== null);
      assert.deepEqual([said.isEnded, seen.ending], [false, 'whole']);
    },
  },
  no_finish: {
    check(seen) {
      assert.equal(seen.ending, 'whole');
      if (seen.isStream) {
        const said = saidIn(seen);
        assert.deepEqual([said.text, said.finish, said.isEnded], [TEXT, null, true]);
      } else {
        const body = JSON.parse(seen.body);
        assert.equal(body.choices ? body.choices[0].finish_reason : body.stop_reason, null);
      }
    },
  },
  empty: {
    check(seen) {
      assert.equal(seen.ending, 'whole');
      const finish = seen.dialect === 'anthropic' ? 'end_turn' : 'stop';
      if (seen.isStream) {
        const said = saidIn(seen);
        assert.deepEqual([said.text, said.tokens, said.finish, said.isEnded], ['', 0, finish, true]);
        assert.equal(said.usage.output_tokens ?? said.usage.completion_tokens, 0);
      } else {
        const body = JSON.parse(seen.body);
        assert.deepEqual(body.content ?? body.choices[0].message.content, seen.dialect === 'anthropic' ? [] : '');
        assert.equal(body.stop_reason ?? body.choices[0].finish_reason, finish);
      }
    },
  },
  status: {
    fault: { status: 429, retry_after: 7, retry_after_ms: 6500 },
    check(seen) {
      errorIs(seen, 429, {
        'openai-chat': {
          message: 'Rate limit reached for fast-1 on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.',
          type: 'requests',
          param: null,
          code: 'rate_limit_exceeded',
        },
        anthropic: { type: 'rate_limit_error', message: "This request would exceed your organization's rate limit of 3 requests per minute." },
      });
      assert.equal(seen.headers['retry-after'], '7');
      assert.equal(seen.headers['retry-after-ms'], '6500');
    },
  },
  context_too_long: {
    fault: { limit_tokens: 100 },
    check: (seen) => errorIs(seen, 400, {
      'openai-chat': {
        message: "This model's maximum context length is 100 tokens. However, your messages resulted in 101 tokens. Please reduce the length of the messages.",
        type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded',
      },
      anthropic: { type: 'invalid_request_error', message: 'prompt is too long: 101 tokens > 100 maximum' },
    }),
  },
  content_filter: {
    check(seen) {
      const finish = seen.dialect === 'anthropic' ? 'refusal' : 'content_filter';
      assert.equal(seen.ending, 'whole');
      if (seen.isStream) {
        const said = saidIn(seen);
        assert.deepEqual([said.text, said.finish, said.isEnded], ['', finish, true]);
      } else {
        const body = JSON.parse(seen.body);
        assert.equal(body.stop_reason ?? body.choices[0].finish_reason, finish);
      }
      if (seen.dialect === 'anthropic') assert.match(seen.body.toString(), /"stop_details":\{"type":"refusal",/);
    },
  },
  html: {
    check(seen) {
      assert.deepEqual([seen.status, seen.ending], [200, 'whole']);
      assert.match(seen.headers['content-type'], /^text\/html/);
      assert.match(seen.body.toString(), /^<!doctype html>/);
    },
  },
  wrong_type: {
    isIdle: true,
    check(seen) {
      assert.equal(seen.headers['content-type'], 'text/plain');
      const body = JSON.parse(seen.body);
      assert.equal(body.content?.[0].text ?? body.choices[0].message.content, TEXT);
    },
  },
  redirect: {
    check(seen) {
      assert.deepEqual([seen.status, seen.ending], [302, 'whole']);
      assert.equal(seen.headers.location, '/lab/elsewhere');
    },
  },
  big_line: {
    isIdle: true,
    fault: { bytes: 2_000_000 },
    check(seen) {
      assert.equal(Math.max(...seen.body.toString().split('\n').map((line) => line.length)), 2_000_000);
      const said = saidIn(seen);
      assert.equal(said.text.replace(/x{100,}/, ''), TEXT);
      assert.deepEqual([said.isEnded, seen.ending], [true, 'whole']);
    },
  },
  comments_forever: {
    fault: { interval_ms: 1 },
    how: untilBytes(8),
    check(seen) {
      assert.equal(seen.ending, 'left');
      const text = seen.body.toString();
      assert.equal(seen.isStream ? text.replaceAll(/: still here\n\n|: .*$/g, '') : text.trim(), '');
    },
  },
  empty_events_forever: {
    isIdle: true,
    fault: { events: 3000 },
    check(seen) {
      const said = saidIn(seen);
      assert.deepEqual([said.tokens, said.finish, said.isEnded, seen.ending], [0, null, false, 'whole']);
      assert.ok(eventsOf(seen).filter(({ event, data }) => event === 'content_block_delta' || data.choices).length >= 3000);
    },
  },
  big_body: {
    isStreamIdle: true,
    fault: { bytes: 2_000_000 },
    check(seen) {
      assert.deepEqual([seen.body.length, seen.ending], [2_000_000, 'whole']);
      const body = JSON.parse(seen.body);
      assert.equal((body.content?.[0].text ?? body.choices[0].message.content).replace(/x{100,}/, ''), TEXT);
    },
  },
  prefill_refused: {
    more: { messages: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }] },
    check(seen) {
      const error = { message: 'This model does not support assistant message prefill. The conversation must end with a user message.', type: 'invalid_request_error' };
      errorIs(seen, 400, { anthropic: error, 'openai-chat': { ...error, param: null, code: null } });
    },
  },
};

/** Whether all has come that a stalled answer sends: five words, or the first half of the JSON. */
function hasStalled(seen) {
  const isStream = seen.headers['content-type']?.includes('event-stream');
  return isStream ? saidIn(seen).tokens >= 5 : seen.body.length > 100;
}

export function testFaults(lab) {
  const ask = (dialect, isStream, { script, how = {}, more = {}, path }) => {
    const usage = dialect === 'openai-chat' && isStream ? { stream_options: { include_usage: true } } : {};
    const body = bodyFor(dialect, { stream: isStream, ...usage, ...more });
    return call(lab, { dialect, script, body, path, ...how }).then((seen) => ({ ...seen, dialect, isStream }));
  };

  for (const [kind, { fault = {}, how = {}, more, check, isIdle = false, isStreamIdle = false }] of Object.entries(SEEN)) {
    for (const dialect of DIALECTS) {
      for (const isStream of [true, false]) {
        test(`${kind}, ${dialect}, ${isStream ? 'streamed' : 'unstreamed'}`, async () => {
          const isSound = isStream ? isStreamIdle : isIdle;
          const script = { text: TEXT, fault: { kind, ...fault } };
          if (how.leave) {
            // Nothing is sent that could tell us when to go: the log says when the call is there.
            const since = lab.calls().at(-1)?.n ?? 0;
            const pending = ask(dialect, isStream, { script });
            while (lab.calls(since).length === 0) await new Promise(setImmediate);
            await lab.down();
            await lab.up();
            const seen = await pending;
            check(seen);
          } else {
            const seen = await ask(dialect, isStream, { script, how, more });
            if (isSound) sound(seen);
            else check(seen);
          }
          const last = lab.calls().at(-1);
          while (lab.calls().at(-1).outcome === 'open') await new Promise(setImmediate);
          assert.equal(lab.calls().at(-1).outcome, isSound ? 'complete' : `fault:${kind}`);
          assert.equal(last.dialect, dialect);
        });
      }
    }
  }

  test('every kind of fault has been seen', () => {
    assert.deepEqual(Object.keys(SEEN), Object.keys(FAULT_KINDS));
  });

  test('an error at once is the first event of all', async () => {
    for (const dialect of DIALECTS) {
      const seen = await ask(dialect, true, { script: { text: TEXT, fault: { kind: 'error_event', after_tokens: 0 } } });
      assert.equal(eventsOf(seen).length, 1);
      assert.equal(saidIn(seen).error.type, dialect === 'anthropic' ? 'overloaded_error' : 'server_error');
    }
  });

  test('a fault that strikes later than the answer is long strikes at its end', async () => {
    const seen = await ask('openai-chat', true, { script: { text: TEXT, fault: { kind: 'cut', after_tokens: 99 } } });
    const said = saidIn(seen);
    assert.deepEqual([said.text, said.finish, seen.ending], [TEXT, null, 'cut']);
  });

  test('a garbled event may be the last one', async () => {
    for (const dialect of DIALECTS) {
      const seen = await ask(dialect, true, { script: { text: TEXT, fault: { kind: 'garbled', ends: false } } });
      const said = saidIn(seen);
      assert.deepEqual([said.text, said.broken, said.finish, said.isEnded, seen.ending], [FIVE, 1, null, false, 'whole']);
    }
  });

  test('a stream without an end marker may stay open', async () => {
    for (const dialect of DIALECTS) {
      const until = (so_far) => saidIn(so_far).usage !== null;
      const seen = await ask(dialect, true, { script: { text: TEXT, fault: { kind: 'no_end', closes: false } }, how: { until } });
      const said = saidIn(seen);
      assert.deepEqual([said.text, said.isEnded, seen.ending], [TEXT, false, 'left']);
    }
  });

  test('a prefill fault leaves other requests alone', async () => {
    sound(await ask('anthropic', true, { script: { text: TEXT, fault: { kind: 'prefill_refused' } } }));
  });

  test('each status has the error that its API has', async () => {
    const expected = {
      400: ['invalid_request_error', null, 'invalid_request_error'],
      401: ['invalid_request_error', 'invalid_api_key', 'authentication_error'],
      402: ['unknown_error', 'invalid_request_error', 'billing_error'],
      403: ['request_forbidden', 'unsupported_country_region_territory', 'permission_error'],
      404: ['invalid_request_error', 'model_not_found', 'not_found_error'],
      413: ['invalid_request_error', null, 'request_too_large'],
      500: ['server_error', null, 'api_error'],
      503: ['server_error', null, 'api_error'],
      504: ['server_error', null, 'timeout_error'],
      529: ['server_error', null, 'overloaded_error'],
    };
    for (const [status, [type, code, other]] of Object.entries(expected)) {
      const script = { fault: { kind: 'status', status: Number(status), retry_after: 'Wed, 21 Oct 2015 07:28:00 GMT' } };
      const openai = await ask('openai-chat', true, { script });
      assert.deepEqual([openai.status, openai.headers['retry-after']], [Number(status), 'Wed, 21 Oct 2015 07:28:00 GMT']);
      const { error } = JSON.parse(openai.body);
      assert.deepEqual([error.type, error.code], [type, code]);
      const anthropic = await ask('anthropic', true, { script });
      assert.equal(JSON.parse(anthropic.body).error.type, other);
    }
  });

  test('a redirect that is followed shows in the log', async () => {
    const seen = await ask('openai-chat', false, { path: '/lab/elsewhere', script: {} });
    assert.equal(seen.status, 404);
    assert.equal(lab.calls().at(-1).path, '/lab/elsewhere');
  });

  test('signs of life go on while an answer stalls, and say nothing', async () => {
    for (const dialect of DIALECTS) {
      const script = { text: TEXT, keepalive_ms: 1, fault: { kind: 'stall', after_tokens: 1 } };
      const isPing = ({ event, comment }) => event === 'ping' || comment === 'keep-alive';
      const seen = await ask(dialect, true, { script, how: { until: (so_far) => eventsOf(so_far).filter(isPing).length >= 4 } });
      assert.equal(saidIn(seen).text, 'one');
      assert.ok(eventsOf(seen).slice(-2).every(isPing));
      const silent = await ask(dialect, true, {
        script: { keepalive_ms: 1, fault: { kind: 'silence_after_headers' } },
        how: { until: (so_far) => eventsOf(so_far).length >= 3 },
      });
      assert.ok(eventsOf(silent).every(isPing));
    }
  });

  test('an unstreamed answer that stalls gets no signs of life, which would not be JSON', async () => {
    const script = { keepalive_ms: 1, fault: { kind: 'silence_after_headers' } };
    let first_ms = null;
    const until = ({ status }) => {
      first_ms ??= status === 200 ? performance.now() : null;
      return false;
    };
    const pending = ask('openai-chat', false, { script, how: { until } });
    while (first_ms === null || performance.now() - first_ms < 25) await new Promise(setImmediate);
    await lab.down();
    await lab.up();
    assert.equal((await pending).body.length, 0);
  });
}
