// The lab providers that `npm start` runs when it was given no config: two scripted LLM providers on this
// machine, so that the first call works with no account, no key and no network.
//
// What a lab can do is tests/lab/'s business. Here it is a child that prints one line of JSON when it
// listens and ends when its stdin closes, so it cannot outlive us.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Problem } from './problem.mjs';
import { ROOT } from './project.mjs';

/** The ports that example/providers.json names. A busy one is replaced, and the base URL with it. */
const LABS = [
  { name: 'quick', port: 9101 },
  { name: 'careful', port: 9102 },
];

const LISTENING_WITHIN_MS = 10_000;

/**
 * Returns `{ labs, moves, stop }`: each lab's own `{ name, url, control_url, pid }`, and a map from the
 * origin that the example config names to the one where the lab really is.
 */
export async function startLabs() {
  const children = [];
  const stop = () => Promise.all(children.map(end));
  try {
    const labs = await Promise.all(LABS.map((lab) => startLab(lab, children)));
    const moves = Object.fromEntries(
      LABS.map(({ port }, i) => [`http://127.0.0.1:${port}`, new URL(labs[i].url).origin]),
    );
    return { labs, moves, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export function isPortFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)));
  });
}

async function startLab({ name, port }, children) {
  const script = join(ROOT, 'example', 'lab', `${name}.json`);
  const child = spawn(
    process.execPath,
    [
      join(ROOT, 'tests', 'lab', 'main.mjs'),
      ...['--name', name],
      ...['--port', (await isPortFree(port)) ? `${port}` : '0'],
      ...['--script', script],
      '--stdin-guard',
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  children.push(child);
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([
    once(lines, 'line').then(([text]) => text),
    once(child, 'exit').then(() => undefined),
    once(child, 'error').then(() => undefined),
    new Promise((resolve) => setTimeout(resolve, LISTENING_WITHIN_MS).unref()),
  ]);
  if (line === undefined)
    throw new Problem(`The lab provider "${name}" did not start (tests/lab/main.mjs with ${script}).`);
  return JSON.parse(line);
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.stdin.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), 1000);
  await gone;
  clearTimeout(timer);
}
