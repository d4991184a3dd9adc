import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cargoFailures, lastLines, tapFailures } from './test-failures.mjs';

const TAP = `TAP version 13
# Subtest: a suite
    ok 1 - works
      ---
      duration_ms: 0.5
      ...
    not ok 2 - fails
      ---
      failureType: 'testCodeFailure'
      error: '1 == 2'
      ...
    1..2
not ok 1 - a suite
  ---
  failureType: 'subtestsFailed'
  ...
not ok 2 - cut off`;

test('TAP: what failed by itself, with its error; not the suite around it', () => {
  assert.deepEqual(tapFailures(TAP), [
    'not ok 2 - fails',
    '  ---',
    "  failureType: 'testCodeFailure'",
    "  error: '1 == 2'",
    'not ok 2 - cut off',
  ]);
  assert.deepEqual(tapFailures('ok 1 - a\n'), []);
});

test('TAP: many failures are shortened', () => {
  const lines = tapFailures(Array.from({ length: 99 }, (_, n) => `not ok ${n} - x`).join('\n'));
  assert.equal(lines.length, 61);
  assert.equal(lines.at(-1), '… 39 more lines above');
});

test('cargo: tests, panics and compile errors', () => {
  const output = `test a ... ok\ntest b ... FAILED\nthread 'b' (1) panicked at src/x.rs:1:1:\nassertion failed\n`;
  const lines = cargoFailures(output);
  assert.ok(lines.includes('test b ... FAILED') && lines.includes('assertion failed'));
  assert.ok(!lines.includes('test a ... ok'));
  assert.equal(cargoFailures('error[E0308]: mismatched types\n --> src/x.rs:1:1\n')[0], 'error[E0308]: mismatched types');
});

test('any other: the last lines', () => {
  assert.equal(lastLines(`${'x\n'.repeat(50)}end\n`).length, 20);
});
