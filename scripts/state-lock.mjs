// Tells whether another `npm start` uses the same state.
//
// Two would share one KV: the second moves the lab providers' base URLs to its own labs, and takes them
// along when it stops. A lock of a process that was killed counts for nothing: its URL no longer answers.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ANSWER_MS = 2000;

export function lockPath(persist) {
  return join(persist, 'waypost-running.json');
}

/** `{ pid, url }` of the edge that runs on this state, or nothing. */
export async function findRunning(persist) {
  if (!existsSync(lockPath(persist))) return undefined;
  try {
    const lock = JSON.parse(readFileSync(lockPath(persist), 'utf8'));
    await fetch(`${lock.url}/healthz`, { signal: AbortSignal.timeout(ANSWER_MS) });
    process.kill(lock.pid, 0);
    return lock;
  } catch {
    return undefined;
  }
}
