// What a request and a stream cost through Waypost, beside the least that a Worker can do and beside peers.
//
//   npm run bench -- edge [--rounds N] [--peers] [--loads A,B] [--against FOLDER] [--json FILE] [--write-docs]
//   npm run bench -- edge --soak [--seconds N]
//
// Every system is a process of its own, all are up at once, and they take turns: in each round each load goes to each
// system in turn, and a ratio is made of two figures of one round. The floor runs twice, so that one sees how far two
// measurements of the same thing lie apart. What is measured and how: `benches/edge/measure.mjs`.

import './node-version.mjs';

import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';

import {
  buildEnds,
  canMeasure,
  coldStart,
  cores,
  measure,
  pause,
  residentMb,
  send,
  spread,
  startUpstream,
} from '../benches/edge/measure.mjs';
import { readyPeers } from '../benches/edge/peers.mjs';
import { circumstances, judge, tables, writeDocs } from '../benches/edge/report.mjs';
import { EMPTY, FLOOR, FLOOR_AGAIN, MODELS, WAYPOST, direct, otherBuild } from '../benches/edge/systems.mjs';
import { build } from './build.mjs';
import { run } from './child.mjs';
import { parseFlags, wrongUsage } from './flags.mjs';
import { Problem } from './problem.mjs';
import { ROOT, fromCaller } from './project.mjs';
import { say, startJob } from './screen.mjs';
import { setUp } from './setup.mjs';

const ROUNDS = 5;
const COLD_STARTS = 10;
const SOAK = { streams: 64, seconds: 600, events_per_s: 20, growth_mb_max: 20 };
/** Short streams before the long ones, more than trust takes. */
const TRUST = 30;
/** A runtime has warmed up its code after some hundred requests. */
const WARM_UP = { json: 600, stream: 64 };

/** A heap that grew by less in a round of warming up has its size. */
const HEAP = { still_mb: 3, rounds_max: 20 };

/** Requests enough for half a second of CPU time, of which the kernel books hundredths. */
const LOADS = {
  'json-1': { title: 'JSON, 1 connection', model: 'json', connections: 1, requests: 1500 },
  'json-16': { title: 'JSON, 16 connections', model: 'json', connections: 16, requests: 3000 },
  'json-64': { title: 'JSON, 64 connections', model: 'json', connections: 64, requests: 3000 },
  'sse-1': {
    title: 'stream of 100 events without pauses, 1 connection',
    model: 'lf-100x0',
    connections: 1,
    requests: 200,
  },
  'sse-16': {
    title: 'stream of 100 events without pauses, 16 connections',
    model: 'lf-100x0',
    connections: 16,
    requests: 320,
  },
  'sse-64': {
    title: 'stream of 100 events without pauses, 64 connections',
    model: 'lf-100x0',
    connections: 64,
    requests: 320,
  },
  'paced-lf': {
    title: 'stream of 100 events 10 ms apart, 64 connections',
    model: 'lf-100x10',
    connections: 64,
    requests: 128,
  },
  'paced-crlf': {
    title: 'the same with CRLF line ends',
    model: 'crlf-100x10',
    connections: 64,
    requests: 128,
  },
};

const USAGE = `usage: npm run bench -- edge [--rounds N] [--peers] [--loads A,B] [--against FOLDER] [--json FILE] [--write-docs]
       npm run bench -- edge --soak [--seconds N]

Measures CPU time, time to first token, memory and cold start of the built Worker in bare workerd, beside a pass-through
worker. Needs Linux.

  --rounds N     how often each load goes to each system, ${ROUNDS} by default
  --peers        also Portkey's gateway on Node and Noveum's in workerd, which are fetched and built once
  --loads A,B    only these: ${Object.keys(LOADS).join(', ')}
  --against FOLDER   also the build/ folder of another revision
  --json FILE    all figures as JSON
  --write-docs   the tables and the plot of docs/benchmarks.md
  --soak         ${SOAK.streams} streams of ${SOAK.events_per_s} events a second: by how much the memory grows
  --seconds N    how long these streams are, ${SOAK.seconds} by default`;

const FLAGS = {
  rounds: 'N',
  peers: true,
  loads: 'A,B',
  against: 'FOLDER',
  json: 'FILE',
  'write-docs': true,
  soak: true,
  seconds: 'N',
};

export async function benchEdge(args) {
  const { flags, positionals } = parseFlags(args, FLAGS, USAGE);
  if (positionals.length > 0) throw wrongUsage(`unexpected: ${positionals.join(' ')}`, USAGE);
  const options = {
    ...flags,
    args,
    rounds: count(flags.rounds ?? `${ROUNDS}`, 'rounds'),
    seconds: count(flags.seconds ?? `${SOAK.seconds}`, 'seconds'),
    loads: chosenLoads(flags.loads),
  };
  if (!canMeasure()) throw new Problem('CPU time is read from /proc, which only Linux has.');
  const { tools, rustc } = await setUp();
  await build({ tools, rustc });
  await buildEnds();
  const pins = await cores();
  const upstream = await startUpstream(pins.ends);
  try {
    return options.soak
      ? await soak(options, upstream, pins)
      : await compare(options, { tools, upstream, pins });
  } finally {
    await upstream.close();
  }
}

