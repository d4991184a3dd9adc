// Health over six data centres behind a KV that lags: a target that dies is avoided in the same isolate after three
// failures, in the same data centre within 5 s, everywhere within KV's lag and 10 s; while it is down each data centre
// sends at most one probe at a time; once it is back its share is back within a minute. And KV and the queue may refuse or
// hang as they like: no request fails or waits for them. Behind hundreds of data centres an isolate reads one part of many.
//
// Callers keep asking and the lab keeps the clock; what must not happen is looked for in all that they noted.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { popsOptions } from './pops.mjs';
import { startWorld, until } from './world.mjs';

const KV_LAG_MS = 3_000;
/** As promised above. */
const FAILURES_MAX = 3;
const SAME_POP_MS = 5_000;
const EVERYWHERE_MS = KV_LAG_MS + 10_000;
const BACK_MS = 60_000;
/** The shortest time between two probes of a data centre: the first rest of an ejected target (docs/failures.md). */
const REST_MS = 2_000;
/** A probe is noted when its answer has come, which a busy machine may hold up. */
const NOTED_LATE_MS = 250;
const BETWEEN_CALLS_MS = 100;
/** Requests whose median is compared, with KV sound and not. */
const SAMPLES = 60;

const ISOLATES = {
  fra1: { colo: 'FRA', continent: 'EU' },
  fra2: { colo: 'FRA', continent: 'EU' },
  ams: { colo: 'AMS', continent: 'EU' },
  iad: { colo: 'IAD', continent: 'NA' },
  sjc: { colo: 'SJC', continent: 'NA' },
  nrt: { colo: 'NRT', continent: 'AS' },
  sin: { colo: 'SIN', continent: 'AS' },
};
const NAMES = Object.keys(ISOLATES);
/** These know of the target's death only from others, until they ask it themselves. */
const LISTENERS = ['fra2', 'sin'];
const TALKERS = NAMES.filter((name) => !LISTENERS.includes(name));

let world;
before(async () => {
  world = await startWorld(await popsOptions(ISOLATES, { kv_lag_ms: KV_LAG_MS }));
});
after(() => world?.close());

/** Asks an isolate, and tells who answered and after how many attempts. */
async function ask(isolate, model) {
  const body = { model, messages: [{ role: 'user', content: 'hi' }] };
  const began_ms = performance.now();
  const response = await world.post('/v1/chat/completions', body, { 'x-isolate': isolate });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return {
    isolate,
    pop: ISOLATES[isolate].colo,
    at_ms: Date.now(),
    took_ms: performance.now() - began_ms,
    target: response.headers.get('x-waypost-target'),
    attempts: Number(response.headers.get('x-waypost-attempts')),
  };
}

/** Whether an isolate that has not asked a target itself keeps away from it, but for a probe. Sends nothing. */
async function hasHeard(isolate, model) {
  const body = { model, messages: [{ role: 'user', content: 'hi' }] };
  const response = await world.post('/v1/route', body, { 'x-isolate': isolate });
  const { decision } = await response.json();
  return decision.candidates[0].health.admission.state !== 'admitted';
}

const setKv = (isolate, is) => world.fetch(`/__test/kv?is=${is}`, { headers: { 'x-isolate': isolate } });

/** Asks again and again until it is told to stop. */
function caller(isolate, model, answers) {
  let is_over = false;
  const done = (async () => {
    while (!is_over) {
      answers.push(await ask(isolate, model));
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_CALLS_MS));
    }
  })();
  return async () => {
    is_over = true;
    await done;
  };
}

const waitUntil = (at_ms) => until('the time to come', () => Date.now() >= at_ms, { within_ms: 60_000 });

test('a target that dies is avoided near and far, probed with discipline, and back in time', { timeout: 120_000 }, async (t) => {
  const model = await world.route([{ lab: 'first' }, { lab: 'second' }]);
  const other = await world.route([{ lab: 'second' }]);
  const answers = [];
  const stops = TALKERS.map((name) => caller(name, model, answers));
  t.after(() => Promise.allSettled(stops.map((stop) => stop())));
  stops.push(...LISTENERS.map((name) => caller(name, other, [])));
  await until('every data centre to be heard', () => TALKERS.every((name) => answers.filter(({ isolate }) => isolate === name).length > 9));
  assert.ok(answers.every(({ target, attempts }) => target === 'first' && attempts === 1));

  for (const name of LISTENERS) assert.equal(await hasHeard(name, model), false);

  // What it hears within its data centre it does not hear by way of KV.
  await setKv('fra2', 'refusing');
  await world.labs.first.down();
  const down_ms = Date.now();
  const heardWithin = async (name, within_ms) => {
    await until(`${name} to hear of it`, () => hasHeard(name, model), { within_ms });
    t.diagnostic(`${name} heard of it after ${Date.now() - down_ms} ms`);
  };
  await Promise.all([heardWithin('fra2', SAME_POP_MS), heardWithin('sin', EVERYWHERE_MS)]);
  await setKv('fra2', 'sound');
  stops.push(...LISTENERS.map((name) => caller(name, model, answers)));
  await waitUntil(down_ms + EVERYWHERE_MS);
  // Long enough for some rests to end.
  await waitUntil(down_ms + EVERYWHERE_MS + 5_000);

  await world.labs.first.up();
  const up_ms = Date.now();
  for (const name of TALKERS) {
    const met = sinceItFailed(answers.filter(({ isolate, at_ms }) => isolate === name && at_ms >= down_ms));
    const first_avoided = met.findIndex(({ attempts }) => attempts === 1);
    assert.ok(first_avoided >= 0 && first_avoided <= FAILURES_MAX, `${name} avoided it after ${first_avoided} failures`);
  }
  probesKeepTheirDistance(answers.filter(({ at_ms }) => at_ms >= down_ms && at_ms < up_ms));

  const isBack = (name) => {
    const last = answers.filter(({ isolate }) => isolate === name).slice(-10);
    return last.length === 10 && last.every(({ target, at_ms }) => target === 'first' && at_ms > up_ms);
  };
  await until('the target to have its share again', () => NAMES.every(isBack), { within_ms: BACK_MS });
  t.diagnostic(`its share was back after ${Date.now() - up_ms} ms`);
});

