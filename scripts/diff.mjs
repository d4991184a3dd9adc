// `npm run diff -- DIR`: what a push of this folder would change, and what is live that the folder does not have.

import './node-version.mjs';

import { changesOf, readLive, showDifference } from './change.mjs';
import { readConfigFolder } from './config-folder.mjs';
import { parseFlags, wrongUsage } from './flags.mjs';
import { runScript } from './problem.mjs';
import { fromCaller } from './project.mjs';
import { leaveStdoutAlone, say } from './screen.mjs';
import { setUpForConfig } from './setup.mjs';
import { WHERE_FLAGS, WHERE_USAGE, openStore } from './store/open.mjs';

const USAGE = `usage: npm run diff -- DIR [--remote | --local | --url URL] [--json]

Shows what a push of DIR would change. Exit code 1 when DIR has problems that are not live.

${WHERE_USAGE}
  --json          print one line of JSON on stdout, and nothing else there`;

await runScript(async () => {
  const { flags, positionals } = parseFlags(process.argv.slice(2), { ...WHERE_FLAGS, json: true }, USAGE);
  if (positionals.length !== 1)
    throw wrongUsage(`expected one config folder, got ${positionals.length}`, USAGE);
  if (flags.json) leaveStdoutAlone();
  const { entries } = await readConfigFolder(fromCaller(positionals[0]));
  const { store } = await openStore(flags, USAGE);
  try {
    await setUpForConfig();
    const live = await readLive(store, entries.keys());
    const { hasProblems, diff } = await showDifference(live, changesOf(live, entries), { flags });
    const others = (await store.list()).filter((entry) => !entries.has(entry)).sort();
    if (others.length > 0) say(`\nlive and not in the folder, left as they are: ${others.join(', ')}`);
    if (flags.json) console.log(JSON.stringify({ diff, live_only: others }));
    return hasProblems ? 1 : 0;
  } finally {
    store.close();
  }
});
