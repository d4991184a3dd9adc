// What a whole request costs the built Worker in CPU time: bare workerd, 16 connections, a local upstream.
//
// KV and the queue are a map and a function inside the Worker, so their cost is left out; everything else is as
// deployed. The upstream and the load are in this process, whose CPU time does not count.

import { Agent, createServer, request } from 'node:http';
import { readFileSync, readdirSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';

import { run } from './child.mjs';
import { ROOT } from './project.mjs';
import { startWorkerd } from './workerd.mjs';

const BUILD = join(ROOT, 'build');
const CONNECTIONS = 16;
/** A kilobyte each way. */
const FILLER = 'x'.repeat(800);
const ANSWER = JSON.stringify({
  id: 'a',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: FILLER }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 200, completion_tokens: 200, total_tokens: 400 },
});

/** The same rules as in benches/src/work.rs. */
const RULES = [
  { when: { tags: 'gold' }, prefer: { quality: 6 } },
  { when: { country: ['DE', 'FR'] }, require: { region: 'eu' } },
  { when: { topic: 'code', difficulty: { gt: 0.6 } }, avoid: ['t1'] },
  { when: { any: [{ model: { prefix: 'team/' } }, { headers: { 'x-tier': { not: 'free' } } }] }, deadlines: { idle_ms: 9000 } },
  { when: { prompt_tokens: { gt: 100000 } }, only: ['t0', 't2'] },
];

/** For each number of targets: `{ targets, cpu_us, per_second }`. Empty where there is no /proc. */
export async function costOfRequests(count, targetCounts) {
  if (process.platform !== 'linux') return [];
  const ticks_per_s = Number((await run('getconf', ['CLK_TCK'])).output);
  const upstream = createServer((asked, answer) => {
    asked.resume().on('end', () => {
      answer.writeHead(200, { 'content-type': 'application/json' });
      answer.end(ANSWER);
    });
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const base_url = `http://127.0.0.1:${upstream.address().port}/v1`;
  const found = [];
  try {
    for (const targets of targetCounts) {
      const worker = await startWorkerd(modules(base_url, targets));
      try {
        await send(worker.url, Math.ceil(count / 5));
        const [before_ticks, before_ms] = [cpuTicks(worker.pid), performance.now()];
        await send(worker.url, count);
        const ticks = cpuTicks(worker.pid) - before_ticks;
        const per_second = (count * 1000) / (performance.now() - before_ms);
        found.push({ targets, cpu_us: (ticks * 1e6) / ticks_per_s / count, per_second });
      } finally {
        await worker.close();
      }
    }
  } finally {
    upstream.closeAllConnections();
    upstream.close();
  }
  return found;
}

/** The built Worker behind a module that gives it a KV of two entries and a queue that forgets. */
function modules(base_url, targets) {
  const target = (_, place) => ({
    id: `t${place}`,
    provider: 'local',
    model: `m${place}`,
    region: ['eu', 'us', 'asia'][place % 3],
    usd_per_mtok: { in: 0.1 + place * 0.05, out: 0.4 + place * 0.2 },
  });
  const entries = {
    providers: { providers: { local: { dialect: 'openai-chat', base_url, auth: 'none' } } },
    'route:bench': {
      targets: Array.from({ length: targets }, target),
      prefer: { price: 1, ttft: 0.5, speed: 0.5, quality: 4, reliability: 2 },
      temperature: 0.2,
      rules: RULES,
    },
  };
  const texts = Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, JSON.stringify(entry)]));
  const wasm = readdirSync(BUILD).filter((name) => name.endsWith('.wasm'));
  return {
    'main.mjs': `
import Worker from './index.js';
const texts = new Map(Object.entries(${JSON.stringify(texts)}));
const KV = {
  get: async (names) => new Map([...names].map((name) => [name, texts.get(name) ?? null])),
  put: async () => {},
  list: async () => ({ keys: [...texts.keys()].map((name) => ({ name })), list_complete: true }),
};
const env = { KV, RECORDS: { send: async () => {} }, WAYPOST_LOCAL: '1' };
export default { fetch: (request, _, context) => new Worker(context, env).fetch(request) };
`,
    'index.js': { path: join(BUILD, 'index.js') },
    ...Object.fromEntries(wasm.map((name) => [name, { path: join(BUILD, name) }])),
  };
}

/** User and system time of a process, in ticks (proc(5), fields 14 and 15; the name in field 2 may hold spaces). */
function cpuTicks(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

async function send(url, count) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const body = JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: FILLER }] });
  const headers = { authorization: 'Bearer wp-demo', 'content-type': 'application/json', 'content-length': body.length };
  let left = count;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      await ask(url, { agent, method: 'POST', headers }, body);
    }
  };
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, caller));
  } finally {
    agent.destroy();
  }
}

function ask(url, options, body) {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/v1/chat/completions`, options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece) => (text += piece)).on('error', reject);
      answer.on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}: ${text}`))));
    });
    sent.on('error', reject).end(body);
  });
}
