// What a decision costs, on this machine, natively and in wasm under workerd, and how much of a
// request's CPU that is.
//
//   npm run bench -- decide [--quick] [--json]
//
// The work is the same on both sides (`benches/src/work.rs`); criterion times it on the host. In a Worker clocks stand
// still, so wasm is timed from outside: a request that decides many times, less a request that does nothing, in rounds
// that take turns, and the median of the rounds. The built Worker answers a request through a local upstream; its CPU
// time is read from /proc, so that part needs Linux.
// Figures of one machine at one hour: compare those of one run.

import './node-version.mjs';

import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

import { costOfRequests } from './bench-request.mjs';
import { build } from './build.mjs';
import { run, tail } from './child.mjs';
import { parseFlags } from './flags.mjs';
import { Problem } from './problem.mjs';
import { ROOT } from './project.mjs';
import { buildPureWasm, startPure } from './pure-wasm.mjs';
import { leaveStdoutAlone, startJob } from './screen.mjs';
import { setUp } from './setup.mjs';

const BENCHES = join(ROOT, 'benches');
const TARGETS = [3, 20, 200];
const BODY_BYTES = [1_000, 10_000, 100_000];
/** How much is timed: `wasm_ms` is one round's length. */
const EFFORT = {
  full: { rounds: 15, wasm_ms: 100, criterion: ['--warm-up-time', '1', '--measurement-time', '3'], requests: 10_000 },
  quick: { rounds: 5, wasm_ms: 30, criterion: ['--warm-up-time', '0.3', '--measurement-time', '0.6', '--sample-size', '20'], requests: 2_000 },
};

const USAGE = `usage: npm run bench -- decide [--quick] [--json]

Measures decisions and the reading of bodies on the host and in wasm under workerd, the memory that a prompt of 100 KB
takes there, and the share of a request's CPU that deciding takes.

  --quick   shorter rounds, for a first look
  --json    one JSON object on stdout instead of the table`;

export async function benchDecide(args) {
  const { flags } = parseFlags(args, { quick: true, json: true }, USAGE);
  if (flags.json) leaveStdoutAlone();
  const effort = flags.quick ? EFFORT.quick : EFFORT.full;
  const tools = await setUp();
  await build(tools);
  const host = await timeHost(effort);
  await buildPureWasm();
  const wasm = await timed('Measuring in workerd', () => timeWasm(effort));
  const requests = await timed('Measuring whole requests', () => costOfRequests(effort.requests, TARGETS.slice(0, 2)));
  const found = { machine: machine(), date: new Date().toISOString().slice(0, 10), host, wasm, requests };
  if (flags.json) console.log(JSON.stringify(found, null, 2));
  else console.log(table(found));
}

async function timed(title, measure) {
  const job = startJob(title);
  try {
    const found = await measure();
    job.end('✓');
    return found;
  } catch (error) {
    job.end('✗');
    throw error;
  }
}

/** Microseconds by name, as `decide/20`: criterion's medians. */
async function timeHost({ criterion }) {
  const { code, output } = await run('cargo', ['bench', '--bench', 'decide', '--', '--noplot', ...criterion], {
    cwd: BENCHES,
    title: 'Measuring on the host',
    takes: 'compiles for a minute or two the first time',
    env: { CARGO_TARGET_DIR: join(BENCHES, 'target') },
  });
  if (code !== 0) throw new Problem('The benchmark on the host failed. It said:', { details: tail(output) });
  const names = [...TARGETS.map((count) => `decide/${count}`), ...BODY_BYTES.map((bytes) => `outline/${bytes}`)];
  const median = (name) => {
    const path = join(BENCHES, 'target', 'criterion', ...name.split('/'), 'new', 'estimates.json');
    return JSON.parse(readFileSync(path, 'utf8')).median.point_estimate / 1000;
  };
  return Object.fromEntries(names.map((name) => [name, median(name)]));
}

/** Microseconds by name, and the bytes that one large prompt adds to the memory of a fresh module. */
async function timeWasm(effort) {
  const pure = await startPure();
  try {
    const found = {};
    for (const count of TARGETS) {
      await pure.call('set_up', { targets: count });
      found[`decide/${count}`] = await microseconds(pure, 'decide', effort);
    }
    for (const bytes of BODY_BYTES) {
      await pure.call('write_body', { bytes });
      found[`outline/${bytes}`] = await microseconds(pure, 'outline', effort);
    }
    return { ...found, ...(await memory()) };
  } finally {
    await pure.close();
  }
}

/** The median over rounds of a call that does the work many times, less the empty call beside it. */
async function microseconds(pure, name, { rounds, wasm_ms }) {
  const elapsed = async (call) => {
    const start = performance.now();
    await call();
    return performance.now() - start;
  };
  const work = (times) => elapsed(() => pure.call(name, { times }));
  let times = 16;
  while ((await work(times)) < wasm_ms) times *= 2;
  const samples = [];
  for (let round = 0; round < rounds; round += 1) {
    const [busy, idle] = [await work(times), await elapsed(() => pure.call('nothing'))];
    samples.push(((busy - idle) * 1000) / times);
  }
  return samples.sort((a, b) => a - b)[Math.floor(rounds / 2)];
}

/** How much a fresh module's memory grows from the arrival of a prompt of 100 KB to the body that is sent. */
async function memory() {
  const pure = await startPure();
  try {
    await pure.call('set_up', { targets: 3 });
    const bytes = Number(await pure.call('write_body', { bytes: BODY_BYTES.at(-1) }));
    const before = Number(await pure.call('memory'));
    const sent = Number(await pure.call('prepare'));
    if (!(sent > bytes)) throw new Error(`the prompt was not prepared: ${sent} bytes`);
    return { body_bytes: bytes, memory_bytes_added: Number(await pure.call('memory')) - before };
  } finally {
    await pure.close();
  }
}

function machine() {
  const all = cpus();
  return `${all[0]?.model.trim() ?? 'unknown'}, ${all.length} cores, ${process.platform}`;
}

function table({ machine, date, host, wasm, requests }) {
  const columns = [26, 10, 10, 7, 16];
  const row = (...cells) => cells.map((cell, place) => (place === 0 ? `${cell}`.padEnd(columns[0]) : `${cell}`.padStart(columns[place]))).join('');
  const title = (name) => {
    const [kind, size] = name.split('/');
    return kind === 'decide' ? `decide, ${size} targets` : `outline, ${Number(size) / 1000} KB`;
  };
  const lines = Object.keys(host).map((name) =>
    row(title(name), host[name].toFixed(2), wasm[name].toFixed(2), (wasm[name] / host[name]).toFixed(1), Math.round(1e6 / wasm[name]).toLocaleString('en')),
  );
  const shares = requests.map(({ targets, cpu_us }) => {
    const decide = wasm[`decide/${targets}`];
    return `a request with ${targets} targets: ${cpu_us.toFixed(0)} µs of CPU, of which deciding is ${decide.toFixed(1)} µs (${((100 * decide) / cpu_us).toFixed(1)} %)`;
  });
  return [
    `${machine}, ${date}`,
    '',
    row('', 'host µs', 'wasm µs', 'ratio', 'wasm per second'),
    ...lines,
    '',
    ...shares,
    `a prompt of ${wasm.body_bytes} bytes adds ${wasm.memory_bytes_added} bytes of wasm memory on its way to the call`,
  ].join('\n');
}
