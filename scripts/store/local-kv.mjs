// The child of `local.mjs`, under Node 22: opens the KV in one state folder, and ends with the channel to its parent.

import { Miniflare, convertV4MiniflareOptions } from 'miniflare';

import { namespaceId } from '../cloudflare.mjs';

const READ_KEYS_MAX = 100;
const LIST_KEYS_MAX = 1000;

const mf = new Miniflare(
  convertV4MiniflareOptions({
    host: '127.0.0.1',
    port: 0,
    cf: false,
    telemetry: { enabled: false },
    resourcePersistencePath: process.argv[2],
    workers: [
      {
        name: 'kv',
        modules: true,
        script: 'export default { fetch: () => new Response() }',
        compatibilityDate: '2026-10-23',
        kvNamespaces: { KV: namespaceId() },
      },
    ],
  }),
);
const kv = mf.getKVNamespace('KV');

const methods = {
  async read(keys) {
    const found = [];
    for (let i = 0; i < keys.length; i += READ_KEYS_MAX) {
      found.push(...(await (await kv).get(keys.slice(i, i + READ_KEYS_MAX), 'text')));
    }
    return found.filter(([, value]) => value !== null);
  },

  async write(pairs) {
    for (const { key, value, metadata } of pairs) {
      if (value === null) await (await kv).delete(key);
      else await (await kv).put(key, value, { metadata });
    }
  },

  async list(prefix, limit = Infinity) {
    const keys = [];
    let page = { list_complete: false };
    while (!page.list_complete && keys.length < limit) {
      const { cursor } = page;
      page = await (await kv).list({ prefix, cursor, limit: Math.min(limit - keys.length, LIST_KEYS_MAX) });
      keys.push(...page.keys.map(({ name, metadata }) => ({ name, metadata })));
    }
    return keys;
  },
};

process.on('message', async ({ id, method, args }) => {
  try {
    process.send({ id, result: await methods[method](...args) });
  } catch (error) {
    process.send({ id, error: error.message });
  }
});
process.on('disconnect', async () => {
  await mf.dispose().catch(() => {});
  process.exit(0);
});
