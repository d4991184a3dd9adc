// Finds in a test runner's output what failed, so that it can be shown where a reader looks: at the end.

/** No more lines than this of one step: the whole output stands above. */
const LINES_MAX = 60;

/** `node --test --test-reporter=tap`: each test that failed by itself, with its error and its stack. */
export function tapFailures(output) {
  const lines = output.split('\n');
  const failed = [];
  lines.forEach((line, number) => {
    const indent = /^( *)not ok \d+ /.exec(line)?.[1];
    if (indent === undefined) return;
    const block = detail(lines, number, indent);
    if (!block.some((line) => line.includes("failureType: 'subtestsFailed'"))) failed.push(...block);
  });
  return shortened(failed);
}

/** `cargo test`: the panics of the tests that failed, or the compiler's errors. */
export function cargoFailures(output) {
  const lines = output.split('\n');
  const failed = [];
  lines.forEach((line, number) => {
    if (/^test .* \.\.\. FAILED$/.test(line)) failed.push(line);
    if (/^(error(\[\w+\])?:|thread '.*' .*panicked at)/.test(line)) failed.push(...lines.slice(number, number + 5));
  });
  return shortened(failed);
}

/** Any other: its last lines. */
export function lastLines(output) {
  return output.trimEnd().split('\n').slice(-20);
}

/** The line of a test and the indented YAML under it. */
function detail(lines, number, indent) {
  const end = lines.findIndex((line, at) => at > number && line === `${indent}  ...`);
  return lines.slice(number, end < 0 ? number + 1 : end).map((line) => line.slice(indent.length));
}

function shortened(lines) {
  if (lines.length <= LINES_MAX) return lines;
  return [...lines.slice(0, LINES_MAX), `… ${lines.length - LINES_MAX} more lines above`];
}
