// Memory: what providers send without end is bounded and ends in something clear, and clients that hang up leave
// nothing behind.
//
// What is measured, and why so, is in `memory.mjs`. Where there is no /proc, the bounds on the process are not checked.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { brotliCompressSync, constants } from 'node:zlib';

import { residentBytes, withMemory, workerdPid } from './memory.mjs';
import { KEY, startWorld, until } from './world.mjs';

const MB = 1_000_000;
const QUESTION = [{ role: 'user', content: 'hi' }];
/** Some twenty seconds on a machine that does nothing else; a test that waits for ever fails in the end. */
const SUITE_MS = 300_000;
/** By then the wasm has grown to what the largest batch of records takes. */
const WARM_UP = 1_500;
const HANG_UPS = 1_000;
const AT_ONCE = 40;
/** A leak of 4 KB for each hang-up would be more. */
const WASM_GROWTH_BYTES_MAX = 4 * MB;
/** Of the process, which keeps something of every call: how much more it may be for calls that were hung up. */
const GROWTH_BYTES_MAX = 40 * MB;
/** Of the process, during a flood. An isolate has 128 MB for all its requests. */
const FLOOD_BYTES_MAX = 100 * MB;
/** What sockets and the runtime may hold of a body that nobody reads. */
const BUFFERS_BYTES_MAX = 32 * MB;
const FIRST_TOKEN_MS = 1_500;
const STREAM_BYTES = 100 * MB;

/** Calls the edge `times` times, `at_once` side by side, and hangs up once `leave_at` was heard, or after `leave_ms`. */
const FRONT = `export default {
  async fetch(request, env) {
    if (request.method === 'GET') return env.MEMORY.fetch(request);
    const { call, times, at_once, leave_at, leave_ms } = await request.json();
    let begun = 0;
    let left = 0;
    const caller = async () => {
      while (begun++ < times) if (await hangUp(env.EDGE, call, leave_at, leave_ms)) left += 1;
    };
    await Promise.all(Array.from({ length: at_once }, caller));
    return Response.json({ left });
  },
};
async function hangUp(edge, { path, ...init }, leave_at, leave_ms) {
  const leave = new AbortController();
  if (leave_at === null) setTimeout(() => leave.abort(), leave_ms);
  try {
    const response = await edge.fetch('http://edge' + path, { ...init, signal: leave.signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let heard = '';
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      heard += step.value;
      if (leave_at !== null && heard.includes(leave_at)) leave.abort();
    }
    return false;
  } catch (error) {
    if (!leave.signal.aborted) throw error;
    return true;
  }
}`;

let world;
let front;
let pid;
before(async () => {
  const serviceBindings = { EDGE: 'waypost', MEMORY: { name: 'waypost', entrypoint: 'Memory' } };
  world = await startWorld({
    overrides: withMemory(),
    extraWorkers: [{ name: 'front', modules: true, script: FRONT, compatibilityDate: '2026-10-23', serviceBindings }],
  });
  front = await world.mf.getWorker('front');
  pid = workerdPid();
});
after(() => world.close());

const wasmBytes = async () => (await front.fetch('http://front/')).json();

/** Returns how many hung up. */
async function callOften(times, { model, stream, leave_at = null, leave_ms = 0 }) {
  const call = {
    path: '/v1/chat/completions',
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: QUESTION, stream }),
  };
  const body = JSON.stringify({ call, times, at_once: AT_ONCE, leave_at, leave_ms });
  const { left } = await (await front.fetch('http://front/', { method: 'POST', body })).json();
  return left;
}

/** Calls that are heard to their end. */
async function stay(times) {
  const model = await world.route([{ lab: 'first', script: { text: 'one two', ttft_ms: 0, tokens_per_s: 0 } }]);
  assert.equal(await callOften(times, { model, stream: true, leave_at: 'never said' }), 0);
}

async function hangUp(times, phase) {
  const { model } = phase;
  const left = await callOften(times, phase);
  assert.equal(left, times, 'every one of them hung up');
  await until('every call to be closed', () => world.calls('first', model).every(({ outcome }) => outcome !== 'open'));
  assert.deepEqual(world.calls('second', model), [], 'and no further target was asked');
}

