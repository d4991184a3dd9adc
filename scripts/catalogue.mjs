// `npm run catalogue`: writes the built-in catalogue from its JSON, and takes updates into it.

import './node-version.mjs';

import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { check, format, merge } from './catalogue/rows.mjs';
import { page, rust, schema } from './catalogue/write.mjs';
import { parseFlags, wrongUsage } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { ROOT, fromCaller, isMain } from './project.mjs';
import { say } from './screen.mjs';

const JSON_FILE = join(ROOT, 'src', 'providers', 'catalogue.json');
const RUST_FILE = join(ROOT, 'src', 'providers', 'builtin.rs');
const PAGE_FILE = join(ROOT, 'docs', 'providers.md');
const SCHEMA_FILE = join(ROOT, 'docs', 'schema', 'providers.schema.json');

const USAGE = `usage: npm run catalogue [-- FILE] [--check]

Writes src/providers/builtin.rs, the table in docs/providers.md and the names in docs/schema/providers.schema.json from
src/providers/catalogue.json. With FILE, takes its rows in first: it has the same shape, and a row in it is new or replaces the
one of its name. A bad row is refused, and then nothing is written.

  --check   write nothing; exit code 1 when something would be written`;

/** What each file should hold, and how the rows of `update` change the catalogue. */
export function made({ catalogue, update, docs, described }) {
  const problems = check(catalogue);
  const known = problems.length === 0 ? catalogue.providers.map((row) => row.name) : [];
  if (update !== undefined && problems.length === 0) problems.push(...check(update, known));
  if (problems.length > 0) return { problems };
  const { merged, changes } = merge(catalogue, update ?? {});
  const sorted = JSON.parse(format(merged));
  const files = [
    [JSON_FILE, format(sorted)],
    [RUST_FILE, rust(sorted)],
    [PAGE_FILE, page(docs, sorted)],
    [SCHEMA_FILE, schema(described, sorted)],
  ];
  return { problems, changes, files };
}

/** The catalogue as it lies in the repository. */
export function present() {
  const [docs, described] = [PAGE_FILE, SCHEMA_FILE].map((path) => readFileSync(path, 'utf8'));
  return { catalogue: parsed(JSON_FILE), docs, described };
}

/** The files that are not as they should be. */
export function stale(files) {
  return files.filter(([path, text]) => readFileSync(path, 'utf8') !== text);
}

if (isMain(import.meta.url)) {
  await runScript(async () => {
    const { flags, positionals } = parseFlags(process.argv.slice(2), { check: true }, USAGE);
    if (positionals.length > 1) throw wrongUsage(`expected one file at most, got ${positionals.length}`, USAGE);
    const update = positionals.length === 1 ? parsed(fromCaller(positionals[0])) : undefined;
    const { problems, changes, files } = made({ ...present(), update });
    if (problems.length > 0) {
      const lines = problems.map(({ path, expected, got }) => `${path}: expected ${expected}, got ${got}`);
      const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
      throw new Problem(`${lines.join('\n')}\n\n${count}; nothing was written.`);
    }
    show(changes);
    const written = stale(files);
    for (const [path, text] of flags.check ? [] : written) writeFileSync(path, text);
    for (const [path] of written) say(`${flags.check ? 'not as it should be' : 'written'}: ${relative(ROOT, path)}`);
    if (written.length === 0) say('everything is as it should be');
    return flags.check && written.length > 0 ? 1 : 0;
  });
}

function parsed(path) {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Problem(`${path} cannot be read: ${error.code}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem(`${path} is not JSON: ${error.message}`);
  }
}

function show(changes) {
  for (const { what, name, fields } of changes.filter((change) => change.what !== 'unchanged')) {
    say(`${what} ${name}`);
    for (const { path, before, after } of fields) say(`  ${path}: ${before} → ${after}`);
  }
  if (changes.length === 0) return;
  const count = (what) => changes.filter((change) => change.what === what).length;
  say(`\n${count('added')} added, ${count('changed')} changed, ${count('unchanged')} unchanged`);
}
