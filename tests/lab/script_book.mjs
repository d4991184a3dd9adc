// The scripts in force, and for each call the one that applies and the fault that is due.
//
// A model finds its script by its exact name, else by the longest key that ends in `*` and is a
// prefix of it, else the default. Counters (`times`, `every`, `after`), the clock of `flap` and the
// dice of `probability` belong to one script and one model, and start afresh when the script is set.
// A script that came in a request's header keeps its own, under the header's text.
// Not here: what a script may say (`script.mjs`) and what a fault does (`strike.mjs`).

import { hash32, seeded } from './random.mjs';
import { parseFault } from './fault.mjs';
import { parseScript, parseScripts, ScriptError } from './script.mjs';

/** How many header scripts, and models of one script, are remembered before all are forgotten. */
const REMEMBERED_MAX = 10_000;
/** What a flapping model does while it is down, if its script names no fault. */
const FLAP_FAULT = parseFault({ kind: 'status', status: 503 }, 'fault', []);

export class ScriptBook {
  #entries = new Map();
  #headers = new Map();
  #fallback;
  #seed;
  #now_ms;

  constructor({ seed, nowMs = () => performance.now() }) {
    this.#seed = seed;
    this.#now_ms = nowMs;
    this.#fallback = this.#entry({}, parseScript({}));
  }

  /** Sets one model's script; null removes it. Throws `ScriptError`. */
  set(model, value) {
    if (value === null) this.#entries.delete(model);
    else this.#entries.set(model, this.#entry(value, parseScript(value)));
  }

  /** Sets all scripts at once, or none of them if one is wrong. Throws `ScriptError`. */
  replace(map) {
    const scripts = parseScripts(map);
    this.#entries = new Map();
    for (const [model, script] of scripts) this.#entries.set(model, this.#entry(map[model], script));
  }

  clear() {
    this.#entries = new Map();
  }

  /** The scripts as they were given, by model. */
  toJSON() {
    return Object.fromEntries([...this.#entries].map(([model, entry]) => [model, entry.given]));
  }

  /** The models that have a script of their own. */
  models() {
    return [...this.#entries.keys()].filter((key) => !key.endsWith('*'));
  }

  /**
   * The entry for one call: `{ script, memo, … }`, to be handed to `dueFault`. `memo` is a Map for
   * whoever wants to remember something as long as the script is in force. Throws `ScriptError`.
   */
  find(model, headerText) {
    if (headerText !== undefined) return this.#fromHeader(headerText);
    const exact = this.#entries.get(model);
    if (exact !== undefined) return exact;
    let longest = null;
    for (const key of this.#entries.keys()) {
      const isMatch = key.endsWith('*') && model.startsWith(key.slice(0, -1));
      if (isMatch && (longest === null || key.length > longest.length)) longest = key;
    }
    return longest === null ? this.#fallback : this.#entries.get(longest);
  }

  /** Counts this call, and returns the fault that hits it, or null. */
  dueFault(entry, model, isStream) {
    const { script } = entry;
    if (script.flap !== null && !this.#isFlapDown(entry)) return null;
    const fault = script.fault ?? (script.flap === null ? null : FLAP_FAULT);
    if (fault === null || (fault.streams_only && !isStream)) return null;
    const tally = this.#tally(entry, model);
    tally.calls += 1;
    const nth = tally.calls - fault.after;
    if (nth < 1 || (fault.times !== null && nth > fault.times) || nth % fault.every !== 0) return null;
    return fault.probability < 1 && tally.dice() >= fault.probability ? null : fault;
  }

  #isFlapDown({ script, set_at_ms }) {
    const { up_ms, down_ms, phase_ms } = script.flap;
    return (this.#now_ms() - set_at_ms + phase_ms) % (up_ms + down_ms) >= up_ms;
  }

  #tally(entry, model) {
    let tally = entry.tallies.get(model);
    if (tally === undefined) {
      if (entry.tallies.size >= REMEMBERED_MAX) entry.tallies.clear();
      tally = { calls: 0, dice: seeded(this.#seed ^ hash32(model)) };
      entry.tallies.set(model, tally);
    }
    return tally;
  }

  #fromHeader(headerText) {
    let entry = this.#headers.get(headerText);
    if (entry === undefined) {
      const given = parseHeader(headerText);
      if (this.#headers.size >= REMEMBERED_MAX) this.#headers.clear();
      entry = this.#entry(given, parseScript(given, 'x-lab-script'));
      this.#headers.set(headerText, entry);
    }
    return entry;
  }

  #entry(given, script) {
    return { given, script, set_at_ms: this.#now_ms(), tallies: new Map(), memo: new Map() };
  }
}

function parseHeader(headerText) {
  try {
    return JSON.parse(decodeHeader(headerText));
  } catch (error) {
    throw new ScriptError([{ path: 'x-lab-script', message: `is not JSON: ${error.message}` }]);
  }
}

/** Node reads header bytes as Latin-1. A client that sends UTF-8, as curl does, means that. */
function decodeHeader(headerText) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(headerText, 'latin1'));
  } catch {
    return headerText;
  }
}
