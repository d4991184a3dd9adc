// The outcome as a table, then what failed, then `N passed, N failed`.

import { say } from '../../scripts/screen.mjs';
import { CASES } from './cases.mjs';

/** Prints, and returns the exit code. `suite` is what `suite.mjs` gave, if it ran. */
export function report(results, suite) {
  if (results.length > 0) printTable(results);
  const failures = results.flatMap(({ family, client, provider, outcomes }) =>
    Object.entries(outcomes)
      .filter(([, outcome]) => outcome !== null)
      .map(([name, outcome]) => `${family} | ${client} -> ${provider}: ${name}\n    ${outcome.split('\n').join('\n    ')}`));
  const count = results.reduce((sum, { outcomes }) => sum + Object.keys(outcomes).length, 0);
  const all = [...failures, ...(suite?.failures ?? [])];
  for (const failure of all) say(`\n✗ ${failure}`);
  say(`\n${count - failures.length + (suite?.passed ?? 0)} passed, ${all.length} failed`);
  return all.length > 0 ? 1 : 0;
}

function printTable(results) {
  const rows = results.map(({ family, client, provider, outcomes }) => ({
    head: [family, client, provider],
    marks: CASES.map(({ name }) => (Object.hasOwn(outcomes, name) ? (outcomes[name] === null ? '✓' : '✗') : ' ')),
  }));
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map(({ head }) => head[column].length)));
  const indent = ' '.repeat(widths.reduce((sum, width) => sum + width + 2, 0));
  say('');
  // The names of the cases stand upright over their columns.
  const height = Math.max(...CASES.map(({ name }) => name.length));
  for (let line = 0; line < height; line += 1) {
    say(indent + CASES.map(({ name }) => name.padStart(height)[line]).join(' '));
  }
  for (const { head, marks } of rows) {
    say(`${head.map((text, column) => text.padEnd(widths[column] + 2)).join('')}${marks.join(' ')}`);
  }
}
