// The client hangs up: the provider's connection is closed within 100 ms, no further target is asked, and there
// is a record all the same.
//
// workerd itself notices that a local socket has closed only when it writes to it, so over a socket there is only
// the case of a stream that goes on. For the others a small Worker in front calls the edge through a service
// binding, as another Worker would, and aborts that call.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';

import { KEY, startWorld, until } from './world.mjs';

const CLOSED_WITHIN_MS = 100;
/** A busy machine may keep any process waiting so long; no machine does so each time. */
const TRIES = 3;
/** A case that waits for ever fails with the others of its suite. */
const SUITE_MS = 60_000;
const CASES_AT_ONCE = 4;
const QUESTION = [{ role: 'user', content: 'hi' }];

/**
 * Calls the edge, and hangs up: once the lab whose control server is named in `x-leave-once-called` has the call, or
 * once the text in `x-leave-at` has been heard, or at once; and `x-leave-ms` later.
 */
const FRONT = `export default {
  async fetch(request, env) {
    const leave = new AbortController();
    let left_at_ms = null;
    const leaveSoon = () => setTimeout(() => { left_at_ms = Date.now(); leave.abort(); }, Number(request.headers.get('x-leave-ms')));
    const text = request.headers.get('x-leave-at');
    const headers = new Headers(request.headers);
    const body = await request.text();
    const lab = request.headers.get('x-leave-once-called');
    if (lab !== null) isCalled(lab, JSON.parse(body).model).then(leaveSoon);
    else if (text === null) leaveSoon();
    let heard = '';
    try {
      const response = await env.EDGE.fetch('http://edge/v1/chat/completions', { method: 'POST', headers, body, signal: leave.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let step = await reader.read(); !step.done; step = await reader.read()) {
        const isNew = !heard.includes(text);
        heard += step.value;
        if (text !== null && isNew && heard.includes(text)) leaveSoon();
      }
    } catch (error) {
      if (left_at_ms === null) throw error;
    }
    return Response.json({ left_at_ms, heard });
  },
};
async function isCalled(lab, route) {
  for (;;) {
    const calls = await (await fetch(lab + '/calls')).json();
    if (calls.some(({ model }) => model?.startsWith(route + '-'))) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}`;

let world;
let front;
before(async () => {
  world = await startWorld({
    extraWorkers: [
      { name: 'front', modules: true, script: FRONT, compatibilityDate: '2026-10-23', serviceBindings: { EDGE: 'waypost' } },
    ],
  });
  front = await world.mf.getWorker('front');
});
after(() => world.close());

/** Calls through the front Worker, which leaves. */
async function callAndLeave(model, fields, leave) {
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...leave };
  const body = JSON.stringify({ model, messages: QUESTION, ...fields });
  const response = await front.fetch('http://front/v1/chat/completions', { method: 'POST', headers, body });
  const { left_at_ms, heard } = await response.json();
  assert.notEqual(left_at_ms, null, `the answer ended before the client left: ${heard}`);
  return { left_at_ms, heard };
}

/** Time for the lab's answer, if it sends any, to reach the edge. */
const onceCalled = (lab) => ({ 'x-leave-once-called': world.labs[lab].controlUrl, 'x-leave-ms': '100' });

/** The same over a socket of this process. */
async function streamAndLeave(model) {
  const body = JSON.stringify({ model, messages: QUESTION, stream: true });
  const { hostname, port } = new URL(world.url);
  const socket = connect(Number(port), hostname);
  const head = ['POST /v1/chat/completions HTTP/1.1', 'host: edge', `authorization: Bearer ${KEY}`, `content-length: ${body.length}`];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  let heard = '';
  while (!heard.includes('three')) heard += (await once(socket, 'data'))[0];
  socket.destroy();
  return { left_at_ms: Date.now(), heard };
}

/** The lab's log of a call, once its connection has closed. */
function closedCall(lab, model) {
  return until(`the call to ${lab} to be closed`, () => {
    const call = world.calls(lab, model).at(-1);
    return call !== undefined && call.client_closed_ms !== null && call;
  });
}

/** Repeats what was too slow: how long a process waits for its turn says nothing about the edge. */
async function closesInTime(once) {
  const took_ms = [];
  do took_ms.push(await once());
  while (took_ms.at(-1) > CLOSED_WITHIN_MS && took_ms.length < TRIES);
  assert.ok(took_ms.at(-1) <= CLOSED_WITHIN_MS, `closed after ${took_ms.join(', ')} ms`);
}

