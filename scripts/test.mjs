// `npm test`: sets up, then runs every check that CI runs, and ends with `N passed, N failed`.
//
// The checks are in `test-steps.mjs`. A failing one does not stop the others; its output is shown, and what failed
// in it once more at the end. Every test inside a runner counts, and every plain check counts as one. A runner
// that ran no test has failed.

import './node-version.mjs';

import { run } from './child.mjs';
import { nearest, parseFlags, wrongUsage } from './flags.mjs';
import { runScript } from './problem.mjs';
import { say, startJob } from './screen.mjs';
import { setUp } from './setup.mjs';
import { lastLines } from './test-failures.mjs';
import { RUST_COMPONENTS, STEPS } from './test-steps.mjs';

const CANNOT_RUN_HERE = 77;
const ONE_PASSED = { passed: 1, failed: 0, skipped: 0 };
const ONE_FAILED = { passed: 0, failed: 1, skipped: 0 };
const ONE_SKIPPED = { passed: 0, failed: 0, skipped: 1 };

const USAGE = `usage: npm test [-- --only STEP[,STEP]] [--list]

Sets up what is missing and runs every check. Exit code 0 when all passed, 1 when one failed.

  --only STEPS   run these steps alone
  --list         name the steps`;

await runScript(async () => {
  const { flags, positionals } = parseFlags(
    process.argv.slice(2),
    { only: 'STEP[,STEP]', list: true },
    USAGE,
  );
  if (positionals.length > 0)
    throw wrongUsage(`unexpected "${positionals[0]}"; steps go after --only`, USAGE);
  if (flags.list) {
    say(STEPS.map(({ name }) => name).join('\n'));
    return 0;
  }
  const chosen = choose(flags.only);
  try {
    await setUp({ components: RUST_COMPONENTS });
  } catch (error) {
    process.once('exit', () => say('\n0 passed, 1 failed'));
    throw error;
  }
  return report(await runSteps(chosen));
});

function choose(only) {
  if (only === undefined) return STEPS;
  const names = only.split(',').map((name) => name.trim());
  for (const name of names.filter((name) => !STEPS.some((step) => step.name === name))) {
    const near = nearest(
      name,
      STEPS.map((step) => step.name),
    );
    throw wrongUsage(`no step "${name}"${near ? `; did you mean ${near}?` : ''} (--list names them)`, USAGE);
  }
  return STEPS.filter(({ name }) => names.includes(name));
}

async function runSteps(steps) {
  const needed = STEPS.filter(({ name }) => steps.some(({ needs }) => needs === name));
  const results = [];
  for (const step of STEPS.filter((step) => steps.includes(step) || needed.includes(step))) {
    const isHopeless = results.some(({ name, failed }) => name === step.needs && failed > 0);
    results.push(isHopeless ? skipped(step) : await runStep(step));
  }
  return results;
}

function skipped({ name, needs }) {
  return { name, ...ONE_SKIPPED, seconds: 0, note: `${needs} failed` };
}

async function runStep({ name, command, env, count, failures = lastLines }) {
  const [program, ...args] = command();
  const job = startJob(name);
  const { code, output, seconds } = await run(program, args, { env });
  const result = { name, seconds, ...judge(code, output, count) };
  job.end(result.failed > 0 ? '✗' : result.passed > 0 ? '✓' : '-');
  if (result.failed === 0) return result;
  say(`${output.trimEnd().replace(/^/gm, `  ${name} | `)}\n`);
  return { ...result, failures: failures(output) };
}

function judge(code, output, count) {
  if (code === CANNOT_RUN_HERE) return { ...ONE_SKIPPED, note: output.trimEnd().split('\n').at(-1) };
  if (count === undefined) return code === 0 ? ONE_PASSED : ONE_FAILED;
  const counts = count(output);
  if (code !== 0 && counts.failed === 0)
    return { ...counts, failed: 1, note: `ended with exit code ${code}` };
  if (counts.passed + counts.failed === 0) return { ...counts, failed: 1, note: 'ran no test' };
  return counts;
}

/** Prints the table and returns the exit code. */
function report(results) {
  const total = (field) => results.reduce((sum, result) => sum + result[field], 0);
  const cell = (number) => `${number}`.padStart(7);
  say(`\n${'step'.padEnd(12)} passed failed skipped seconds`);
  for (const { name, passed, failed, skipped: left, seconds, note } of results) {
    say(
      `${name.padEnd(11)}${cell(passed)}${cell(failed)}${cell(left)} ${cell(seconds.toFixed(1))}${note ? `  ${note}` : ''}`,
    );
  }
  for (const { name, failures } of results)
    if (failures) say(`\n${failures.map((line) => `  ${name} | ${line}`).join('\n')}`);
  const skippedCount = total('skipped');
  say(
    `\n${total('passed')} passed, ${total('failed')} failed${skippedCount > 0 ? `, ${skippedCount} skipped` : ''}`,
  );
  return total('failed') > 0 ? 1 : 0;
}
