// A real Prometheus scrapes the running edge under load; promtool judges the text, and every query of the Grafana
// dashboard must return figures.
//
//   node tests/metrics/main.mjs      run by `npm test`
//
// Needs Node 22 and a finished build. Where no Prometheus can be had it ends with exit code 77; in CI that is a failure.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runScript } from '../../scripts/problem.mjs';
import { ROOT } from '../../scripts/project.mjs';
import { ensurePrometheus } from '../../scripts/prometheus.mjs';
import { ADMIN_KEY, startWorld, until } from '../edge/world.mjs';

const CANNOT_RUN_HERE = 77;
const CHAT = '/v1/chat/completions';
/** What stands for Grafana's own variables. */
const RATE_INTERVAL = '10s';
const ROUTES = '.*';
/** Two scrapes with an increase between them, in a window of which the first may be cut off. */
const QUERY_WITHIN = { within_ms: 40_000, every_ms: 500 };
const STARTED_WITHIN = { within_ms: 15_000, every_ms: 100 };

await runScript(async () => {
  try {
    return await test(await ensurePrometheus());
  } catch (error) {
    if (error.exitCode === CANNOT_RUN_HERE && process.env.CI) error.exitCode = 1;
    throw error;
  }
});

async function test({ prometheus, promtool }) {
  const folder = mkdtempSync(join(tmpdir(), 'waypost-metrics-'));
  const world = await startWorld();
  const load = startLoad(world);
  let scraper;
  try {
    await load.routes;
    scraper = await startPrometheus(prometheus, folder, new URL(world.url).host);
    const checks = [
      ['promtool has nothing to say', () => lint(promtool, world)],
      ['a scrape needs a key', () => refusesStrangers(world)],
      ...queries().map(({ title, expr }) => [`${title}: ${expr}`, () => answers(scraper.url, expr)]),
    ];
    const failures = [];
    for (const [name, check] of checks) {
      await check().catch((error) => failures.push(`${name}\n    ${error.message}`));
    }
    for (const failure of failures) console.log(`✗ ${failure}`);
    console.log(`${checks.length - failures.length} passed, ${failures.length} failed`);
    return failures.length > 0 ? 1 : 0;
  } finally {
    await load.stop();
    await scraper?.stop();
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Calls of every kind until it is stopped: answered, failed over, refused; with prices, cached tokens and reasoning. */
function startLoad(world) {
  let isOver = false;
  const script = { cached_tokens: 2, reasoning_tokens: 5, tokens: 20 };
  const prices = { usd_per_mtok: { in: 2, in_cached: 1, out: 8 } };
  const failing = { fault: { kind: 'status', status: 503 } };
  const routes = Promise.all([
    world.route([{ lab: 'first', script, ...prices }]),
    world.route([{ lab: 'first', script: failing }, { lab: 'second', script, ...prices }]),
  ]);
  const run = async () => {
    for (const models of [await routes]) {
      for (let count = 0; !isOver; count += 1) {
        const model = [...models, 'no-such-route'][count % 3];
        const body = { model, stream: count % 2 === 0, messages: [{ role: 'user', content: 'hi' }] };
        await (await world.post(CHAT, body)).text();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  const runs = Promise.all([run(), run()]);
  return {
    routes,
    stop: () => {
      isOver = true;
      return runs;
    },
  };
}

async function startPrometheus(program, folder, target) {
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [{ job_name: 'waypost', authorization: { credentials: ADMIN_KEY }, static_configs: [{ targets: [target] }] }],
  };
  // YAML holds JSON.
  const file = join(folder, 'prometheus.yml');
  writeFileSync(file, JSON.stringify(config));
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const args = [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=${address}`];
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (part) => (said = (said + part).slice(-4000)));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = `http://${address}`;
  const isReady = async () => {
    if (child.exitCode !== null) throw new Error(`Prometheus ended:\n${said}`);
    return fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false);
  };
  await until('Prometheus', isReady, STARTED_WITHIN);
  return {
    url,
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function scrape(world, key = ADMIN_KEY) {
  return world.fetch('/metrics', { headers: { authorization: `Bearer ${key}` } });
}

async function lint(promtool, world) {
  const response = await scrape(world);
  const text = await response.text();
  const child = spawn(promtool, ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (said += part));
  child.stdin.end(text);
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0 || said !== '') throw new Error(`promtool ended with ${code}: ${said}`);
  const type = response.headers.get('content-type');
  if (!type.startsWith('text/plain; version=0.0.4')) throw new Error(`content-type: ${type}`);
}

async function refusesStrangers(world) {
  for (const key of ['wp-demo', 'other']) {
    const { status } = await scrape(world, key);
    if (status !== 401) throw new Error(`${key} got ${status}`);
  }
}

/** Every query of the dashboard, with the title of its panel. */
function queries() {
  const dashboard = JSON.parse(readFileSync(join(ROOT, 'docs', 'grafana', 'waypost.json'), 'utf8'));
  const filled = (expr) => expr.replaceAll('$__rate_interval', RATE_INTERVAL).replaceAll('$route', ROUTES);
  return dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr: filled(expr) })));
}

async function answers(url, expr) {
  let last;
  await until('figures', async () => {
    const response = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query: expr })}`);
    last = await response.json();
    if (last.status !== 'success') throw new Error(JSON.stringify(last));
    return last.data.result.some(({ value: [, value] }) => Number.isFinite(Number(value)));
  }, QUERY_WITHIN).catch((error) => {
    throw new Error(`${error.message}; the last answer was ${JSON.stringify(last).slice(0, 500)}`);
  });
}
