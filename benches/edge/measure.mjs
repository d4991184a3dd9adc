// Measures one system under one load, and the processes that have nothing to do with any system: upstream and clients.
//
// CPU time is what the kernel has booked on the system's process, all its threads, from before the load to a moment after
// it, so that what a system does behind the client's back (records) counts. Memory is what it holds resident. Both are
// read from /proc. A wrong answer is a failure, and there are no figures of a load with failures.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { cpus } from 'node:os';
import { join } from 'node:path';

import { endGroup, run, tail, takeAlong } from '../../scripts/child.mjs';
import { Problem } from '../../scripts/problem.mjs';
import { ROOT } from '../../scripts/project.mjs';

const CRATE = join(ROOT, 'benches', 'edge');
const TARGET = join(ROOT, 'target', 'bench-edge');
const PROGRAM = join(TARGET, 'release', 'waypost-bench-edge');
/** Records leave at most 250 ms after the exchange, as one message that is soon sent. */
const SETTLE_MS = 400;

/** Compiles the upstream and the clients. */
export async function buildEnds() {
  const { code, output } = await run('cargo', ['build', '--release', '--locked'], {
    cwd: CRATE,
    title: 'Compiling the upstream and the clients',
    takes: 'a minute the first time',
    env: { CARGO_TARGET_DIR: TARGET },
  });
  if (code !== 0) throw new Problem('The upstream did not compile. cargo said:', { details: tail(output) });
}

/** Which cores hold whom: the last is the systems', the others are the upstream's and the clients'. */
export async function cores() {
  const count = cpus().length;
  const isPinned = count >= 2 && (await run('taskset', ['--version'])).code === 0;
  if (!isPinned) return { ends: [], system: [], text: 'not pinned: there is no taskset, or one core' };
  const others = count === 2 ? '0' : `0-${count - 2}`;
  return {
    ends: ['taskset', '-c', others],
    system: ['taskset', '-c', `${count - 1}`],
    text: `the system on core ${count - 1}, upstream and clients on ${others}`,
  };
}

export async function startUpstream(prefix) {
  const [program, ...args] = [...prefix, PROGRAM, 'upstream'];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const ended = once(child, 'close').finally(takeAlong(child));
  const said = await Promise.race([once(child.stdout.setEncoding('utf8'), 'data'), ended]);
  const close = async () => {
    endGroup(child, 'SIGKILL');
    await ended;
  };
  if (typeof said[0] !== 'string') throw new Problem('The upstream did not start.');
  return { port: JSON.parse(said[0]).port, pid: child.pid, close };
}

/** Asks `load.requests` times. Returns what the clients saw; any failure is a `Problem`. */
export async function send(system, load, prefix) {
  const [program, ...args] = [
    ...prefix,
    PROGRAM,
    'load',
    ...['--address', system.address, '--model', load.model],
    ...['--connections', `${load.connections}`, '--requests', `${load.requests}`],
    ...system.headers.flatMap((header) => ['--header', header]),
  ];
  const { code, output } = await run(program, args);
  if (code !== 0) throw new Problem('The clients failed. They said:', { details: tail(output) });
  const seen = JSON.parse(output);
  if (seen.failures > 0 || seen.requests !== load.requests) {
    throw new Problem(`${seen.failures} of ${load.requests} answers were wrong (${load.model}). The first:`, {
      details: seen.failure ?? '',
    });
  }
  return seen;
}

/** One load on one system: `{ cpu_us, per_second, p50_ms, p99_ms, first_token_ms, events_per_read, rss_mb }`. */
export async function measure(system, load, prefix) {
  const before = await cpuMicroseconds(system.pid);
  const seen = await send(system, load, prefix);
  await pause(SETTLE_MS);
  const spent = (await cpuMicroseconds(system.pid)) - before;
  return {
    cpu_us: spent / load.requests,
    per_second: load.requests / seen.seconds,
    p50_ms: seen.total_ms.p50,
    p99_ms: seen.total_ms.p99,
    first_token_ms: seen.first_token_ms?.p50 ?? null,
    events_per_read: seen.reads === 0 ? null : seen.events / seen.reads,
    rss_mb: residentMb(system.pid),
  };
}

/** From the start of the process to the last byte of its first answer, in ms. The process is ended again. */
export async function coldStart(system, options) {
  const started = await system.start(options);
  try {
    const headers = Object.fromEntries(started.headers.map((header) => header.split(': ')));
    await firstAnswer(`http://${started.address}/v1/chat/completions`, headers);
    return performance.now() - started.began_ms;
  } finally {
    await started.close();
  }
}

function firstAnswer(url, headers) {
  const body = JSON.stringify({ model: 'json', messages: [{ role: 'user', content: 'Hello' }] });
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      agent: false,
    };
    const sent = request(url, options, (answer) => {
      answer.resume().on('error', reject);
      answer.on('end', () =>
        answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}`)),
      );
    });
    sent.on('error', reject).end(body);
  });
}

let ticks_per_s;

/** User and system time of a process (proc(5), fields 14 and 15; the name in field 2 may hold spaces). */
async function cpuMicroseconds(pid) {
  ticks_per_s ??= Number((await run('getconf', ['CLK_TCK'])).output);
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / ticks_per_s;
}

/** In units of 1,000,000 bytes. */
export function residentMb(pid) {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(kib) * 1024) / 1e6;
}

export function canMeasure() {
  return existsSync('/proc/self/stat');
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The middle of some numbers and their ends; null where there are none. */
export function spread(numbers) {
  const sorted = numbers.filter((number) => number !== null && number !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1) };
}
