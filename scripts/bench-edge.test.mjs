import assert from 'node:assert/strict';
import { test } from 'node:test';

import { spread } from '../benches/edge/measure.mjs';
import { judge } from '../benches/edge/report.mjs';

const at = (median) => ({ median, min: median, max: median });

function found({ cpu = 1.7, first_token_ms = 104, cold_ms = 59 } = {}) {
  const system = (own) => ({ first_token_ms: at(own), events_per_read: at(1) });
  return {
    loads: {
      'json-16': { systems: {}, waypost_cpu_to: { floor: at(cpu) } },
      'paced-lf': {
        systems: { floor: system(100), waypost: system(first_token_ms) },
        waypost_cpu_to: { floor: at(1.4), noveum: at(0.5) },
      },
    },
    cold_start_ms: { waypost: at(cold_ms) },
  };
}

const missed = (figures) =>
  judge(figures)
    .filter(({ is_met }) => !is_met)
    .map(({ title }) => title);

test('a target is met up to its limit and missed beyond it', () => {
  assert.deepEqual(missed(found()), ['CPU per paced stream, to Noveum’s']);
  assert.match(missed(found({ cpu: 1.76 }))[0], /JSON request, 16 connections, to the floor/);
  assert.match(missed(found({ first_token_ms: 105.1 }))[0], /first token/);
  assert.match(missed(found({ cold_ms: 60.1 }))[0], /cold start/);
});

test('a target whose figures were not taken is not judged', () => {
  const titles = judge(found()).map(({ title }) => title);
  assert.ok(
    !titles.some((title) => title.includes('CRLF') || title.includes('request, 16 connections, to Noveum')),
  );
  assert.equal(judge({ loads: {} }).length, 0);
});

test('the middle of an even number of figures lies between the two in the middle', () => {
  assert.deepEqual(spread([4, 1, 2, 10]), { median: 3, min: 1, max: 10 });
  assert.deepEqual(spread([3, null, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.equal(spread([null]), null);
});
