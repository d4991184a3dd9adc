// `npm start`: from a fresh clone to a running edge on this machine, with one command.
//
// Sets up and builds what is missing, then forks `serve.mjs` under Node 22 and shows where to go. Ctrl-C,
// SIGTERM and the end of the process that started us stop everything; what is stopped that way ends with 0.
// Plain Node 20 and no package runs this file: node_modules may not exist yet.

import './node-version.mjs';

import { fork } from 'node:child_process';
import { join } from 'node:path';

import { build } from './build.mjs';
import { checkFolder } from './check.mjs';
import { endGroup } from './child.mjs';
import { readConfigFolder } from './config-folder.mjs';
import { parseFlags, parsePort, wrongUsage } from './flags.mjs';
import { isPortFree } from './labs.mjs';
import { Problem, runScript } from './problem.mjs';
import { IS_WINDOWS, ROOT, fromCaller, node22 } from './project.mjs';
import { leaveStdoutAlone, say } from './screen.mjs';
import { setUp } from './setup.mjs';
import { findRunning } from './state-lock.mjs';

const PORT = 8787;
const PERSIST = join(ROOT, '.wrangler', 'state', 'v3');
const KEY = 'wp-demo';
const ADMIN_KEY = 'wp-admin';

// Nobody tells a process that its parent was killed, but it gets another one. The parent is npm, not a shell
// between, thanks to the `exec` in package.json, which also lets npm's signals through to us.
const PARENT = process.ppid;

const STOPPED_WITHIN_MS = 6000;
const PARENT_LOOK_MS = 500;

const USAGE = `usage: npm start [-- --config DIR] [--port N]

Starts Waypost on this machine. Without --config it also starts two lab providers and loads example/,
so that the first call needs no account and no API key.

  --config DIR    load DIR (providers.json, routes/, flags.json, keys.json) instead of example/
  --port N        listen on 127.0.0.1:N (${PORT}; 0 takes any free port)
  --persist DIR   keep KV, D1 and R2 in DIR (.wrangler/state/v3, which "wrangler … --local" uses too;
                  where another start uses that, one of the port's own)
  --force         start even if "waypost check" finds problems
  --json          print one line of JSON on stdout when ready, and nothing else there
  --help          show this

Provider secrets come from .dev.vars or the environment.`;

await runScript(async () => {
  const options = parseOptions();
  if (options.json) leaveStdoutAlone();
  // First what needs no set-up to be told, as that may take minutes.
  options.persist ??= await chooseState(options);
  await requireFree(options);
  await readConfigFolder(options.folder);
  await build(await setUp());
  await checkFolder(options.folder, options);
  return serve(options);
});

function parseOptions() {
  const spec = { config: 'DIR', port: 'N', persist: 'DIR', force: true, json: true };
  const { flags, positionals } = parseFlags(process.argv.slice(2), spec, USAGE);
  if (positionals.length > 0)
    throw wrongUsage(`unexpected "${positionals[0]}"; a config folder goes after --config`, USAGE);
  return {
    ...flags,
    withLabs: flags.config === undefined,
    folder: flags.config === undefined ? join(ROOT, 'example') : fromCaller(flags.config),
    port: parsePort(flags.port ?? `${PORT}`, USAGE),
    persist: flags.persist === undefined ? undefined : fromCaller(flags.persist),
  };
}

/** The state that wrangler uses too, unless another start does; then one of this port's own. */
async function chooseState({ port }) {
  const running = await findRunning(PERSIST);
  if (running === undefined) return PERSIST;
  const own = join('.wrangler', `state-${port === 0 ? process.pid : port}`);
  say(
    `Another "npm start" (process ${running.pid}, ${running.url}) uses .wrangler/state, so this one keeps its state in ${own}.\n` +
      `For wrangler, add --persist-to ${own} to reach it.`,
  );
  return join(ROOT, own, 'v3');
}

async function requireFree({ port, persist }) {
  const running = await findRunning(persist);
  if (running !== undefined) {
    throw new Problem(
      `Another "npm start" (process ${running.pid}, ${running.url}) uses the state in ${persist}. ` +
        'Stop it, or give this one its own state: npm start -- --port 8788 --persist .wrangler/second',
    );
  }
  if (port !== 0 && !(await isPortFree(port))) {
    throw new Problem(
      `Port ${port} on 127.0.0.1 is busy. Stop what listens there, or choose another: npm start -- --port ${port + 1}`,
    );
  }
}

/** Runs until told to stop, and returns the exit code. */
function serve(options) {
  const child = fork(join(ROOT, 'scripts', 'serve.mjs'), [JSON.stringify(options)], {
    cwd: ROOT,
    execPath: node22(),
    execArgv: [],
    // A process group of its own: Ctrl-C reaches us alone, and at the end we can end all of it.
    detached: !IS_WINDOWS,
    stdio: ['ignore', 2, 2, 'ipc'],
  });
  return new Promise((resolve) => {
    let isStopping = false;
    const stop = () => {
      if (isStopping) return;
      isStopping = true;
      if (child.connected) child.disconnect();
      setTimeout(() => endGroup(child, 'SIGKILL'), STOPPED_WITHIN_MS).unref();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
    setInterval(() => process.ppid !== PARENT && stop(), PARENT_LOOK_MS).unref();
    child.on('message', (ready) => (options.json ? printJson(ready) : printReady(ready, options)));
    child.on('exit', (code) => {
      endGroup(child, 'SIGKILL');
      if (!isStopping && code === null) console.error('\nThe edge was killed from outside.');
      resolve(isStopping ? 0 : code || 1);
    });
  });
}

function printJson({ url, labs }) {
  console.log(JSON.stringify({ url, key: KEY, admin_key: ADMIN_KEY, pid: process.pid, providers: labs }));
}

function printReady({ url, labs, routes }, { withLabs }) {
  const model = withLabs ? 'demo' : (routes[0] ?? 'auto');
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Say hello.' }] });
  say(`
Waypost is ready at ${url}

  demo key    ${KEY}
  admin key   ${ADMIN_KEY}
  routes      ${routes.join(', ') || '(none)'}${labs.map((lab) => `\n  lab         ${lab.name}, a scripted provider at ${lab.url}`).join('')}

Try it:

curl -N ${url}/v1/chat/completions -H 'authorization: Bearer ${KEY}' -H 'content-type: application/json' -d ${shellQuoted(body)}

Every call leaves a record; the latest:

curl -s ${url}/admin/api/records -H 'authorization: Bearer ${ADMIN_KEY}'

Ctrl-C stops everything.
`);
}

function shellQuoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
