// The KV of `npm start` on this machine, also while it runs.
//
// KV's files belong to workerd, so a child under Node 22 opens them with Miniflare and does what it is told; a running
// edge sees the change at its next read.

import { fork } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Problem } from '../problem.mjs';
import { ROOT, node22 } from '../project.mjs';
import { findRunning } from '../state-lock.mjs';

const CHILD = fileURLToPath(new URL('./local-kv.mjs', import.meta.url));

/** The state folder that `npm start` and wrangler share, and those of further starts. */
function states() {
  const folder = join(ROOT, '.wrangler');
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => /^state(-\d+)?$/.test(name)) : [];
  return ['state', ...names.filter((name) => name !== 'state').sort()].map((name) => join(folder, name, 'v3'));
}

/** `{ persist, url }` of the state that is meant: the one that was named, the running one, or wrangler's own. */
export async function findState(persist) {
  if (persist !== undefined) return { persist, url: (await findRunning(persist))?.url };
  const found = await Promise.all(
    states().map(async (folder) => ({ persist: folder, url: (await findRunning(folder))?.url })),
  );
  const running = found.filter(({ url }) => url !== undefined);
  if (running.length > 1) {
    const list = running.map(({ persist: folder, url }) => `  ${url}  --persist ${folder}`).join('\n');
    throw new Problem(`Several "npm start" run on this machine. Say which one:\n\n${list}`);
  }
  return running[0] ?? found[0];
}

/** The child starts with the first question: by then what it needs has been set up. */
export function localKv(persist) {
  let child;
  const ask = (method, ...args) => {
    child ??= startChild(persist);
    return child.ask(method, ...args);
  };
  return {
    read: async (keys) => new Map(await ask('read', keys)),
    write: (pairs) => ask('write', pairs),
    list: (prefix, limit) => ask('list', prefix, limit),
    close: () => child?.end(),
  };
}

function startChild(persist) {
  const child = fork(CHILD, [persist], { cwd: ROOT, execPath: node22(), execArgv: [], stdio: ['ignore', 2, 2, 'ipc'] });
  const waiting = new Map();
  let count = 0;
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Problem(`The KV in ${persist} could not be used: ${error}`));
  });
  child.on('exit', (code) => {
    const problem = new Problem(`The KV in ${persist} could not be opened (exit code ${code}).`);
    for (const { reject } of waiting.values()) reject(problem);
    waiting.clear();
  });
  return {
    ask: (method, ...args) =>
      new Promise((resolve, reject) => {
        if (!child.connected) return reject(new Problem(`The KV in ${persist} could not be opened.`));
        count += 1;
        waiting.set(count, { resolve, reject });
        return child.send({ id: count, method, args });
      }),
    end: () => child.connected && child.disconnect(),
  };
}
