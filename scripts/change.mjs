// A change of the configuration, as every command that makes one goes about it: what differs, what it would do to recorded
// traffic, a question, and only then the writing.
//
// The comparison is that of `waypost diff`, on two folders: what is live, and the same with the change. The second has all
// live routes, so that a rule may send requests to one that the change does not touch, and providers that would break one
// are told. Problems that were live before are no reason to refuse.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';

import { run, tail } from './child.mjs';
import { wrongUsage } from './flags.mjs';
import { call } from './http.mjs';
import { Problem } from './problem.mjs';
import { ROOT, fromCaller } from './project.mjs';
import { say } from './screen.mjs';
import { BY_BYTES_MAX, NOTE_BYTES_MAX, revisionOf } from './store/names.mjs';
import { adminKey, parseUrl } from './store/open.mjs';

const PROBLEMS_FOUND = 1;
/** The newest records that the admin API gives at once. */
const RECENT_MAX = 200;

export const CHANGE_FLAGS = { preview: 'RECORDS', 'records-url': 'URL', note: 'TEXT', yes: true, force: true, json: true };

export const CHANGE_USAGE = `  --preview FILE  show what the change would have done to these records (NDJSON), and ask before going on;
                  "recent" are the newest ${RECENT_MAX} of the running Worker
  --records-url URL   the Worker whose records "recent" means, where the above does not tell
  --note TEXT     goes into the history
  --yes           go on without being asked
  --force         go on although there are problems
  --json          print one line of JSON on stdout, and nothing else there`;

/** Throws if the flags of a change cannot be right, before anything is asked of anyone. */
export function checkChangeFlags(flags, usage) {
  if (flags.note !== undefined && Buffer.byteLength(flags.note) > NOTE_BYTES_MAX)
    throw wrongUsage(`--note takes at most ${NOTE_BYTES_MAX} bytes`, usage);
  if (flags.note !== undefined && /\p{Cc}/u.test(flags.note)) throw wrongUsage('--note is one line', usage);
  if (flags.preview !== undefined && flags.preview !== 'recent' && !existsSync(fromCaller(flags.preview)))
    throw new Problem(`There is no file ${fromCaller(flags.preview)} to preview with.`);
  if (flags['records-url'] !== undefined) parseUrl(flags['records-url'], 'records-url', usage);
}

/**
 * The live texts that a change is judged by: those of the entries themselves, the providers, and all routes.
 * Returns a Map from entry to text.
 */
export async function readLive(store, entries) {
  const routes = (await store.list()).filter((entry) => entry.startsWith('route:'));
  return store.read([...new Set([...entries, 'providers', ...routes])]);
}

/** The entries of a Map that differ from what is live, as changes for `store.write`. */
export function changesOf(live, entries) {
  return [...entries]
    .filter(([entry, text]) => live.get(entry) !== text)
    .map(([entry, text]) => ({ entry, text, was: live.has(entry) ? revisionOf(live.get(entry)) : undefined }));
}

/**
 * Shows the difference, and the preview if there is one. Returns `{ hasProblems, diff }`, where `diff` is that of
 * `waypost diff --json`, if the flags ask for JSON.
 */
export async function showDifference(live, changes, { flags = {}, url, usage } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'waypost-change-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    const next = new Map(live);
    for (const { entry, text } of changes) {
      if (text === null) next.delete(entry);
      else next.set(entry, text);
    }
    writeFolder(join(folder, 'live'), live);
    writeFolder(join(folder, 'new'), next);
    const records = await recordsFile(folder, flags, url, usage);
    const args = ['diff', 'live', 'new', ...(records === undefined ? [] : ['--records', records])];
    const shown = await waypost(args, folder);
    say(shown.stdout.trimEnd());
    const hasProblems = shown.code === PROBLEMS_FOUND;
    if (!flags.json) return { hasProblems };
    return { hasProblems, diff: JSON.parse((await waypost([...args, '--json'], folder)).stdout) };
  } finally {
    remove();
    process.off('exit', remove);
  }
}

