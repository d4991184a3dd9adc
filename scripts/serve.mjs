// The inner process of `npm start`, under Node 22: lab providers, the edge, the config in its KV.
//
// `start.mjs` forks it with one JSON argument and gets one message when all is ready. When that process
// ends, in whatever way, the channel between them closes, and this one stops all it started.
// Its stdout is for nobody; what the Worker writes to its console goes to stderr.

import { rmSync, writeFileSync, mkdirSync } from 'node:fs';

import { loadInto, readConfigFolder, withMovedOrigins } from './config-folder.mjs';
import { devVars, startEdge } from './edge.mjs';
import { startLabs } from './labs.mjs';
import { Problem } from './problem.mjs';
import { lockPath } from './state-lock.mjs';

const HEALTHY_WITHIN_MS = 15_000;
const STOPPED_WITHIN_MS = 4000;

/** Besides the names that the providers give: the names that API keys usually have. */
const SECRET_NAME = /_(API_)?KEY(_[A-Z0-9]+)?$|_TOKEN$|_SECRET$/;

const options = JSON.parse(process.argv[2]);
const cleanups = [];

process.on('disconnect', () => stop(0));
process.on('SIGTERM', () => stop(0));
process.on('SIGINT', () => stop(0));

try {
  process.send(await start());
} catch (error) {
  const isPortBusy = /address already in use/i.test(error.message);
  const problem = isPortBusy
    ? new Problem(`Port ${options.port} is busy. Choose another with --port N.`)
    : error;
  console.error(problem instanceof Problem ? `\n${problem}` : problem);
  await stop(1);
}

/** Returns what the outer process shows: `{ url, labs, routes }`. */
async function start() {
  const config = await readConfigFolder(options.folder);
  const {
    labs,
    moves,
    stop: stopLabs,
  } = options.withLabs ? await startLabs() : { labs: [], moves: {}, stop() {} };
  cleanups.push(stopLabs);
  const edge = await startEdge({
    persist: options.persist,
    port: options.port,
    bindings: { ...(await secrets(config.secrets)), WAYPOST_LOCAL: '1', REFRESH_MS: '1000' },
    log: (level, message) => console.error(`[worker ${level}] ${message}`),
  });
  cleanups.push(() => edge.close());
  lockState(edge.url);
  await loadInto(await edge.mf.getKVNamespace('KV'), withMovedOrigins(config.entries, moves));
  await untilHealthy(edge.url);
  return { url: edge.url, labs, routes: config.routes };
}

/** The environment wins over .dev.vars, so that one run can be given another key. */
async function secrets(named) {
  const environment = Object.entries(process.env).filter(
    ([name]) => named.has(name) || SECRET_NAME.test(name),
  );
  return { ...(await devVars()), ...Object.fromEntries(environment) };
}

function lockState(url) {
  const path = lockPath(options.persist);
  mkdirSync(options.persist, { recursive: true });
  writeFileSync(path, JSON.stringify({ pid: process.ppid, url }));
  cleanups.push(() => rmSync(path, { force: true }));
}

async function untilHealthy(url) {
  const untilMs = Date.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    const answer = await fetch(`${url}/healthz`).then(
      async (response) => ({
        isOk: response.status === 200,
        text: `${response.status} ${await response.text()}`,
      }),
      (error) => ({ isOk: false, text: error.message }),
    );
    if (answer.isOk) return;
    if (Date.now() > untilMs)
      throw new Problem('The Worker runs but is not healthy. GET /healthz answers:', {
        details: answer.text,
      });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function stop(exitCode) {
  setTimeout(() => process.exit(exitCode), STOPPED_WITHIN_MS).unref();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  process.exit(exitCode);
}