/** Without the answers that were on their way when it went down. */
const sinceItFailed = (answers) => answers.slice(answers.findIndex(({ attempts }) => attempts > 1));

/** After the failures that ejected it, each further attempt at the dead target is a probe. */
function probesKeepTheirDistance(answers) {
  for (const pop of new Set(answers.map((answer) => answer.pop))) {
    const met = sinceItFailed(answers.filter((answer) => answer.pop === pop).sort((a, b) => a.at_ms - b.at_ms));
    const ejected = met.findIndex(({ attempts }) => attempts === 1);
    const probes = met.slice(ejected).filter(({ attempts }) => attempts > 1);
    const gaps_ms = probes.slice(1).map(({ at_ms }, place) => at_ms - probes[place].at_ms);
    assert.ok(gaps_ms.every((gap_ms) => gap_ms >= REST_MS - NOTED_LATE_MS), `${pop} probed at distances of ${gaps_ms} ms`);
  }
}

for (const is of ['refusing', 'hanging']) {
  test(`no request fails or waits because KV and the queue are ${is}`, { timeout: 60_000 }, async (t) => {
    const model = await world.route([{ lab: 'first' }, { lab: 'second' }]);
    const isolate = 'nrt';
    await ask(isolate, model);
    const took_ms = { sound: [], [is]: [] };
    // In turns, so that a busy moment of the machine hits both.
    for (let turn = 0; turn < 6; turn += 1) {
      for (const state of Object.keys(took_ms)) {
        await setKv(isolate, state);
        for (let sample = 0; sample < SAMPLES / 6; sample += 1) took_ms[state].push((await ask(isolate, model)).took_ms);
        // Longer than what is remembered counts as fresh, so that the next turn's first request asks KV again.
        await waitUntil(Date.now() + 400);
      }
    }
    await setKv(isolate, 'sound');
    const median = (samples) => [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)];
    const [sound_ms, worse_ms] = Object.values(took_ms).map(median);
    t.diagnostic(`median of ${worse_ms.toFixed(1)} ms, ${sound_ms.toFixed(1)} ms with a sound KV`);
    assert.ok(worse_ms < sound_ms * 1.5 + 5, `median of ${worse_ms} ms, ${sound_ms} ms with a sound KV`);
    assert.ok(Math.max(...took_ms[is]) < 1_500, `one took ${Math.max(...took_ms[is])} ms`);
  });
}

test('of hundreds of data centres an isolate reads its part, and hears of the others in it', { timeout: 60_000 }, async () => {
  const [isolate, places, fillers] = ['sin', 160, 15];
  const model = await world.route([{ lab: 'first' }, { lab: 'second' }]);
  const other = await world.route([{ lab: 'second' }]);
  // It reads the one entry that there is as yet.
  await ask(isolate, other);
  assert.equal(await hasHeard(isolate, model), false);

  const dead = `first/${model}-0`;
  const now_ms = Date.now();
  const ejected = [now_ms, 2, now_ms + 60_000, 1, 3];
  const alive = [0, 0, 0, 0, 3, 3];
  const report = (place) => ({
    v: 1,
    sender: `sender-${place}`,
    number: 1,
    at: now_ms,
    pop: `P${place}`,
    region: place % 2 ? 'EU' : 'NA',
    targets: { [dead]: ejected, ...Object.fromEntries(Array.from({ length: fillers }, (_, n) => [`filler/m${n}`, alive])) },
  });
  const messages = Array.from({ length: places }, (_, place) => ({ body: JSON.stringify(report(place)), contentType: 'text' }));
  const queue = await world.mf.getQueueProducer('HEALTH', isolate);
  // The queue delivers at least once: here all of them twice.
  for (const from of [0, 80, 0, 80]) await queue.sendBatch(messages.slice(from, from + 80));

  const kv = await world.mf.getKVNamespace('KV', isolate);
  const read = (entry) => kv.get(entry, 'json');
  await until('the snapshot to be in parts', async () => (await read('health'))?.parts === 32, { within_ms: 20_000 });
  const { keys } = await kv.list({ prefix: 'health:' });
  assert.equal(keys.length, 32);
  const against = (part) => Object.fromEntries(part.rest.filter(([name]) => name.startsWith(`${dead}\n`)).map(([name, [, votes]]) => [name.split('\n')[1], votes]));
  const isWhole = (part) => {
    const own = part.pops.filter(([pop]) => /^P\d+$/.test(pop)).length;
    const { EU = 0, NA = 0 } = against(part);
    return own + EU + NA === places;
  };
  await until('all reports to be in every part', async () => {
    const parts = await Promise.all(keys.map(({ name }) => read(name)));
    return parts.every(isWhole);
  }, { within_ms: 20_000 });
  const [first] = await Promise.all(keys.slice(0, 1).map(({ name }) => read(name)));
  for (const [name, told] of first.rest.filter(([name]) => name.startsWith('filler/'))) {
    assert.ok(told[4] <= (places / 2) * 3, `${name} has ${told[4]} attempts: a report was counted twice`);
  }
  await until(`${isolate} to hear of it`, () => hasHeard(isolate, model), { within_ms: EVERYWHERE_MS + 10_000 });
});
