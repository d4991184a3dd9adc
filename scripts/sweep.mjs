// Simulates with other values of a constant, to choose it: docs/scale.md, "How the constants were chosen".
//
//   node scripts/sweep.mjs src/health/digest.rs:HALF_LIFE=10_000,30_000 example/scenarios/flapping.json … [-- ARGUMENTS]
//
// Constants are compiled in, so each value is a build of a copy of the sources (.cache/sweep/), without the optimisation
// at link time that a release has. What can be set in a scenario needs no build: `waypost simulate --sweep`.
// The printed figures are the means of the runs with the seeds 1 to SEEDS. What stands behind `--` goes to `waypost simulate`.

import './node-version.mjs';

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { Problem, runScript } from './problem.mjs';
import { ROOT, isMain } from './project.mjs';

const COPY = join(ROOT, '.cache/sweep/tree');
const TARGET = join(ROOT, '.cache/sweep/target');
const SEEDS = 3;
const FAST_BUILD = ['lto="off"', 'opt-level=1', 'codegen-units=16', 'incremental=true'];
const USAGE = 'usage: node scripts/sweep.mjs FILE:CONSTANT=VALUE,VALUE… SCENARIO… [-- ARGUMENTS]';

const COLUMNS = {
  completed: (run) => `${mean(run, ({ whole }) => whole.completed * 100).toFixed(2)} %`,
  'p99 ms': (run) => mean(run, ({ whole }) => whole.first_token_ms_p99).toFixed(0),
  calls: (run) => mean(run, ({ whole }) => whole.calls_per_request).toFixed(3),
  'left s': (run) => time(run, 'traffic_s'),
  'PoP s': (run) => time(run, 'pop_s'),
  'world s': (run) => time(run, 'world_s'),
  'back s': (run) => time(run, 'back_s'),
  swing: (run) => `${mean(run, swing).toFixed(1)} %`,
  ejections: (run) => mean(run, ({ providers }) => sum(providers, 'ejections')).toFixed(0),
  probes: (run) => mean(run, ({ providers }) => sum(providers, 'probes')).toFixed(0),
};

function mean(runs, of) {
  return runs.reduce((total, run) => total + of(run), 0) / runs.length;
}

const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);
const swing = ({ phases }) => Math.max(...phases.flatMap(({ targets }) => targets.map((target) => target.swing * 100)));

/** Of the first fault; a dash where a run never came to that. */
function time(runs, name) {
  const times = runs.map(({ reactions }) => reactions[0]?.[name] ?? NaN);
  const known = times.reduce((total, value) => total + value, 0) / times.length;
  return Number.isNaN(known) ? '–' : known.toFixed(1);
}

function parse(given) {
  const end = given.includes('--') ? given.indexOf('--') : given.length;
  const [constant = '', ...scenarios] = given.slice(0, end);
  const [, file, name, values] = /^(.+):([A-Z0-9_]+)=(.+)$/.exec(constant) ?? [];
  if (!file || scenarios.length === 0) throw new Problem(USAGE, { exitCode: 2 });
  return { file, name, values: values.split(','), scenarios, further: given.slice(end + 1) };
}

/** The source with another value; its type stays. */
export function withValue(source, name, value) {
  const line = new RegExp(`(const ${name}: (\\w+) = )([^;]+);`);
  const [, , type] = line.exec(source) ?? [];
  if (!type) throw new Problem(`no \`const ${name}\` stands in that file`);
  const wrapped = /^(f64|f32|u64|u32|usize)$/.test(type) ? value : `${type}(${value})`;
  return source.replace(line, `$1${wrapped};`);
}

function copySources() {
  rmSync(COPY, { recursive: true, force: true });
  for (const path of ['Cargo.toml', 'Cargo.lock', 'src', 'scripts/estimator']) {
    mkdirSync(dirname(join(COPY, path)), { recursive: true });
    cpSync(join(ROOT, path), join(COPY, path), { recursive: true });
  }
}

function build() {
  const profile = FAST_BUILD.flatMap((setting) => ['--config', `profile.release.${setting}`]);
  const { status, stderr } = spawnSync('cargo', ['build', '--release', '--bin', 'waypost', '--locked', ...profile], {
    cwd: COPY,
    env: { ...process.env, CARGO_TARGET_DIR: TARGET },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Problem('the build failed:', { details: stderr });
}

function simulate(scenario, seed, further) {
  const { status, stdout, stderr } = spawnSync(
    join(TARGET, 'release/waypost'),
    ['simulate', scenario, '--json', '--seed', String(seed), ...further],
    { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  if (status !== 0) throw new Problem(`${scenario} could not be simulated:`, { details: stdout + stderr });
  return JSON.parse(stdout);
}

if (isMain(import.meta.url)) {
  await runScript(async () => {
    const { file, name, values, scenarios, further } = parse(process.argv.slice(2));
    copySources();
    const original = readFileSync(join(ROOT, file), 'utf8');
    console.log(`| \`${name}\` | scenario | ${Object.keys(COLUMNS).join(' | ')} |`);
    console.log(`|---|---|${'---:|'.repeat(Object.keys(COLUMNS).length)}`);
    for (const value of values) {
      writeFileSync(join(COPY, file), withValue(original, name, value));
      build();
      for (const scenario of scenarios) {
        const runs = Array.from({ length: SEEDS }, (_, place) => simulate(scenario, place + 1, further));
        const figures = Object.values(COLUMNS).map((figure) => figure(runs));
        const short = scenario.replace(/^.*\//, '').replace('.json', '');
        console.log(`| ${value} | ${short} | ${figures.join(' | ')} |`);
      }
    }
  });
}
