// What a Cloudflare account must have before this Worker can be deployed or a config pushed to it.
//
// wrangler.toml is committed with ids of zeros, which serve on one machine; an account's own ids take
// their place once.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Problem } from './problem.mjs';
import { ROOT } from './project.mjs';

const CREATE = `  npx wrangler login
  npx wrangler kv namespace create waypost        # its id goes to [[kv_namespaces]]
  npx wrangler d1 create waypost                  # its id goes to [[d1_databases]]
  npx wrangler r2 bucket create waypost-archive
  npx wrangler queues create waypost-records
  npx wrangler queues create waypost-records-dead
  npx wrangler queues create waypost-health`;

/** Throws while wrangler.toml has placeholder ids. */
export function requireAccountIds() {
  if (/^\s*(id|database_id)\s*=\s*"[0-]*"/m.test(wranglerToml())) {
    throw new Problem(
      `wrangler.toml still has placeholder ids. Create what the Worker uses, and put the ids it prints there:\n\n${CREATE}`,
    );
  }
}

/** Throws if the Worker would run in the mode that `npm start` gives it: with well-known keys. */
export function requireNoLocalMode() {
  if (/^[^#\n]*\bWAYPOST_LOCAL\b/m.test(wranglerToml())) {
    throw new Problem(
      'wrangler.toml sets WAYPOST_LOCAL, which is for "npm start" alone: it lets in anyone who knows the demo keys. Remove it.',
    );
  }
}

/** The id of the KV namespace that the Worker is bound to. */
export function namespaceId() {
  const block = /^\[\[kv_namespaces\]\]\s*$([^[]*)/m.exec(wranglerToml())?.[1] ?? '';
  const id = /^\s*id\s*=\s*"([^"]*)"/m.exec(block)?.[1];
  if (id === undefined) throw new Problem('wrangler.toml names no id under [[kv_namespaces]].');
  return id;
}

/** The account, from the environment or wrangler.toml; nothing where neither tells. */
export function accountId() {
  return process.env.CLOUDFLARE_ACCOUNT_ID ?? /^\s*account_id\s*=\s*"([^"]+)"/m.exec(wranglerToml())?.[1];
}

function wranglerToml() {
  return readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
}
