// A KV namespace through wrangler's own commands, for those who are logged in with it and have no token.
//
// Each call takes some seconds. Values travel in files that only we can read, never on a command line.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run, tail } from '../child.mjs';
import { Problem } from '../problem.mjs';
import { wranglerCommand } from '../project.mjs';

const READ_KEYS_MAX = 100;
// Below `log` wrangler keeps its answer to itself as well.
const QUIET = { WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG: 'log', CI: '1', NO_COLOR: '1' };

/** `place` is `--remote`, or `--local` with where that keeps its state. */
export function wranglerKv(place = ['--remote']) {
  async function wrangler(args, file) {
    const folder = mkdtempSync(join(tmpdir(), 'waypost-kv-'));
    const remove = () => rmSync(folder, { recursive: true, force: true });
    process.once('exit', remove);
    try {
      const path = join(folder, 'request.json');
      if (file !== undefined) writeFileSync(path, JSON.stringify(file), { mode: 0o600 });
      const named = file === undefined ? args : [...args, path];
      const [command, ...all] = wranglerCommand('kv', ...named, '--binding', 'KV', ...place);
      const { code, output, stdout } = await run(command, all, { env: QUIET });
      if (code !== 0) {
        throw new Problem(`"wrangler kv ${args.join(' ')}" failed. Are you logged in (npx wrangler login)? It said:`, {
          details: tail(output),
        });
      }
      return stdout;
    } finally {
      remove();
      process.off('exit', remove);
    }
  }

  return {
    async read(keys) {
      const found = new Map();
      for (let i = 0; i < keys.length; i += READ_KEYS_MAX) {
        const output = await wrangler(['bulk', 'get'], keys.slice(i, i + READ_KEYS_MAX));
        for (const [key, got] of Object.entries(jsonIn(output, '{'))) {
          const value = typeof got === 'object' ? got?.value : got;
          if (typeof value === 'string') found.set(key, value);
        }
      }
      return found;
    },

    async write(pairs) {
      const puts = pairs.filter(({ value }) => value !== null);
      if (puts.length > 0) await wrangler(['bulk', 'put'], puts);
      const gone = pairs.filter(({ value }) => value === null).map(({ key }) => key);
      if (gone.length > 0) await wrangler(['bulk', 'delete', '--force'], gone);
    },

    async list(prefix, limit = Infinity) {
      const keys = jsonIn(await wrangler(['key', 'list', '--prefix', prefix]), '[');
      return keys.slice(0, limit).map(({ name, metadata }) => ({ name, metadata }));
    },
  };
}

/** What wrangler printed as JSON, after what it says before it. */
function jsonIn(output, begin) {
  try {
    return JSON.parse(output.slice(output.search(begin === '{' ? /^\{/m : /^\[/m)));
  } catch {
    throw new Problem('wrangler answered with something that is no JSON:', { details: tail(output) });
  }
}
