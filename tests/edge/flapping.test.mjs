// A target that goes down and comes back: while it is down hardly anybody meets it, one request at a time looks whether
// it is back, and soon after it is, it has its requests again. No client notices any of it.
//
// The lab keeps the clock: it is down from the beginning, for less than the second rest of an ejected target.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startWorld, until } from './world.mjs';

const DOWN_MS = 4_000;
const UP_MS = 3_600_000;
/** Callers that go on asking, half of them for a stream. */
const CALLERS = 4;
/** Failures in a row that eject, the first rest, and the time within which a target must be back: docs/failures.md. */
const FAILURES_IN_ROW = 3;
const REST_MS = 2_000;
const BACK_WITHIN_MS = 30_000;
const BETWEEN_CALLS_MS = 40;

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

test('a flapping target is ejected while it is down, probed with discipline, and back in time', { timeout: 60_000 }, async () => {
  const flap = { up_ms: UP_MS, down_ms: DOWN_MS, phase_ms: UP_MS };
  const began_ms = Date.now();
  const model = await world.route([{ lab: 'first', script: { flap, fault: { kind: 'reset' } } }, { lab: 'second' }]);
  const answers = [];
  let back_ms = null;
  const call = async (stream) => {
    const response = await world.post('/v1/chat/completions', { model, stream, messages: [{ role: 'user', content: 'hi' }] });
    const text = await response.text();
    const target = response.headers.get('x-waypost-target');
    answers.push({ status: response.status, target, attempts: response.headers.get('x-waypost-attempts'), text });
    if (target === 'first') back_ms ??= Date.now();
    return back_ms !== null;
  };
  const within_ms = DOWN_MS + BACK_WITHIN_MS;
  const callers = Array.from({ length: CALLERS }, (_, caller) =>
    until('the target to be back', () => call(caller % 2 === 0), { within_ms, every_ms: BETWEEN_CALLS_MS }),
  );
  await Promise.all(callers);

  for (const { status, text } of answers) assert.ok(status === 200 && !text.includes('"error"'), text);
  assert.ok(back_ms - began_ms < DOWN_MS + BACK_WITHIN_MS, `back after ${back_ms - began_ms} ms`);

  const met = world.calls('first', model).filter(({ outcome }) => outcome === 'fault:reset');
  const third_at_ms = met[FAILURES_IN_ROW - 1].at_ms;
  // Callers that were under way when it fell meet it as well; after them comes one at a time, when its rest is over.
  const probes = met.filter(({ at_ms }) => at_ms >= third_at_ms + REST_MS);
  assert.ok(met.length - probes.length <= FAILURES_IN_ROW - 1 + CALLERS, `${met.length} met it while it was down`);
  assert.equal(probes.length, 1, 'one looked whether it is back while it was down');
  const unaware = answers.filter(({ target, attempts }) => target === 'second' && attempts === '1');
  assert.ok(unaware.length > answers.length / 2, `${unaware.length} of ${answers.length} went straight to the second target`);
});
