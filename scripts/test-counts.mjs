// Reads from a test runner's output how many of its tests passed, failed and were skipped.
//
// A runner that says nothing counts as zero tests, which the caller takes for a failure: a suite that
// silently ran nothing is worse than a red one.

/** `cargo test`: one summary line for each test binary. */
export function cargoCounts(output) {
  return sum(output, /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm);
}

/** `node --test --test-reporter=tap`: a summary of comment lines at the end. */
export function tapCounts(output) {
  const last = (word) => Number([...output.matchAll(new RegExp(`^# ${word} (\\d+)`, 'gm'))].at(-1)?.[1] ?? 0);
  return {
    passed: last('pass'),
    failed: last('fail') + last('cancelled'),
    skipped: last('skipped') + last('todo'),
  };
}

/** A last line like ours: `12 passed, 0 failed`, with or without `, 1 skipped`. pytest's is alike. */
export function plainCounts(output) {
  const lines = output
    .trimEnd()
    .split('\n')
    .filter((line) => /\d+ (passed|failed|skipped)/.test(line));
  const number = (word) => Number(new RegExp(`(\\d+) ${word}`).exec(lines.at(-1) ?? '')?.[1] ?? 0);
  return {
    passed: number('passed'),
    failed: number('failed') + number('errors?'),
    skipped: number('skipped'),
  };
}

function sum(output, pattern) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [, passed, failed, skipped] of output.matchAll(pattern)) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(skipped);
  }
  return counts;
}