function count(text, name) {
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw wrongUsage(`--${name} expects a number from 1 to 99999, got "${text}"`, USAGE);
  return Number(text);
}

function chosenLoads(text) {
  const names = text?.split(',') ?? Object.keys(LOADS);
  const unknown = names.find((name) => !Object.hasOwn(LOADS, name));
  if (unknown !== undefined) throw wrongUsage(`--loads knows no "${unknown}"`, USAGE);
  return names.map((name) => ({ name, ...LOADS[name] }));
}

async function compare(options, { tools, upstream, pins }) {
  const peers = options.peers ? await readyPeers(tools, upstream, MODELS) : { ready: [], failed: [] };
  for (const { title, reason } of peers.failed) say(`✗ ${title} is left out. ${reason}`);
  const others = options.against === undefined ? [] : [otherBuild(fromCaller(options.against))];
  const systems = [direct(upstream), FLOOR, FLOOR_AGAIN, WAYPOST, ...others, ...peers.ready];
  const load_average = [loadavg()[0]];
  const cold_start_ms = await timed('Cold starts', () =>
    coldStarts([EMPTY, FLOOR, WAYPOST, ...others, ...peers.ready], upstream, pins),
  );
  const measured = await rounds(systems, options, upstream, pins);
  load_average.push(loadavg()[0]);
  const found = {
    date: new Date().toISOString().slice(0, 10),
    command: commandOf(options),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      kernel: release(),
      pinned: pins.text,
      load_average,
    },
    versions: await versions(),
    rounds: options.rounds,
    systems: [EMPTY, ...systems].map(({ name, title }) => ({ name, title })),
    failed: peers.failed,
    cold_start_ms,
    ...measured,
  };
  found.targets = judge(found);
  if (options.json) writeFileSync(fromCaller(options.json), `${JSON.stringify(found, null, 2)}\n`);
  if (options['write-docs']) writeDocs(found);
  say(`\n${circumstances(found)}\n\n${tables(found)}`);
}

/** What someone types to have the same: where figures go, and the folder of another build, are left out. */
function commandOf({ args }) {
  const isLeftOut = (place) =>
    /^--(write-docs|json|against)/.test(args[place]) || ['--json', '--against'].includes(args[place - 1]);
  return ['npm run bench -- edge', ...args.filter((_, place) => !isLeftOut(place))].join(' ');
}

async function coldStarts(systems, upstream, pins) {
  const samples = Object.fromEntries(systems.map(({ name }) => [name, []]));
  for (let turn = 0; turn < COLD_STARTS; turn += 1) {
    for (const system of systems)
      samples[system.name].push(await coldStart(system, { upstream, prefix: pins.system }));
  }
  return Object.fromEntries(Object.entries(samples).map(([name, times]) => [name, spread(times)]));
}

async function rounds(systems, options, upstream, pins) {
  const running = [];
  try {
    for (const system of systems)
      running.push({ name: system.name, ...(await system.start({ upstream, prefix: pins.system })) });
    const sent = await timed('Warming up', () => warmUp(running, pins));
    const samples = [];
    for (let round = 0; round < options.rounds; round += 1) {
      await timed(`Round ${round + 1} of ${options.rounds}`, async () => {
        for (const load of options.loads) {
          for (const system of running) {
            samples.push({
              round,
              load: load.name,
              system: system.name,
              ...(await measure(system, load, pins.ends)),
            });
          }
        }
      });
    }
    const expected = sent + options.rounds * options.loads.reduce((sum, { requests }) => sum + requests, 0);
    return {
      loads: summary(options.loads, systems, samples),
      memory_mb: memory(systems, samples, options.rounds),
      records: await recordsOf(running, expected),
    };
  } finally {
    await Promise.all(running.map((system) => system.close()));
  }
}

/** Returns how many requests each system got. */
async function warmUp(running, pins) {
  for (const system of running) {
    for (const model of MODELS) {
      const requests = model === 'json' ? WARM_UP.json : WARM_UP.stream;
      await send(system, { model, connections: 16, requests }, pins.ends);
    }
  }
  await pause(1000);
  return WARM_UP.json + WARM_UP.stream * (MODELS.length - 1);
}

/**
 * The runtime's heap grows to its working size in the first thousands of requests, whatever they are. What the long
 * streams add is what it grows by after that.
 */
async function fillHeaps(running, pins) {
  let before = 0;
  for (let round = 0; round < HEAP.rounds_max; round += 1) {
    await warmUp(running, pins);
    const now = Math.max(...running.map(({ pid }) => residentMb(pid)));
    if (now - before < HEAP.still_mb) return;
    before = now;
  }
}

