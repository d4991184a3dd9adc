// Scripts: what may stand in one, which one a call gets, and when its fault is due.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_KINDS, parseFault } from '../fault.mjs';
import { parseScript, SCRIPT_FIELDS, ScriptError } from '../script.mjs';
import { ScriptBook } from '../script_book.mjs';
import { bodyFor, call } from './caller.mjs';

/** For each field of a script: values that are wrong, and one that is right. */
const FIELDS = {
  headers_ms: { wrong: [-1, 1.5, '1', null], right: 5 },
  ttft_ms: { wrong: [-1, 3_600_001, true], right: 0 },
  tokens_per_s: { wrong: [-1, '10', Number.NaN], right: 0.5 },
  tokens: { wrong: [-1, 1.5], right: 0 },
  text: { wrong: [5, ['a']], right: '' },
  reasoning_tokens: { wrong: [-1, 'x'], right: 3 },
  keepalive_ms: { wrong: [0, -1, '5'], right: null },
  line_ending: { wrong: ['cr', null], right: 'crlf' },
  chunking: { wrong: ['line', 1], right: 'split' },
  fault: { wrong: ['cut', [], { kind: 'unknown' }, { kind: 'constructor' }, {}], right: { kind: 'cut' } },
  flap: { wrong: [5, {}, { up_ms: 1 }, { up_ms: 0, down_ms: 1 }, { up_ms: 1, down_ms: 1, side_ms: 1 }], right: { up_ms: 1, down_ms: 1 } },
  usage: { wrong: [1, null], right: false },
  cached_tokens: { wrong: [-1], right: 8 },
  auth: { wrong: ['', [], [''], 5], right: ['a', 'b'] },
};

/** The same for the fields of faults. */
const FAULT_FIELDS = {
  times: { wrong: [0, 1.5], right: 1 },
  every: { wrong: [0, null], right: 2 },
  after: { wrong: [-1], right: 0 },
  probability: { wrong: [-0.1, 1.1, '1'], right: 0.5 },
  streams_only: { wrong: [1], right: true },
  after_tokens: { wrong: [-1, '5'], right: 0 },
  error_type: { wrong: [5], right: 'a' },
  error_code: { wrong: [5], right: 'a' },
  message: { wrong: [5], right: null },
  status: { wrong: [399, 600, '500'], right: 404 },
  retry_after: { wrong: [-1, 'a\r\nb: c', 'é', true], right: '3' },
  retry_after_ms: { wrong: [-1, '5'], right: 1.5 },
  limit_tokens: { wrong: [0], right: 1 },
  bytes: { wrong: [999, 1e9], right: 1000 },
  interval_ms: { wrong: [-1], right: 0 },
  events: { wrong: [0], right: 1 },
  ends: { wrong: [0, null], right: false },
  closes: { wrong: ['no'], right: false },
};

const problemsOf = (value) => {
  try {
    parseScript(value);
  } catch (error) {
    assert.ok(error instanceof ScriptError);
    return error.problems;
  }
  return [];
};

