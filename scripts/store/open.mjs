// Chooses the store that the flags `--local`, `--remote`, `--url` and `--persist` mean.

import { accountId, namespaceId, requireAccountIds } from '../cloudflare.mjs';
import { wrongUsage } from '../flags.mjs';
import { Problem } from '../problem.mjs';
import { fromCaller } from '../project.mjs';
import { adminStore } from './admin.mjs';
import { entryStore } from './entries.mjs';
import { findState, localKv } from './local.mjs';
import { restKv } from './rest.mjs';
import { wranglerKv } from './wrangler.mjs';

/** The flags, for `parseFlags`. */
export const WHERE_FLAGS = { local: true, remote: true, url: 'URL', persist: 'DIR' };

export const WHERE_USAGE = `  --remote        the KV namespace that wrangler.toml names (the default): over Cloudflare's API if CLOUDFLARE_API_TOKEN
                  and CLOUDFLARE_ACCOUNT_ID are set, else through wrangler
  --local         the KV of "npm start" on this machine, also while it runs
  --persist DIR   with --local: the one that keeps its state in DIR
  --url URL       a running Worker, over its admin API; WAYPOST_ADMIN_KEY is its admin key (wp-admin on this machine)`;

const LOCAL_ADMIN_KEY = 'wp-admin';

/**
 * Returns `{ store, isLocal, url }`: whether plain keys may go there, and the Worker whose records belong to it, if that
 * is known. Call `store.close()` at the end.
 */
export async function openStore(flags, usage) {
  const named = ['local', 'remote', 'url'].filter((name) => flags[name] !== undefined);
  if (named.length > 1) throw wrongUsage(`--${named[0]} and --${named[1]} exclude each other`, usage);
  if (flags.persist !== undefined && !flags.local) throw wrongUsage('--persist is for --local', usage);
  if (flags.url !== undefined) return openUrl(flags.url, usage);
  if (flags.local) {
    const { persist, url } = await findState(flags.persist && fromCaller(flags.persist));
    const where = url === undefined ? `the KV in ${persist}` : `the KV of "npm start" at ${url}`;
    return { store: entryStore(localKv(persist), where), isLocal: true, url, persist };
  }
  requireAccountIds();
  return { store: entryStore(remoteKv(), 'the KV of your account'), isLocal: false };
}

/** The key for the admin API of a Worker. */
export function adminKey(url) {
  const key = process.env.WAYPOST_ADMIN_KEY ?? (isLoopback(url) ? LOCAL_ADMIN_KEY : undefined);
  if (key === undefined) {
    throw new Problem(`${url} wants its admin key. Set WAYPOST_ADMIN_KEY to it in the environment.`);
  }
  return key;
}

export function parseUrl(text, flag, usage) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && isLoopback(text))) {
    throw wrongUsage(`--${flag} expects an https URL (http on this machine only), got "${text}"`, usage);
  }
  return url.href.replace(/\/+$/, '');
}

function openUrl(text, usage) {
  const url = parseUrl(text, 'url', usage);
  return { store: adminStore(url, adminKey(url)), isLocal: isLoopback(url), url };
}

function remoteKv() {
  const token = process.env.CLOUDFLARE_API_TOKEN;
  const account = accountId();
  if (token === undefined || account === undefined) return wranglerKv(['--remote']);
  const base = process.env.CLOUDFLARE_API_BASE_URL;
  return restKv({ account, namespace: namespaceId(), token, base });
}

function isLoopback(url) {
  return ['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname);
}
