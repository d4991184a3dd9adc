import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cargoCounts, plainCounts, tapCounts } from './test-counts.mjs';

test('cargo: the binaries add up', () => {
  const output = `
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s`;
  assert.deepEqual(cargoCounts(output), { passed: 14, failed: 3, skipped: 1 });
  assert.deepEqual(cargoCounts('error: could not compile'), { passed: 0, failed: 0, skipped: 0 });
});

test('TAP: the summary at the end counts, not what a test printed', () => {
  const output =
    '# pass 99\nok 1 - a\n1..4\n# tests 6\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 1\n';
  assert.deepEqual(tapCounts(output), { passed: 2, failed: 2, skipped: 2 });
});

test('plain: the last line with counts', () => {
  assert.deepEqual(plainCounts('1 passed\n3 passed, 1 failed, 2 skipped\n'), {
    passed: 3,
    failed: 1,
    skipped: 2,
  });
  assert.deepEqual(plainCounts('===== 4 passed, 1 error in 0.12s ====='), {
    passed: 4,
    failed: 1,
    skipped: 0,
  });
  assert.deepEqual(plainCounts('nothing\n'), { passed: 0, failed: 0, skipped: 0 });
});