/** Where clients leave: at a third of the hang-ups each. */
const PHASES = {
  'before the headers': { script: { fault: { kind: 'silence' } }, stream: false, leave_ms: 30 },
  'before the first token': { script: { fault: { kind: 'silence_after_headers' } }, stream: true, leave_ms: 30 },
  'in the middle': { script: { text: `one two three ${'and so on '.repeat(20)}`, tokens_per_s: 100 }, stream: true, leave_at: 'three' },
};

test('a thousand clients hang up and leave nothing behind', { timeout: SUITE_MS }, async (t) => {
  const phases = Object.values(PHASES);
  const models = await Promise.all(phases.map(({ script }) => world.route([{ lab: 'first', script }, { lab: 'second' }])));
  const leaveAll = async (times) => {
    for (const [place, phase] of phases.entries()) await hangUp(Math.ceil(times / phases.length), { model: models[place], ...phase });
  };
  const grown = async (act) => {
    const before = { wasm: await wasmBytes(), all: residentBytes(pid) };
    await act();
    return { wasm: (await wasmBytes()) - before.wasm, all: residentBytes(pid) - before.all };
  };
  await leaveAll(WARM_UP);
  const stayed = await grown(() => stay(HANG_UPS));
  const left = await grown(() => leaveAll(HANG_UPS));
  const told = ({ wasm, all }) => `the wasm by ${wasm / MB} MB, the process by ${all / MB} MB`;
  t.diagnostic(`grew with clients who stayed: ${told(stayed)}; who left: ${told(left)}`);
  assert.ok(left.wasm < WASM_GROWTH_BYTES_MAX, `the wasm grew by ${left.wasm} bytes`);
  assert.ok(left.all - stayed.all < GROWTH_BYTES_MAX, told(left));
});

/** The most that workerd held while `act` ran, above what it held before. */
async function peak(act) {
  const before_bytes = residentBytes(pid);
  let most = before_bytes;
  const look = setInterval(() => {
    most = Math.max(most, residentBytes(pid));
  }, 10);
  try {
    await act();
  } finally {
    clearInterval(look);
  }
  return most - before_bytes;
}

/** Asks a route whose first target floods us. */
async function askFlooded({ dialect, fault, stream, deadlines = {} }) {
  const model = await world.route([{ lab: 'first', dialect, script: { fault } }, { lab: 'second' }], { deadlines });
  const response = await world.post('/v1/chat/completions', { model, messages: QUESTION, stream });
  const text = await response.text();
  const record = await world.record(response.headers.get('x-waypost-id'));
  return { model, response, text, outcomes: record.attempts.map(({ target, outcome }) => `${target} ${outcome}`) };
}

