// A team's config folder as the KV entries it stands for.
//
//   DIR/providers.json      -> providers
//   DIR/routes/<name>.json  -> route:<name>, where a subfolder is a team: routes/acme/chat.json is acme/chat
//   DIR/flags.json          -> flags
//   DIR/keys.json           -> key:<sha-256>, one for each key in it
//
// A value is the file's own text, so numbers and the order of fields stay as the team wrote them. A key in
// keys.json is "sha256:<hex>", bare hex, or the key itself, which is hashed here and stored nowhere.
// Not here: whether the JSON makes a good route. That is `waypost check` (`check.mjs`) and the Worker.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';

import { Problem } from './problem.mjs';

/** The KV entry that lists what an earlier load put there. */
const LOADED = 'meta:loaded';

/**
 * Returns `{ entries, routes, plainKeys, secrets }`: a map of KV entries, the routes' names in order, how
 * many keys stand in keys.json as they are, and the names that providers give for their secrets.
 * Throws one `Problem` with everything that cannot be read.
 */
export async function readConfigFolder(folder) {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new Problem(
      `There is no config folder ${folder}. It holds providers.json, routes/<name>.json, flags.json and keys.json; example/ is one.`,
    );
  }
  const config = { entries: new Map(), routes: [], plainKeys: 0, secrets: new Set() };
  const problems = [];
  for (const { path, add } of filesOf(folder)) {
    const text = readFileSync(join(folder, path), 'utf8').replace(/^\uFEFF/, '');
    try {
      add(config, text, JSON.parse(text));
    } catch (error) {
      if (!(error instanceof SyntaxError)) problems.push(`${path}: ${error.message}`);
      else problems.push(`${path}${await whereInvalid(text)}: ${error.message}`);
    }
  }
  if (problems.length > 0) throw new Problem(`${folder} cannot be loaded:`, { details: problems.join('\n') });
  if (config.entries.size === 0) {
    throw new Problem(
      `${folder} holds no config: no providers.json, routes/<name>.json, flags.json or keys.json.`,
    );
  }
  return config;
}

/** Writes the entries, and deletes what an earlier load wrote and the folder no longer has. */
export async function loadInto(kv, entries) {
  const earlier = JSON.parse((await kv.get(LOADED)) ?? '[]');
  await Promise.all(earlier.filter((key) => !entries.has(key)).map((key) => kv.delete(key)));
  await kv.put(LOADED, JSON.stringify([...entries.keys()]));
  await Promise.all([...entries].map(([key, value]) => kv.put(key, value)));
}

/** The entries with some of the providers' base URLs moved; `moves` maps an origin to another. */
export function withMovedOrigins(entries, moves) {
  const text = entries.get('providers');
  if (text === undefined || Object.entries(moves).every(([from, to]) => from === to)) return entries;
  const config = JSON.parse(text);
  for (const provider of Object.values(config.providers ?? {})) {
    const from = Object.keys(moves).find(
      (origin) => provider.base_url === origin || provider.base_url?.startsWith(`${origin}/`),
    );
    if (from !== undefined) provider.base_url = moves[from] + provider.base_url.slice(from.length);
  }
  return new Map(entries).set('providers', JSON.stringify(config));
}

function filesOf(folder) {
  const routes = existsSync(join(folder, 'routes'))
    ? jsonFiles(folder, 'routes').sort().map((path) => ({ path, add: addRoute(path) }))
    : [];
  const single = [
    { path: 'providers.json', add: addProviders },
    { path: 'flags.json', add: (config, text) => config.entries.set('flags', text) },
    { path: 'keys.json', add: addKeys },
  ].filter(({ path }) => existsSync(join(folder, path)));
  return [...single, ...routes];
}

/**
 * As `waypost check` finds them: nothing hidden, a file may be a link, and a linked folder, which may hold the link, is left out.
 * `readdirSync` with `recursive` would follow it.
 */
function jsonFiles(folder, below) {
  return readdirSync(join(folder, below), { withFileTypes: true }).flatMap((entry) => {
    const path = join(below, entry.name);
    if (entry.name.startsWith('.')) return [];
    if (entry.isDirectory()) return jsonFiles(folder, path);
    const isFile = () => statSync(join(folder, path), { throwIfNoEntry: false })?.isFile();
    return entry.name.endsWith('.json') && isFile() ? [path] : [];
  });
}

function addRoute(path) {
  const name = path.slice(`routes${sep}`.length, -'.json'.length).replaceAll(sep, '/');
  return (config, text) => {
    config.routes.push(name);
    config.entries.set(`route:${name}`, text);
  };
}

function addProviders(config, text, value) {
  config.entries.set('providers', text);
  const visit = (part) => {
    if (typeof part === 'string') config.secrets.add(part);
    else if (part !== null && typeof part === 'object') Object.values(part).forEach(visit);
  };
  for (const provider of Object.values(value?.providers ?? {})) visit(provider?.auth);
}

function addKeys(config, _text, value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new Error('expected an object that maps each key to its terms');
  }
  for (const [key, terms] of Object.entries(value)) {
    if (key === '$schema') continue;
    const hex = /^(?:sha256:)?([0-9a-f]{64})$/i.exec(key)?.[1].toLowerCase();
    if (hex === undefined) config.plainKeys += 1;
    const entry = `key:${hex ?? createHash('sha256').update(key).digest('hex')}`;
    if (config.entries.has(entry)) throw new Error(`two of its keys are the same one, ${entry}`);
    config.entries.set(entry, JSON.stringify(terms));
  }
}

/** V8 tells the place of only some errors, so a tolerant parser looks again, once it is installed. */
async function whereInvalid(text) {
  const { parse } = await import('jsonc-parser').catch(() => ({}));
  if (parse === undefined) return '';
  const errors = [];
  parse(text, errors, { disallowComments: true, allowTrailingComma: false });
  if (errors.length === 0) return '';
  const before = text.slice(0, errors[0].offset).split('\n');
  return `:${before.length}:${before.at(-1).length + 1}`;
}
