// A KV namespace over Cloudflare's REST API, for those who have a token.
//
// Endpoints: https://developers.cloudflare.com/api/resources/kv/ (read in November 2026). Reads and writes go many at
// once; a bulk write tells which keys it did not write, and those are written again.

import { call } from '../http.mjs';
import { Problem } from '../problem.mjs';

const READ_KEYS_MAX = 100;
const WRITE_PAIRS_MAX = 10_000;
/** The API takes 100 MB in one request. */
const WRITE_BYTES_MAX = 50_000_000;
const LIST_KEYS_MAX = 1000;
const WRITE_TRIES = 3;

/** What the API's own error codes mean for the person. */
const NO_NAMESPACE = [10011, 10013];
const NO_ACCOUNT = [7000, 7003];

export function restKv({ account, namespace, token, base = 'https://api.cloudflare.com/client/v4' }) {
  const root = `${base}/accounts/${account}/storage/kv/namespaces/${namespace}`;

  async function ask(path, { method, body } = {}) {
    const answer = await call(root + path, {
      what: "Cloudflare's API",
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    let json;
    try {
      json = JSON.parse(answer.text);
    } catch {
      throw new Problem(`Cloudflare's API answered ${answer.status} with something that is no JSON. Try again.`);
    }
    if (answer.status !== 200 || json.success !== true) throw refused(answer, json.errors ?? []);
    return json;
  }

  function refused({ status, headers }, errors) {
    const codes = errors.map(({ code }) => code);
    const details = errors.map(({ code, message }) => `${code}: ${message}`).join('\n');
    const has = (known) => codes.some((code) => known.includes(code));
    if (has(NO_NAMESPACE)) {
      return new Problem(
        `Account ${account} has no KV namespace ${namespace}. Put the id that "npx wrangler kv namespace list" shows into wrangler.toml.`,
        { details },
      );
    }
    if (has(NO_ACCOUNT)) {
      return new Problem(
        `Cloudflare knows no account ${account}. Set CLOUDFLARE_ACCOUNT_ID to the id that "npx wrangler whoami" shows.`,
        { details },
      );
    }
    if (status === 401 || status === 403) {
      return new Problem(
        `Cloudflare refused the token in CLOUDFLARE_API_TOKEN for account ${account}. It needs the permission "Workers KV Storage: Edit" on that account.`,
        { details },
      );
    }
    if (status === 429) {
      const after = headers.get('retry-after');
      return new Problem(
        `Cloudflare's API takes no more calls for now (429). Try again${after === null ? ' in some minutes' : ` after ${after} s`}.`,
        { details },
      );
    }
    return new Problem(`Cloudflare's API answered ${status}:`, { details });
  }

  async function put(pairs) {
    let left = pairs;
    for (let tries = 1; left.length > 0; tries += 1) {
      const { result } = await ask('/bulk', { method: 'PUT', body: left });
      const failed = new Set(result?.unsuccessful_keys ?? []);
      left = left.filter(({ key }) => failed.has(key));
      if (left.length > 0 && tries === WRITE_TRIES) {
        throw new Problem(
          `Cloudflare's API did not write ${left.map(({ key }) => key).join(', ')}. Run the same command again.`,
        );
      }
    }
  }

  return {
    async read(keys) {
      const found = new Map();
      for (const some of chunks(keys, READ_KEYS_MAX)) {
        const { result } = await ask('/bulk/get', { method: 'POST', body: { keys: some, type: 'text' } });
        for (const [key, value] of Object.entries(result?.values ?? {})) {
          if (typeof value === 'string') found.set(key, value);
        }
      }
      return found;
    },

    async write(pairs) {
      const puts = pairs.filter(({ value }) => value !== null);
      for (const some of bulks(puts)) await put(some);
      const gone = pairs.filter(({ value }) => value === null).map(({ key }) => key);
      for (const some of chunks(gone, WRITE_PAIRS_MAX)) await ask('/bulk/delete', { method: 'POST', body: some });
    },

    async list(prefix, limit = Infinity) {
      const keys = [];
      let cursor = '';
      do {
        const query = new URLSearchParams({
          prefix,
          limit: String(Math.max(10, Math.min(limit - keys.length, LIST_KEYS_MAX))),
        });
        if (cursor !== '') query.set('cursor', cursor);
        const { result, result_info } = await ask(`/keys?${query}`);
        keys.push(...result);
        cursor = result_info?.cursor ?? '';
      } while (cursor !== '' && keys.length < limit);
      return keys.map(({ name, metadata }) => ({ name, metadata }));
    },
  };
}

function chunks(items, size) {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

function bulks(pairs) {
  const all = [];
  let bytes = Infinity;
  for (const pair of pairs) {
    const size = Buffer.byteLength(pair.value);
    if (bytes + size > WRITE_BYTES_MAX || all.at(-1).length === WRITE_PAIRS_MAX) {
      all.push([]);
      bytes = 0;
    }
    all.at(-1).push(pair);
    bytes += size;
  }
  return all;
}
