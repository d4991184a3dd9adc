// A driver in Python: one child, a line of JSON for each job and one for how it ended.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { takeAlong } from '../../scripts/child.mjs';

const FOLDER = join(import.meta.dirname, 'python');

/** Starts `python` on a module of `python/`. Returns `{ run, close }`; `run` rejects once the child has ended. */
export function pythonDriver(python, module) {
  const child = spawn(python, [join(FOLDER, 'drive.py'), module], {
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said = (said + text).slice(-4000);
  });
  // A write to a child that has ended is told by its end.
  child.stdin.on('error', () => {});
  const ended = once(child, 'close').finally(takeAlong(child));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run(client, op, call) {
      child.stdin.write(`${JSON.stringify({ client, op, call })}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`${module} ended: ${said.trimEnd().split('\n').at(-1)}`);
      return JSON.parse(value);
    },
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}