const tookMs = ({ at_ms, client_closed_ms }, { left_at_ms }) => at_ms + client_closed_ms - left_at_ms;

function recordOf(model) {
  return until(`the record of ${model}`, async () => (await world.records(1, 200)).find(({ route }) => route === model), { every_ms: 150 });
}

async function checkRecord(model, outcomes) {
  const { outcome, attempts, decision } = await recordOf(model);
  assert.deepEqual([outcome.code, outcome.status], ['client_gone', 499]);
  assert.deepEqual(attempts.map((attempt) => attempt.outcome), outcomes);
  assert.deepEqual(decision.plan, ['first', 'second']);
  return attempts;
}

describe('the client leaves', { concurrency: CASES_AT_ONCE, timeout: SUITE_MS }, () => {
  const CASES = [
    { name: 'before the headers of a stream', script: { fault: { kind: 'silence' } }, stream: true },
    { name: 'before the headers of a whole answer', script: { fault: { kind: 'silence' } }, stream: false },
    { name: 'before the first token', script: { fault: { kind: 'silence_after_headers' }, keepalive_ms: 20 }, stream: true },
    { name: 'in the middle of an unstreamed body', script: { fault: { kind: 'stall' } }, stream: false },
  ];
  for (const { name, script, stream } of CASES) {
    test(name, () =>
      closesInTime(async () => {
        const model = await world.route([{ lab: 'first', script }, { lab: 'second' }]);
        const client = await callAndLeave(model, { stream }, onceCalled('first'));
        const call = await closedCall('first', model);
        await checkRecord(model, ['abandoned']);
        assert.deepEqual(world.calls('second', model), []);
        return tookMs(call, client);
      }));
  }

  const text = `one two three ${'and so on '.repeat(100)}`;
  const goesOn = { text, tokens_per_s: 20 };
  const fallsSilent = { text, fault: { kind: 'stall', after_tokens: 3 } };
  const overBinding = (model) => callAndLeave(model, { stream: true }, { 'x-leave-at': 'three', 'x-leave-ms': '0' });
  const STREAMS = [
    { name: 'a stream, over a service binding', script: goesOn, leave: overBinding },
    { name: 'a stream that has fallen silent, over a service binding', script: fallsSilent, leave: overBinding },
    { name: 'a stream, over a socket', script: goesOn, leave: streamAndLeave },
  ];
  for (const { name, script, leave } of STREAMS) {
    for (const dialect of ['openai-chat', 'anthropic']) {
      test(`in the middle of ${name}, from ${dialect}`, () =>
        closesInTime(async () => {
          const model = await world.route([{ lab: 'first', dialect, script }, { lab: 'second' }]);
          const client = await leave(model);
          const call = await closedCall('first', model);
          assert.match(client.heard, /three/);
          const [attempt] = await checkRecord(model, ['abandoned']);
          assert.ok(attempt.usage.answer > 0, 'what was said is counted');
          assert.deepEqual(world.calls('second', model), []);
          return tookMs(call, client);
        }));
    }
  }

  test('at any instant, and no call stays open', async () => {
    const left = [0, 1, 2, 3, 5, 8, 12, 20, 30, 50].map(async (leave_ms) => {
      const model = await world.route([{ lab: 'first', script: { fault: { kind: 'silence' } } }, { lab: 'second' }]);
      await callAndLeave(model, { stream: true }, { 'x-leave-ms': String(leave_ms) });
      return model;
    });
    const models = await Promise.all(left);
    const calls = (lab) => models.flatMap((model) => world.calls(lab, model));
    // Whoever still had one to make has made it by the time that another client is answered.
    const model = await world.route([{ lab: 'second' }]);
    assert.equal((await world.post('/v1/chat/completions', { model, messages: QUESTION })).status, 200);
    await until('all calls to be closed', () => calls('first').every(({ outcome }) => outcome !== 'open'));
    assert.deepEqual(calls('second'), []);
  });

  test('while the second target is tried', () =>
    closesInTime(async () => {
      const failing = (lab, kind) => ({ lab, script: { fault: { kind } } });
      const model = await world.route([failing('first', 'reset'), failing('second', 'silence')]);
      const client = await callAndLeave(model, { stream: true }, onceCalled('second'));
      const call = await closedCall('second', model);
      await checkRecord(model, ['unreachable', 'abandoned']);
      return tookMs(call, client);
    }));
});
