// `npm run rollback -- NAME`: an entry back to a revision that it had. In-flight streams are not touched.

import './node-version.mjs';

import { CHANGE_FLAGS, CHANGE_USAGE, carryOut, checkChangeFlags, placeFlags, readLive } from './change.mjs';
import { parseFlags, wrongUsage } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { leaveStdoutAlone, say } from './screen.mjs';
import { setUpForConfig } from './setup.mjs';
import { entryNamed, revisionBefore, revisionOf } from './store/names.mjs';
import { WHERE_FLAGS, WHERE_USAGE, openStore } from './store/open.mjs';

const USAGE = `usage: npm run rollback -- NAME [REVISION] [--remote | --local | --url URL] [--preview RECORDS] [--note TEXT] [--yes]

Puts an entry back to the revision before the live one, or to REVISION, of which a unique beginning is enough. NAME is a
route's name, "providers", "flags", or an entry's full KV key. A second rollback without REVISION undoes the first.

${WHERE_USAGE}
${CHANGE_USAGE}`;

await runScript(async () => {
  const { flags, positionals } = parseFlags(process.argv.slice(2), { ...WHERE_FLAGS, ...CHANGE_FLAGS }, USAGE);
  const [name, wanted, ...others] = positionals;
  if (name === undefined || others.length > 0)
    throw wrongUsage(`expected a name and perhaps a revision, got ${positionals.length} words`, USAGE);
  checkChangeFlags(flags, USAGE);
  if (flags.json) leaveStdoutAlone();
  await setUpForConfig();
  const { store, url } = await openStore(flags, USAGE);
  try {
    return await rollback(store, entryNamed(name), wanted, { flags, url });
  } finally {
    store.close();
  }
});

async function rollback(store, entry, wanted, { flags, url }) {
  const live = await readLive(store, [entry]);
  const was = live.has(entry) ? revisionOf(live.get(entry)) : undefined;
  const changes = await store.history(entry);
  const revision = wanted === undefined ? before(entry, changes, was) : named(entry, wanted, changes);
  if (revision === was) {
    say(`${entry} is at ${revision} already.`);
    if (flags.json) console.log(JSON.stringify({ written: [] }));
    return 0;
  }
  const text = await store.revisionText(entry, revision);
  if (text === undefined) throw new Problem(`The text of ${entry} at ${revision} is not kept in ${store.where}.`);
  const change = [{ entry, text, was, revision }];
  const { isWritten, diff } = await carryOut(store, live, change, { flags, url, usage: USAGE, action: 'rollback' });
  if (!isWritten) return 1;
  if (flags.json) console.log(JSON.stringify({ written: [{ entry, revision, was }], diff }));
  say(`\n✓ ${entry} is back at ${revision} in ${store.where}`);
  if (was !== undefined) say(`\nTo undo this:\n\n  npm run rollback -- ${entry.replace(/^route:/, '')} ${was}${placeFlags(flags)}`);
  return 0;
}

function before(entry, changes, live) {
  const revision = revisionBefore(changes, live);
  if (revision !== undefined) return revision;
  throw new Problem(
    changes.length === 0
      ? `There is no history of ${entry}: nothing was pushed over it yet.`
      : `There is no revision of ${entry} before the live one.`,
  );
}

function named(entry, wanted, changes) {
  const known = new Set(changes.flatMap(({ revision, was }) => [revision, was]).filter((one) => one !== undefined));
  const found = [...known].filter((revision) => revision.startsWith(wanted.toLowerCase()));
  if (found.length === 1) return found[0];
  const list = (found.length > 1 ? found : [...known]).map((revision) => `  ${revision}`).join('\n');
  throw new Problem(
    found.length > 1
      ? `${wanted} is the beginning of several revisions of ${entry}:\n\n${list}`
      : `${entry} has no revision ${wanted}. It has:\n\n${list || '  (none)'}`,
  );
}
