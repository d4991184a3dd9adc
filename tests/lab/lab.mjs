// A lab: one provider on loopback that speaks six dialects and misbehaves as scripted.
//
// `startLab` resolves when both of its servers listen: the provider, and the control server beside it
// that survives `down`. Real sockets and real bytes, because what a router gets wrong is on the wire:
// resets, cuts inside a character, silence. Labs share nothing; start as many as there are providers.
// Not here: the command line (`main.mjs`). README.md has the scripts and faults.

import { CallLog } from './call_log.mjs';
import { controlServer } from './control.mjs';
import { Listener } from './listener.mjs';
import { Provider } from './provider.mjs';
import { ScriptBook } from './script_book.mjs';

export { ScriptError } from './script.mjs';

/**
 * Starts a lab. `script` is a map from model to script, `seed` drives everything that looks random.
 * Rejects with a `ScriptError`, or with the system's own error where a port cannot be had.
 */
export async function startLab({
  name = 'lab',
  port = 0,
  controlPort = 0,
  host = '127.0.0.1',
  script = {},
  seed = 1,
} = {}) {
  const book = new ScriptBook({ seed });
  book.replace(script);
  const log = new CallLog();
  const provider = new Provider({ name, seed, book, log, isDown: () => !listener.isUp });
  const listener = new Listener({ host, port, serve: (req, res) => provider.serve(req, res) });

  const status = () => ({ name, url: listener.url, is_up: listener.isUp });
  const calls = (since) => log.list(since);
  const clearCalls = () => log.clear();
  const down = () => listener.down();
  const up = () => listener.up();
  const serve = controlServer({ book, calls, clearCalls, down, up, status });
  const control = new Listener({ host, port: controlPort, serve });

  await listener.up();
  try {
    await control.up();
  } catch (error) {
    await listener.down();
    throw error;
  }

  return {
    name,
    url: listener.url,
    port: listener.port,
    controlUrl: control.url,
    /** Sets one model's script (null removes it). Throws `ScriptError`, and then changes nothing. */
    setScript: (model, value) => book.set(model, value),
    clearScripts: () => book.clear(),
    /** The calls so far (after number `since`), oldest first. */
    calls,
    clearCalls,
    /** Refuses connections and destroys those there are, until `up`. */
    down,
    up,
    async close() {
      await Promise.all([listener.down(), control.down()]);
    },
  };
}