describe('a provider sends without end', { timeout: SUITE_MS }, () => {
  const inTime = { first_token_ms: FIRST_TOKEN_MS };
  const line = { kind: 'big_line', bytes: 12 * MB };
  const comments = { kind: 'comments_forever', interval_ms: 0 };
  const FLOODS = [
    { name: 'a whole answer of 100 MB', fault: { kind: 'big_body', bytes: 100 * MB }, stream: false, outcome: 'too_large' },
    { name: 'an event of 12 MB', fault: line, stream: true, outcome: 'too_large' },
    { name: 'an event of 12 MB, for a client that wants the answer whole', fault: line, stream: false, deadlines: inTime, outcome: 'too_large' },
    { name: 'a million empty events', fault: { kind: 'empty_events_forever' }, stream: true, outcome: 'too_large' },
    { name: 'comments without end', fault: comments, stream: true, deadlines: inTime, outcome: 'first_token_deadline' },
    { name: 'white space without end', fault: { ...comments, interval_ms: 5 }, stream: false, deadlines: { ...inTime, total_ms: 20_000 }, outcome: 'first_token_deadline' },
  ];
  for (const { name, outcome, ...given } of FLOODS) {
    for (const dialect of ['openai-chat', 'anthropic']) {
      test(`${name}, ${dialect}`, async (t) => {
        const flood = async () => {
          const { model, response, text, outcomes } = await askFlooded({ dialect, ...given });
          assert.deepEqual(outcomes, [`first ${outcome}`, 'second ok']);
          assert.equal(response.headers.get('x-waypost-target'), 'second');
          assert.ok(text.length < MB, `${text.length} characters`);
          // The sockets' own buffers may take a smaller one whole before anybody looks at it.
          const isBeyondBuffers = (given.fault.bytes ?? Infinity) > BUFFERS_BYTES_MAX;
          if (isBeyondBuffers) {
            const isClosed = () => world.calls('first', model)[0].client_closed_ms !== null;
            await until('its connection to be closed before it has said all', isClosed);
          }
        };
        const grown = await peak(flood);
        t.diagnostic(`${grown / MB} MB at its peak`);
        assert.ok(grown < FLOOD_BYTES_MAX, `${grown} bytes at its peak`);
      });
    }
  }

  test('an event of 12 MB after content ends the stream in an error', async () => {
    const { text, outcomes } = await askFlooded({ fault: { ...line, after_tokens: 3 }, stream: true });
    assert.deepEqual(outcomes, ['first too_large']);
    assert.match(text, /"code":"too_large"/);
    assert.doesNotMatch(text, /\[DONE\]/);
  });

  test('a whole answer of 300 MB that is compressed to less than 64 KB', async (t) => {
    const bomb = brotliCompressSync(Buffer.alloc(300 * MB, ' '), { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } });
    assert.ok(bomb.length < 64_000, `${bomb.length} bytes`);
    const server = createServer((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'br', 'content-length': bomb.length });
      response.end(bomb);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const base_url = `http://127.0.0.1:${server.address().port}/v1`;
      world.providers.bomb = { dialect: 'openai-chat', base_url, auth: 'none' };
      await world.put('providers', { providers: world.providers });
      const targets = [{ id: 'bomb', provider: 'bomb', model: 'm', weight: 2 }, { id: 'second', provider: 'second', model: 'after-bomb' }];
      await world.put('route:bomb', { targets, temperature: 0 });
      const ask = async () => {
        const response = await until('the provider to be known', async () => {
          const response = await world.post('/v1/chat/completions', { model: 'bomb', messages: QUESTION });
          return response.status === 200 && response;
        });
        const record = await world.record(response.headers.get('x-waypost-id'));
        assert.deepEqual(record.attempts.map(({ target, outcome }) => `${target} ${outcome}`), ['bomb too_large', 'second ok']);
      };
      const wasm = await wasmBytes();
      const grown = await peak(ask);
      t.diagnostic(`${grown / MB} MB at its peak, the wasm by ${((await wasmBytes()) - wasm) / MB} MB`);
      assert.ok(grown < FLOOD_BYTES_MAX, `${grown} bytes at its peak`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('a stream of 100 MB is passed on and nowhere kept', async (t) => {
    const server = createServer(streamMuch).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const base_url = `http://127.0.0.1:${server.address().port}/v1`;
      world.providers.much = { dialect: 'openai-chat', base_url, auth: 'none' };
      await world.put('providers', { providers: world.providers });
      await world.put('route:much', { targets: [{ provider: 'much', model: 'm' }] });
      let bytes = 0;
      const read = async () => {
        const response = await until('the provider to be known', async () => {
          const response = await fetch(`${world.url}/v1/chat/completions`, {
            method: 'POST',
            headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
            body: JSON.stringify({ model: 'much', messages: QUESTION, stream: true }),
          });
          return response.status === 200 && response;
        });
        for await (const chunk of response.body) bytes += chunk.length;
      };
      const grown = await peak(read);
      t.diagnostic(`${grown / MB} MB at its peak`);
      assert.ok(bytes > STREAM_BYTES, `${bytes} bytes came through`);
      assert.ok(grown < FLOOD_BYTES_MAX, `${grown} bytes at its peak`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

/** A sound stream of 100 MB, as fast as it is taken. */
async function streamMuch(request, response) {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const chunk = (choice) => `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, ...choice }] })}\n\n`;
  const piece = chunk({ delta: { content: 'word '.repeat(2_000) }, finish_reason: null }).repeat(5);
  for (let sent = 0; sent < STREAM_BYTES; sent += piece.length) {
    if (!response.write(piece)) await once(response, 'drain');
  }
  response.end(`${chunk({ delta: {}, finish_reason: 'stop' })}data: [DONE]\n\n`);
}
