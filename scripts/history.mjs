// `npm run history -- NAME`: the revisions that an entry had, who changed it, when and why.

import './node-version.mjs';

import { parseFlags, wrongUsage } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { leaveStdoutAlone, say } from './screen.mjs';
import { setUpForConfig } from './setup.mjs';
import { HISTORY_MAX, entryNamed, revisionOf } from './store/names.mjs';
import { WHERE_FLAGS, WHERE_USAGE, openStore } from './store/open.mjs';

const USAGE = `usage: npm run history -- NAME [--remote | --local | --url URL] [--json]

Shows the newest ${HISTORY_MAX} changes of an entry, the newest first. NAME is a route's name, "providers", "flags", or an
entry's full KV key.

${WHERE_USAGE}
  --json          print one line of JSON on stdout, and nothing else there`;

await runScript(async () => {
  const { flags, positionals } = parseFlags(process.argv.slice(2), { ...WHERE_FLAGS, json: true }, USAGE);
  if (positionals.length !== 1) throw wrongUsage(`expected one name, got ${positionals.length}`, USAGE);
  if (flags.json) leaveStdoutAlone();
  const entry = entryNamed(positionals[0]);
  await setUpForConfig();
  const { store } = await openStore(flags, USAGE);
  try {
    const [changes, texts] = await Promise.all([store.history(entry), store.read([entry])]);
    const live = texts.has(entry) ? revisionOf(texts.get(entry)) : undefined;
    if (changes.length === 0 && live === undefined) throw new Problem(`${store.where} has no entry ${entry} and never had.`);
    if (flags.json) console.log(JSON.stringify({ entry, live, changes }));
    else show(entry, live, changes);
    return 0;
  } finally {
    store.close();
  }
});

function show(entry, live, changes) {
  say(`${entry}, ${live === undefined ? 'deleted' : `live at ${live}`}\n`);
  let isMarked = false;
  for (const { revision, at, action, by, note } of changes) {
    const isLive = !isMarked && revision === live;
    isMarked ||= isLive;
    const cells = [
      isLive ? '*' : ' ',
      (revision ?? '-').padEnd(16),
      new Date(at).toISOString().replace(/\.\d+Z$/, 'Z'),
      action.padEnd(8),
      by ?? '',
      note ?? '',
    ];
    say(cells.map(printable).join('  ').trimEnd());
  }
  if (!isMarked && live !== undefined)
    say(`  The live one was put past "npm run push"; the next push or rollback notes it here.`);
}

/** Notes are others' words: a control character in one must not write over the terminal. */
function printable(text) {
  return text.replace(/\p{Cc}/gu, '?');
}
