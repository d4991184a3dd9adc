// The plan of a recorded world is the same in wasm under workerd as on the host, and after a restart: to the last bit.
//
// `tests/suite/replay.rs` says what worlds.jsonl and worlds.expected hold, and decides the same lines on the host.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';

import { buildPureWasm, startPure } from '../../scripts/pure-wasm.mjs';

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const worlds = read('worlds.jsonl');
const expected = read('worlds.expected').split('\n');

before(buildPureWasm);

test('workerd decides as the host does', async () => {
  await assertReplays();
});

test('a restarted workerd decides the same', async () => {
  const [once, again] = [await assertReplays(), await assertReplays()];
  assert.notEqual(once, again, 'another process');
});

/** Replays in a runtime of its own, and returns its process id. */
async function assertReplays() {
  const pure = await startPure();
  try {
    // Twice in one isolate: nothing is left behind by the first.
    for (let round = 0; round < 2; round += 1) {
      const told = (await pure.call('replay', {}, worlds)).split('\n');
      assert.deepEqual(told, expected);
    }
    return pure.pid;
  } finally {
    await pure.close();
  }
}
