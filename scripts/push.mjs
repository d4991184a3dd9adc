// `npm run push -- DIR`: a config folder into KV, live everywhere within about a minute, with no deploy.
//
// Only adds and replaces: a namespace is shared by teams that each push a folder of their own, so what this folder lacks is
// not deleted. Every revision that was live is kept, and `npm run rollback` goes back to it.

import './node-version.mjs';

import {
  CHANGE_FLAGS,
  CHANGE_USAGE,
  carryOut,
  changesOf,
  checkChangeFlags,
  placeFlags,
  readLive,
} from './change.mjs';
import { readConfigFolder } from './config-folder.mjs';
import { parseFlags, wrongUsage } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { fromCaller } from './project.mjs';
import { leaveStdoutAlone, say } from './screen.mjs';
import { setUpForConfig } from './setup.mjs';
import { revisionOf } from './store/names.mjs';
import { WHERE_FLAGS, WHERE_USAGE, openStore } from './store/open.mjs';

const USAGE = `usage: npm run push -- DIR [--remote | --local | --url URL] [--preview RECORDS] [--note TEXT] [--yes] [--force]

Checks DIR (providers.json, routes/, flags.json, keys.json), shows what differs from what is live, and puts that into KV.
Entries that DIR does not have are left as they are.

${WHERE_USAGE}
${CHANGE_USAGE}`;

await runScript(async () => {
  const { flags, positionals } = parseFlags(process.argv.slice(2), { ...WHERE_FLAGS, ...CHANGE_FLAGS }, USAGE);
  if (positionals.length !== 1)
    throw wrongUsage(`expected one config folder, got ${positionals.length}`, USAGE);
  checkChangeFlags(flags, USAGE);
  if (flags.json) leaveStdoutAlone();
  const folder = fromCaller(positionals[0]);
  const { entries, plainKeys } = await readConfigFolder(folder);
  const { store, isLocal, url } = await openStore(flags, USAGE);
  try {
    if (!isLocal && plainKeys > 0) throw plainKeysProblem(folder, plainKeys);
    await setUpForConfig();
    return await push(store, entries, { flags, url });
  } finally {
    store.close();
  }
});

async function push(store, entries, { flags, url }) {
  const live = await readLive(store, entries.keys());
  const changes = changesOf(live, entries);
  if (changes.length === 0) {
    say(`Nothing to push: ${store.where} has all of it.`);
    if (flags.json) console.log(JSON.stringify({ written: [], diff: { entries: [] } }));
    return 0;
  }
  const { isWritten, diff } = await carryOut(store, live, changes, { flags, url, usage: USAGE, action: 'push' });
  if (!isWritten) return 1;
  const written = changes.map(({ entry, text, was }) => ({ entry, revision: revisionOf(text), was }));
  if (flags.json) console.log(JSON.stringify({ written, diff }));
  say(`\n✓ pushed to ${store.where}:\n`);
  for (const { entry, revision } of written) say(`  ${entry}  ${revision}`);
  say('\nTo go back:\n');
  for (const { entry, was } of written.filter(({ was }) => was !== undefined)) {
    say(`  npm run rollback -- ${entry.replace(/^route:/, '')}${placeFlags(flags)}    # to ${was}`);
  }
  return 0;
}

function plainKeysProblem(folder, count) {
  return new Problem(
    `${folder}/keys.json holds ${count} key${count === 1 ? '' : 's'} as plain text, which is for this machine only. ` +
      'For another place, write the hash in its place, "sha256:<hex>"; this prints the hex of a key:\n\n' +
      '  printf %s "$KEY" | sha256sum',
  );
}