/** Writes the changes, once nothing speaks against it. Returns whether it did. */
export async function carryOut(store, live, changes, { flags, url, usage, action }) {
  const { hasProblems, diff } = await showDifference(live, changes, { flags, url, usage });
  if (hasProblems && !flags.force) {
    throw new Problem('Nothing was written: the problems above are new. Put them right, or go on anyway with --force.');
  }
  if (flags.preview !== undefined && !flags.yes && !(await isWanted(flags))) return { isWritten: false, diff };
  await store.write(changes, { action, note: flags.note, by: person() });
  return { isWritten: true, diff };
}

/** The flags of the place, as they are typed again in another command. */
export function placeFlags(flags) {
  if (flags.url !== undefined) return ` --url ${flags.url}`;
  if (flags.local) return ` --local${flags.persist === undefined ? '' : ` --persist ${flags.persist}`}`;
  return '';
}

async function isWanted({ json }) {
  if (!process.stdin.isTTY || json) {
    throw new Problem('Nothing was written: a preview asks before going on, and there is nobody to ask. Add --yes to go on.');
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question('\nGo on? [y/N] ').finally(() => lines.close());
  if (/^y(es)?$/i.test(answer.trim())) return true;
  say('Nothing was written.');
  return false;
}

function person() {
  const name = process.env.WAYPOST_BY ?? userInfo().username;
  return Buffer.byteLength(name) <= BY_BYTES_MAX && !/\p{Cc}/u.test(name) ? name : undefined;
}

async function waypost(args, cwd) {
  const manifest = join(ROOT, 'Cargo.toml');
  const command = ['run', '--quiet', '--manifest-path', manifest, '--bin', 'waypost', '--', ...args];
  const { code, output, stdout } = await run('cargo', command, { cwd });
  if (code === 0 || (code === PROBLEMS_FOUND && stdout !== '')) return { code, stdout };
  throw new Problem(`"waypost ${args.join(' ')}" did not run (exit code ${code}):`, { details: tail(output) });
}

async function recordsFile(folder, flags, url, usage) {
  if (flags.preview === undefined) return undefined;
  if (flags.preview !== 'recent') return fromCaller(flags.preview);
  const from = flags['records-url'] === undefined ? url : parseUrl(flags['records-url'], 'records-url', usage);
  if (from === undefined) {
    throw new Problem('No running Worker is known whose records to preview with. Name it: --records-url URL');
  }
  const answer = await call(`${from}/admin/api/records?limit=${RECENT_MAX}`, {
    what: 'The records',
    headers: { authorization: `Bearer ${adminKey(from)}` },
  });
  if (answer.status !== 200) throw new Problem(`${from} gave no records (status ${answer.status}):`, { details: tail(answer.text) });
  const path = join(folder, 'records.ndjson');
  writeFileSync(path, answer.text, { mode: 0o600 });
  return path;
}

/** Entries as a config folder. A route's name that is no safe path is left out: nobody made it with a folder. */
function writeFolder(folder, entries) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const put = (path, text) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text, { mode: 0o600 });
  };
  const keys = [];
  for (const [entry, text] of entries) {
    if (entry === 'providers' || entry === 'flags') put(`${entry}.json`, text);
    else if (entry.startsWith('key:')) keys.push(`${JSON.stringify(`sha256:${entry.slice('key:'.length)}`)}: ${text}`);
    else if (isSafe(entry.slice('route:'.length))) put(join('routes', `${entry.slice('route:'.length)}.json`), text);
  }
  if (keys.length > 0) put('keys.json', `{${keys.join(',\n')}}`);
}

function isSafe(name) {
  return name.split('/').every((part) => part !== '' && !part.startsWith('.') && !/[\\:\p{Cc}]/u.test(part));
}
