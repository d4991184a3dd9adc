// `npm run push -- DIR`: a config folder into KV, live everywhere within about a minute, with no deploy.
//
// Only adds and replaces: a namespace is shared by teams that each push a folder of their own, so what
// this folder lacks is not deleted. `npx wrangler kv key delete --binding KV route:NAME --remote` does.

import './node-version.mjs';

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { checkFolder } from './check.mjs';
import { runInteractive } from './child.mjs';
import { requireAccountIds } from './cloudflare.mjs';
import { readConfigFolder } from './config-folder.mjs';
import { parseFlags, wrongUsage } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { fromCaller, wranglerCommand } from './project.mjs';
import { say } from './screen.mjs';
import { setUp } from './setup.mjs';

const USAGE = `usage: npm run push -- DIR [--remote | --local] [--force]

Checks DIR (providers.json, routes/, flags.json, keys.json) and puts it into KV. Entries that DIR does not
have are left as they are.

  --remote   into the KV namespace that wrangler.toml names (this is the default)
  --local    into the KV of "npm start" on this machine, also while it runs
  --force    push even if "waypost check" finds problems`;

await runScript(async () => {
  const { flags, positionals } = parseFlags(
    process.argv.slice(2),
    { local: true, remote: true, force: true },
    USAGE,
  );
  if (positionals.length !== 1)
    throw wrongUsage(`expected one config folder, got ${positionals.length}`, USAGE);
  if (flags.local && flags.remote) throw wrongUsage('--local and --remote exclude each other', USAGE);
  if (!flags.local) requireAccountIds();
  await setUp();
  const folder = fromCaller(positionals[0]);
  const { entries, plainKeys } = await readConfigFolder(folder);
  if (!flags.local && plainKeys > 0) throw plainKeysProblem(folder, plainKeys);
  await checkFolder(folder, flags);
  return push(entries, flags.local ? '--local' : '--remote');
});

async function push(entries, where) {
  const folder = mkdtempSync(join(tmpdir(), 'waypost-push-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  const file = join(folder, 'entries.json');
  writeFileSync(file, JSON.stringify([...entries].map(([key, value]) => ({ key, value }))), { mode: 0o600 });
  const [command, ...args] = wranglerCommand('kv', 'bulk', 'put', file, '--binding', 'KV', where);
  const exitCode = await runInteractive(command, args, { WRANGLER_SEND_METRICS: 'false' });
  if (exitCode === 0) say(`✓ pushed ${[...entries.keys()].join(', ')}`);
  return exitCode === 0 ? 0 : 1;
}

function plainKeysProblem(folder, count) {
  return new Problem(
    `${folder}/keys.json holds ${count} key${count === 1 ? '' : 's'} as plain text, which is for this machine only. ` +
      'For --remote, write the hash in its place, "sha256:<hex>"; this prints the hex of a key:\n\n' +
      '  printf %s "$KEY" | sha256sum',
  );
}