/** A record too few would mean that less was done than is said; one too many that something was counted twice. */
async function recordsOf(running, expected) {
  const { records: delivered } = await running.find(({ name }) => name === WAYPOST.name).counts();
  if (delivered !== expected)
    throw new Problem(`Waypost handed ${delivered} records to the queue for ${expected} requests.`);
  return { expected, delivered };
}

function summary(loads, systems, samples) {
  const of = (load, system) => samples.filter((sample) => sample.load === load && sample.system === system);
  /** Round by round: what disturbs one system of a round disturbs the other as well. */
  const ratio = (load, system, other) => {
    const others = of(load, other);
    return spread(of(load, system).map(({ cpu_us }, round) => cpu_us / others[round].cpu_us));
  };
  const one = (load, system) => {
    const own = of(load, system);
    const figures = ['cpu_us', 'per_second', 'p50_ms', 'p99_ms', 'first_token_ms', 'events_per_read'];
    return {
      ...Object.fromEntries(figures.map((figure) => [figure, spread(own.map((sample) => sample[figure]))])),
      cpu_ratio: ratio(load, system, FLOOR.name),
    };
  };
  return Object.fromEntries(
    loads.map((load) => [
      load.name,
      {
        ...load,
        systems: Object.fromEntries(systems.map(({ name }) => [name, one(load.name, name)])),
        waypost_cpu_to: Object.fromEntries(
          systems.map(({ name }) => [name, ratio(load.name, WAYPOST.name, name)]),
        ),
      },
    ]),
  );
}

function memory(systems, samples, roundCount) {
  const last = (name) =>
    samples.filter(({ system, round }) => system === name && round === roundCount - 1).at(-1).rss_mb;
  return Object.fromEntries(systems.map(({ name }) => [name, spread([last(name)])]));
}

async function soak({ seconds }, upstream, pins) {
  const model = `lf-${seconds * SOAK.events_per_s}x${1000 / SOAK.events_per_s}`;
  const running = [];
  try {
    for (const system of [FLOOR, WAYPOST]) {
      running.push({
        ...system,
        ...(await system.start({ upstream, prefix: pins.system, models: [...MODELS, model] })),
      });
    }
    await timed('Warming up until the memory stays', () => fillHeaps(running, pins));
    for (const system of running) await earnTrust(system, model);
    const grown = await timed(`${SOAK.streams} streams of ${seconds} s`, () =>
      watch(running, model, seconds, pins),
    );
    const lines = grown.map(
      ({ title, start, most, end }) =>
        `${title}: ${start.toFixed(1)} MB at the start, ${most.toFixed(1)} MB at most, ${end.toFixed(1)} MB at the end`,
    );
    const ours = grown.at(-1);
    const growth = ours.most - ours.start;
    say(
      `\n${lines.join('\n')}\nWaypost grew by ${growth.toFixed(1)} MB; the target is ${SOAK.growth_mb_max} MB: ${growth <= SOAK.growth_mb_max ? 'met' : 'missed'}`,
    );
  } finally {
    await Promise.all(running.map((system) => system.close()));
  }
}

/** Streams like the long ones, but short: they are relayed only once some were sound. */
async function earnTrust({ address, headers }, model) {
  const body = JSON.stringify({ model, stream: true, is_short: true, messages: [{ role: 'user', content: 'Hi' }] });
  const named = Object.fromEntries(headers.map((header) => header.split(': ')));
  for (let turn = 0; turn < TRUST; turn += 1) {
    const url = `http://${address}/v1/chat/completions`;
    const response = await fetch(url, { method: 'POST', headers: { ...named, 'content-type': 'application/json' }, body });
    await response.text();
    if (!response.ok) throw new Problem(`A short stream ended in ${response.status}.`);
  }
}

/** Resident memory of each system while its streams run: when all have begun, the most, and at the end. */
async function watch(running, model, seconds, pins) {
  const load = { model, connections: SOAK.streams, requests: SOAK.streams };
  const sending = Promise.all(running.map((system) => send(system, load, pins.ends)));
  const until = performance.now() + seconds * 1000;
  await Promise.race([sending, pause(2000)]);
  const seen = running.map((system) => ({
    title: system.title,
    start: residentMb(system.pid),
    most: 0,
    end: 0,
  }));
  while (performance.now() < until) {
    await Promise.race([sending, pause(1000)]);
    running.forEach((system, place) => {
      const now = residentMb(system.pid);
      seen[place] = { ...seen[place], most: Math.max(seen[place].most, now), end: now };
    });
  }
  await sending;
  return seen;
}

async function versions() {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  const rustc = /^rustc (\S+)/.exec((await run('rustc', ['--version'])).output)?.[1];
  return { workerd: lock['node_modules/workerd'].version, node: lock['node_modules/node'].version, rustc };
}

async function timed(title, measureIt) {
  const job = startJob(title);
  try {
    const found = await measureIt();
    job.end('✓');
    return found;
  } catch (error) {
    job.end('✗');
    throw error;
  }
}
