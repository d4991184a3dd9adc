// `npm run deploy`: the release build, then `wrangler deploy`.
//
// Refuses what would only fail halfway, or open the Worker to everyone: see `cloudflare.mjs`.

import './node-version.mjs';

import { build } from './build.mjs';
import { runInteractive } from './child.mjs';
import { requireAccountIds, requireNoLocalMode } from './cloudflare.mjs';
import { parseFlags, wrongUsage } from './flags.mjs';
import { runScript } from './problem.mjs';
import { wranglerCommand } from './project.mjs';
import { setUp } from './setup.mjs';

const USAGE = `usage: npm run deploy [-- --dry-run]

Builds the Worker and deploys it with wrangler to the account that wrangler.toml and "wrangler login" name.

  --dry-run   do all but the upload`;

await runScript(async () => {
  const { flags, positionals } = parseFlags(process.argv.slice(2), { 'dry-run': true }, USAGE);
  if (positionals.length > 0) throw wrongUsage(`unexpected "${positionals[0]}"`, USAGE);
  requireAccountIds();
  requireNoLocalMode();
  await build(await setUp());
  const [command, ...args] = wranglerCommand('deploy', ...(flags['dry-run'] ? ['--dry-run'] : []));
  return runInteractive(command, args, { WRANGLER_SEND_METRICS: 'false' });
});