export function testScripts(lab) {
  test('every field of a script is checked', () => {
    assert.deepEqual(Object.keys(FIELDS).sort(), Object.keys(SCRIPT_FIELDS).sort());
    for (const [field, { wrong, right }] of Object.entries(FIELDS)) {
      assert.deepEqual(problemsOf({ [field]: right }), [], field);
      for (const value of wrong) {
        const problems = problemsOf({ [field]: value });
        assert.ok(problems.length > 0, `${field} takes ${JSON.stringify(value)}`);
        for (const { path } of problems) assert.ok(path.startsWith(`script.${field}`), path);
      }
    }
  });

  test('every field of every fault is checked', () => {
    for (const [kind, own] of Object.entries(FAULT_KINDS)) {
      const fields = [...Object.keys(own), 'times', 'every', 'after', 'probability', 'streams_only'];
      for (const field of fields) {
        const { wrong, right } = FAULT_FIELDS[field];
        assert.deepEqual(problemsOf({ fault: { kind, [field]: right } }), [], `${kind}.${field}`);
        for (const value of wrong) {
          assert.deepEqual(problemsOf({ fault: { kind, [field]: value } }).map(({ path }) => path), [`script.fault.${field}`]);
        }
      }
      for (const field of Object.keys(FAULT_FIELDS).filter((each) => !fields.includes(each))) {
        assert.deepEqual(problemsOf({ fault: { kind, [field]: FAULT_FIELDS[field].right } }).map(({ valid }) => valid), [['kind', ...fields]]);
      }
    }
  });

  test('all problems are told at once, each with its place and what would be valid', () => {
    const problems = problemsOf({ ttft: 5, tokens: 'many', fault: { kind: 'kut' } });
    assert.deepEqual(problems.map(({ path }) => path), ['script.tokens', 'script.ttft', 'script.fault.kind']);
    assert.equal(problems[0].message, 'expected a whole number from 0 to 1000000, got "many"');
    assert.deepEqual(problems[1].valid, Object.keys(SCRIPT_FIELDS));
    assert.deepEqual(problems[2].valid, Object.keys(FAULT_KINDS));
    assert.throws(() => lab.setScript('m', { ttft: 5 }), /script\.ttft: is not a known field \(valid: headers_ms, ttft_ms, /);
    assert.deepEqual(problemsOf({ constructor: 1 }).map(({ path }) => path), ['script.constructor']);
    for (const value of [null, [], 'text', 5]) assert.equal(problemsOf(value).length, 1);
  });

  test('a model finds its own script, else the longest prefix, else the default', async () => {
    const textOf = async (model) => JSON.parse((await call(lab, { body: bodyFor('openai-chat', { model }) })).body).choices[0].message.content;
    const script = (text) => ({ text, ttft_ms: 0, tokens_per_s: 0 });
    lab.setScript('*', script('any'));
    lab.setScript('fa*', script('short'));
    lab.setScript('fast-*', script('long'));
    lab.setScript('fast-1', script('exact'));
    assert.equal(await textOf('fast-1'), 'exact');
    assert.equal(await textOf('fast-12'), 'long');
    assert.equal(await textOf('fast'), 'short');
    assert.equal(await textOf('slow'), 'any');
    lab.setScript('*', null);
    assert.match(await textOf('slow'), /^lab here, model slow/);
    lab.clearScripts();
    assert.match(await textOf('fast-1'), /^lab here/);
  });

  test('the header\'s script replaces the model\'s, and a wrong one is refused', async () => {
    lab.setScript('fast-1', { fault: { kind: 'reset' } });
    const seen = await call(lab, { script: { text: 'from the header' } });
    assert.equal(JSON.parse(seen.body).choices[0].message.content, 'from the header');
    for (const header of ['{', '[]', '{"tokns":1}']) {
      const refused = await call(lab, { headers: { 'x-lab-script': header } });
      assert.equal(refused.status, 400);
      assert.match(JSON.parse(refused.body).error.message, /^x-lab-script/);
    }
    lab.clearScripts();
  });

  test('a header\'s script counts its own calls', async () => {
    const script = { fault: { kind: 'status', status: 503, times: 2 }, text: `a text of its own ${lab.port}` };
    const seen = [];
    for (let n = 0; n < 3; n += 1) seen.push((await call(lab, { script })).status);
    assert.deepEqual(seen, [503, 503, 200]);
  });

  /** Which of `calls` calls a fault hits, as a string of x and dots. */
  const hits = (fault, calls, { isStream = () => true, seed = 1, model = 'm', nowMs, flap } = {}) => {
    const book = new ScriptBook({ seed, ...(nowMs ? { nowMs } : {}) });
    book.set('m*', flap ? { fault, flap } : { fault: { kind: 'cut', ...fault } });
    return Array.from({ length: calls }, (_, at) => (book.dueFault(book.find(model), model, isStream(at)) === null ? '.' : 'x')).join('');
  };

  test('times, after and every say which calls a fault hits', () => {
    assert.equal(hits({}, 5), 'xxxxx');
    assert.equal(hits({ times: 2 }, 5), 'xx...');
    assert.equal(hits({ after: 2 }, 5), '..xxx');
    assert.equal(hits({ after: 1, times: 2 }, 5), '.xx..');
    assert.equal(hits({ every: 3 }, 7), '..x..x.');
    assert.equal(hits({ every: 2, times: 4 }, 8), '.x.x....');
    assert.equal(hits({ streams_only: true, times: 2 }, 6, { isStream: (at) => at % 2 === 1 }), '.x.x..');
  });

  test('counters belong to one model, and start afresh with a new script', () => {
    const book = new ScriptBook({ seed: 1 });
    const isHit = (model) => book.dueFault(book.find(model), model, true) !== null;
    book.set('m*', { fault: { kind: 'cut', times: 1 } });
    assert.deepEqual([isHit('m1'), isHit('m1'), isHit('m2'), isHit('m2')], [true, false, true, false]);
    book.set('m*', { fault: { kind: 'cut', times: 1 } });
    assert.deepEqual([isHit('m1'), isHit('m1')], [true, false]);
  });

  test('probability is the same dice each time, and another for another seed or model', () => {
    const first = hits({ probability: 0.3 }, 1000);
    assert.equal(hits({ probability: 0.3 }, 1000), first);
    assert.notEqual(hits({ probability: 0.3 }, 1000, { seed: 2 }), first);
    assert.notEqual(hits({ probability: 0.3 }, 1000, { model: 'm2' }), first);
    const share = first.replaceAll('.', '').length / 1000;
    assert.ok(share > 0.25 && share < 0.35, String(share));
    assert.equal(hits({ probability: 0 }, 20), '.'.repeat(20));
  });

  test('a flapping model is down by the clock, from when its script was set', () => {
    const clock = (from) => {
      let now = from - 10;
      return () => { now += 10; return now; };
    };
    const fault = { kind: 'reset' };
    const flap = { up_ms: 30, down_ms: 20 };
    // The book reads the clock twice before the first call: for its default and for this script.
    assert.equal(hits(fault, 11, { nowMs: clock(500), flap }), '..xx...xx..');
    assert.equal(hits(fault, 6, { nowMs: clock(0), flap: { ...flap, phase_ms: 30 } }), 'x...xx');
    const book = new ScriptBook({ seed: 1 });
    book.set('m', { flap: { up_ms: 1, down_ms: 3_600_000, phase_ms: 1 } });
    assert.equal(book.dueFault(book.find('m'), 'm', true).status, 503);
    book.set('m', { flap: { up_ms: 3_600_000, down_ms: 1 }, fault: { kind: 'cut' } });
    assert.equal(book.dueFault(book.find('m'), 'm', true), null);
  });

  test('a fault has all fields of its kind', () => {
    assert.deepEqual(parseFault({ kind: 'cut' }, 'fault', []), { kind: 'cut', after_tokens: 5, times: null, every: 1, after: 0, probability: 1, streams_only: false });
    assert.equal(parseFault({ kind: 'big_line' }, 'fault', []).bytes, 12_000_000);
  });
}
