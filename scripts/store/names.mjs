// How revisions and the history of entries are named in KV, and what is kept there.
//
//   revision:<entry>@<revision>   the entry's text, byte for byte
//   history:<entry>@<place>       { revision, was, at, by, note, action }, in the metadata as well
//
// The Worker's admin API writes the same (src/config/revisions.rs says why it is so). Tests hold both to it.

import { createHash } from 'node:crypto';

/** Changes of one entry that are told. Older ones stay in KV. */
export const HISTORY_MAX = 200;
/** KV's metadata has at most 1,024 bytes. */
export const NOTE_BYTES_MAX = 256;
export const BY_BYTES_MAX = 64;

const PLACE_MAX = 999_999_999_999_999;
const PLACE_DIGITS = 15;

/** Every entry that people change, as KV prefixes and names. */
export const PREFIXES = ['route:', 'key:'];
export const SINGLES = ['providers', 'flags'];

/** A name for the content: the first 16 hexadecimal digits of its SHA-256. */
export function revisionOf(text) {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

export function revisionKey(entry, revision) {
  return `revision:${entry}@${revision}`;
}

/** The newest change comes first: KV lists in ascending order, so the place counts down. */
export function historyKey(entry, atMs) {
  return `${historyPrefix(entry)}${String(PLACE_MAX - atMs).padStart(PLACE_DIGITS, '0')}`;
}

export function historyPrefix(entry) {
  return `history:${entry}@`;
}

/** Whether a key with that prefix is this entry's: the route `chat@2` shares the prefix of `chat`. */
export function isHistoryKey(entry, key) {
  return /^\d{15}$/.test(key.slice(historyPrefix(entry).length));
}

/** `chat` is the route of that name; `providers`, `flags` and full KV keys are themselves. */
export function entryNamed(name) {
  return SINGLES.includes(name) || /^(route:.|key:[0-9a-f]{64}$)/.test(name) ? name : `route:${name}`;
}

/** The revision before the live one, by a history with the newest change first; nothing where there is none. */
export function revisionBefore(changes, live) {
  const change = changes.find(({ revision }) => revision === live);
  if (change !== undefined) return change.was;
  return changes.find(({ revision }) => revision !== undefined)?.revision;
}
