// The checks that make up `npm test`, in order, each as the command that a person would type.
//
// `count` reads the number of tests from the output; a step without it is one check. `needs` names the step
// whose failure makes this one pointless; `failures` picks what failed out of the output. Exit code 77 means that the step cannot run on this machine.

import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

import { ROOT, node22 } from './project.mjs';
import { cargoCounts, plainCounts, tapCounts } from './test-counts.mjs';
import { cargoFailures, tapFailures } from './test-failures.mjs';

const WARNINGS_ARE_ERRORS = ['--', '-D', 'warnings'];

/** Parts of the Rust toolchain that a minimal install lacks. */
export const RUST_COMPONENTS = ['rustfmt', 'clippy'];

export const STEPS = [
  { name: 'fmt', command: () => ['cargo', 'fmt', '--check'] },
  { name: 'clippy', command: () => ['cargo', 'clippy', '--all-targets', ...WARNINGS_ARE_ERRORS] },
  {
    name: 'clippy-wasm',
    command: () => ['cargo', 'clippy', '--target', 'wasm32-unknown-unknown', '--lib', ...WARNINGS_ARE_ERRORS],
  },
  { name: 'rust', command: () => ['cargo', 'test', '--no-fail-fast'], count: cargoCounts, failures: cargoFailures },
  { name: 'doc', command: () => ['cargo', 'doc', '--no-deps'], env: { RUSTDOCFLAGS: '-D warnings' } },
  { name: 'licences', command: () => [process.execPath, 'scripts/licences.mjs'] },
  { name: 'scripts', command: () => nodeTests('scripts'), count: tapCounts, failures: tapFailures },
  { name: 'wasm', command: () => [process.execPath, 'scripts/build.mjs'] },
  { name: 'replay', command: () => nodeTests('tests/replay'), count: tapCounts, failures: tapFailures },
  { name: 'lab', command: () => nodeTests('tests/lab'), count: tapCounts, failures: tapFailures },
  { name: 'edge', command: () => nodeTests('tests/edge'), count: tapCounts, failures: tapFailures, needs: 'wasm' },
  { name: 'sdk', command: () => [node22(), 'tests/sdk/matrix.mjs', '--only', 'npm'], count: plainCounts, needs: 'wasm' },
  { name: 'metrics', command: () => [node22(), 'tests/metrics/main.mjs'], count: plainCounts, needs: 'wasm' },
  { name: 'python', command: () => [node22(), 'tests/edge/python.mjs'], count: plainCounts, needs: 'wasm' },
];

/** Files are named one by one: Node 20 and 22 disagree on what a folder means. */
function nodeTests(folder) {
  const full = join(ROOT, folder);
  const files = existsSync(full)
    ? readdirSync(full, { recursive: true })
        .filter((name) => name.endsWith('.test.mjs') && !name.includes('node_modules'))
        .map((name) => relative(ROOT, join(full, name)))
        .sort()
    : [];
  // With no file Node would look for tests by itself, everywhere.
  if (files.length === 0)
    return [process.execPath, '--eval', `console.error('no ${folder}/**/*.test.mjs'); process.exit(1)`];
  return [node22(), '--test', '--test-concurrency=2', '--test-reporter=tap', ...files];
}
