// Entries in a KV, with their revisions and history.
//
// A `kv` has three functions, and the files beside this one are implementations of it:
//
//   read(keys)              a Map from key to text, without those that are not there
//   write(pairs)            [{ key, value, metadata? }]; a value of null deletes
//   list(prefix, limit?)    [{ name, metadata }] in ascending order
//
// A store has `where` (for people), `list`, `read`, `history`, `revisionText` and `write`; `admin.mjs` is the other
// one. KV has no transaction: before writing, the live revisions are compared with those that the change was made
// from, and a second push within the moment between is not seen. The admin API is exact within one isolate.

import { Problem } from '../problem.mjs';
import {
  HISTORY_MAX,
  PREFIXES,
  SINGLES,
  historyKey,
  historyPrefix,
  isHistoryKey,
  revisionKey,
  revisionOf,
} from './names.mjs';

export function entryStore(kv, where) {
  return {
    where,
    close: () => kv.close?.(),
    read: (entries) => kv.read(entries),

    /** The names of all entries that people change. */
    async list() {
      const lists = await Promise.all(PREFIXES.map((prefix) => kv.list(prefix)));
      const singles = await kv.read(SINGLES);
      return [...singles.keys(), ...lists.flat().map(({ name }) => name)];
    },

    /** The newest changes, the newest first. */
    async history(entry) {
      const keys = await kv.list(historyPrefix(entry), HISTORY_MAX);
      return keys
        .filter(({ name }) => isHistoryKey(entry, name))
        .slice(0, HISTORY_MAX)
        .map(({ metadata }) => metadata)
        .filter((change) => typeof change === 'object' && change !== null);
    },

    async revisionText(entry, revision) {
      const key = revisionKey(entry, revision);
      return (await kv.read([key])).get(key);
    },

    /**
     * Writes `[{ entry, text, was }]`, where a text of null deletes and `was` is the revision that the change was made
     * from, nothing for a new entry. Revisions and history come first, so that no entry ever lacks them.
     */
    async write(changes, { action, note, by }) {
      const live = await kv.read(changes.map(({ entry }) => entry));
      requireUnmoved(changes, live);
      const kept = await kv.read(
        changes.filter(({ was }) => was !== undefined).map(({ entry, was }) => revisionKey(entry, was)),
      );
      const at = Date.now();
      const before = [];
      for (const { entry, text, was } of changes) {
        if (was !== undefined && !kept.has(revisionKey(entry, was))) {
          before.push({ key: revisionKey(entry, was), value: live.get(entry) });
          before.push(historyPair(entry, { revision: was, at: at - 1, action: 'found' }));
        }
        const revision = text === null ? undefined : revisionOf(text);
        if (revision !== undefined) before.push({ key: revisionKey(entry, revision), value: text });
        before.push(historyPair(entry, { revision, was, at, by, note, action }));
      }
      await kv.write(before);
      await kv.write(changes.map(({ entry, text }) => ({ key: entry, value: text })));
    },
  };
}

function historyPair(entry, change) {
  const value = JSON.stringify(change);
  return { key: historyKey(entry, change.at), value, metadata: JSON.parse(value) };
}

function requireUnmoved(changes, live) {
  const moved = changes.filter(({ entry, was }) => {
    const text = live.get(entry);
    return (text === undefined ? undefined : revisionOf(text)) !== was;
  });
  if (moved.length > 0) throw movedProblem(moved.map(({ entry }) => entry));
}

export function movedProblem(entries) {
  return new Problem(
    `Somebody changed ${entries.join(', ')} since you were shown the difference, so nothing of that was overwritten. ` +
      'Run the same command again to see what differs now.',
  );
}
