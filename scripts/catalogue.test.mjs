import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { made, present, stale } from './catalogue.mjs';
import { NAMES, check } from './catalogue/rows.mjs';
import { page, rust } from './catalogue/write.mjs';
import { ROOT } from './project.mjs';

const PROVIDER = {
  name: 'acme',
  dialect: 'openai-chat',
  base_url: 'https://api.acme.example/v1',
  auth: { bearer: 'ACME_API_KEY' },
  source: 'https://docs.acme.example',
  read: '2026-11-21',
};

const MODEL = {
  name: 'acme/large',
  context_tokens: 128000,
  usd_per_mtok: { in: 1, out: 2.5 },
  can: ['tools'],
  as_of: '2026-11-21',
  source: 'https://docs.acme.example/prices',
};

const DOCS = 'Before.\n<!-- written by `npm run catalogue` -->\nold\n<!-- end of what `npm run catalogue` writes -->\nAfter.\n';

function told(catalogue, known) {
  return check(catalogue, known).map(({ path, expected, got }) => `${path}: expected ${expected}, got ${got}`);
}

test('what is committed is what the rows make', () => {
  const { problems, files } = made(present());
  assert.deepEqual(problems, []);
  assert.deepEqual(
    stale(files).map(([path]) => path),
    [],
    'npm run catalogue writes them anew',
  );
});

test('the names that rows may use are those of the code', () => {
  assert.deepEqual([...NAMES.dialect.keys()].sort(), ['anthropic', 'bedrock', 'cohere', 'gemini', 'openai-chat', 'openai-responses']);
  assert.equal(NAMES.quirk.get('max_tokens_only'), 'MaxTokensOnly');
  assert.deepEqual([...NAMES.policy.keys()], ['zero_retention', 'retained', 'trains']);
  assert.deepEqual(
    [...NAMES.ability.keys()],
    [
      'tools',
      'json_schema',
      'images',
      'prefill',
      'reasoning',
      'logprobs',
      'service_tiers',
      'completions',
      'embeddings',
      'image_generation',
      'speech',
      'transcription',
      'moderation',
    ],
  );
});

test('a row becomes a constant with what the Worker needs of it', () => {
  const odd = {
    ...PROVIDER,
    name: 'odd',
    dialect: 'anthropic',
    base_url: 'https://{account}.example/v1',
    auth: { header: { name: 'x-api-key', secret: 'ODD_KEY' } },
    region: 'eu',
    region_source: 'https://odd.example/where',
    data_policy: 'trains',
    data_policy_source: 'https://odd.example/terms',
    data_policy_read: '2026-11-20',
    quirks: { no_stream_usage: 'https://odd.example/quirk' },
  };
  const account = { ...PROVIDER, name: 'sky', dialect: 'gemini', auth: { google_service_account: 'SKY_ACCOUNT' } };
  const heard = { ...MODEL, name: 'acme/ears', context_tokens: 1048576, usd_per_mtok: { in: 0.0035, in_audio: 7, out: 1 } };
  const lines = rust({ providers: [PROVIDER, odd, account], models: [heard, MODEL] })
    .split('\n')
    .filter((line) => line.startsWith('    '))
    .map((line) => line.trim());
  assert.deepEqual(lines, [
    'compatible("acme", "https://api.acme.example/v1", "ACME_API_KEY"),',
    'ProviderRow::new("odd", Dialect::Anthropic, "", AuthRow::Header("x-api-key", "ODD_KEY")).region("eu").keeps(Trains).with(NoStreamUsage),',
    'ProviderRow::new("sky", Dialect::Gemini, "https://api.acme.example/v1", AuthRow::GoogleServiceAccount("SKY_ACCOUNT")),',
    'ModelRow::new("acme/ears", 1_048_576, Price { input_audio: 7.0, ..price(0.003_5, 0.003_5, 0.003_5, 1.0) }, &[Tools], "2026-11-21"),',
    'ModelRow::new("acme/large", 128_000, price(1.0, 1.0, 1.0, 2.5), &[Tools], "2026-11-21"),',
  ]);
  const written = page(DOCS, { providers: [PROVIDER], models: [MODEL] });
  assert.match(written, /^Before\.\n<!--/);
  assert.match(written, /-->\nAfter\.\n$/);
  assert.match(written, /\| \[acme\]\(https:\/\/docs\.acme\.example\) \| openai-chat \| .* \| 1 \|/);
  assert.equal(page(written, { providers: [PROVIDER], models: [MODEL] }), written);
});

test('a new provider of a known dialect is one row, and the page, the constants and the schema follow', () => {
  const { catalogue, ...before } = present();
  const { problems, files } = made({ catalogue, update: { providers: [PROVIDER] }, ...before });
  assert.deepEqual(problems, []);
  const lines = new Map(files.map(([path, text]) => [path.slice(ROOT.length + 1), added(readFileSync(path, 'utf8'), text)]));
  const [count, next] = [catalogue.providers.length, catalogue.providers.length + 1];
  assert.match(before.docs, new RegExp(`\n${count} providers, `));
  assert.deepEqual(
    [...lines].map(([path, lines]) => [path, lines.length]),
    [['src/providers/catalogue.json', 1], ['src/providers/builtin.rs', 1], ['docs/providers.md', 2], ['docs/schema/providers.schema.json', 1]],
  );
  assert.deepEqual(lines.get('src/providers/builtin.rs'), ['    compatible("acme", "https://api.acme.example/v1", "ACME_API_KEY"),']);
  assert.match(lines.get('docs/providers.md')[0], new RegExp(`^${next} providers, `));
  assert.deepEqual(lines.get('docs/schema/providers.schema.json'), ['        "acme": {']);
});

/** The lines that `after` has and `before` has not. */
function added(before, after) {
  const known = new Set(before.split('\n'));
  return after.split('\n').filter((line) => !known.has(line));
}

test('an update adds rows and replaces those of the same name, and tells what changed', () => {
  const catalogue = { providers: [PROVIDER], models: [MODEL] };
  const dearer = { ...MODEL, usd_per_mtok: { in: 1.5, in_cached: 0.15, out: 2.5 }, as_of: '2026-12-01' };
  const small = { ...MODEL, name: 'acme/a-small' };
  const { problems, changes, files } = made({
    catalogue,
    update: { providers: [{ ...PROVIDER }], models: [dearer, small] },
    docs: DOCS,
    described: present().described,
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(
    changes.map(({ what, name }) => [what, name]),
    [
      ['unchanged', 'acme'],
      ['changed', 'acme/large'],
      ['added', 'acme/a-small'],
    ],
  );
  assert.deepEqual(changes[1].fields, [
    { path: 'usd_per_mtok.in', before: '1', after: '1.5' },
    { path: 'usd_per_mtok.in_cached', before: 'nothing', after: '0.15' },
    { path: 'as_of', before: '"2026-11-21"', after: '"2026-12-01"' },
  ]);
  const models = JSON.parse(files[0][1]).models.map(({ name }) => name);
  assert.deepEqual(models, ['acme/a-small', 'acme/large']);
  assert.equal(files[0][1].trimEnd().split('\n').length, 9);
});

test('a bad row is refused with its path, what was expected and what came', () => {
  const row = (change) => ({ providers: [{ ...PROVIDER, ...change }], models: [] });
  const model = (change) => ({ providers: [PROVIDER], models: [{ ...MODEL, ...change }] });
  for (const [catalogue, ...expected] of [
    [[], /^\(file\): expected an object with `providers` and `models`, got \[\]$/],
    [{ provider: [] }, /^provider: expected one of providers, models, got "provider"$/],
    [{ providers: {} }, /^providers: expected a list of rows, got \{\}$/],
    [{ models: [7] }, /^models\[0\]: expected a row, got 7$/],
    [row({ name: undefined }), /^providers\[0\]\.name: expected a value, got nothing$/],
    [row({ dialect: 'openai' }), /^providers\.acme\.dialect: expected one of .*, got "openai"$/],
    [row({ base_url: 'http://api.acme.example' }), /base_url: expected an https URL/],
    [row({ base_url: 'https://api.acme.example/' }), /base_url: expected an https URL without a slash at its end/],
    [row({ auth: { bearer: 'sk-123' } }), /auth\.bearer: expected the name of a secret in capitals/],
    [row({ auth: { bearer: 'A', header: {} } }), /auth: expected exactly one of bearer, header, google_service_account, got "bearer, header"/],
    [row({ quirks: ['max_tokens_only'] }), /quirks: expected quirks, each with the page/],
    [
      row({ quirks: { no_stream_usages: 'https://x.example' } }),
      /quirks: expected one of .* \(did you mean no_stream_usage\?\), got "no_stream_usages"$/,
    ],
    [
      row({ quirks: { max_tokens_only: 'https://x.example', max_completion_tokens: 'https://x.example' } }),
      /quirks: expected either max_completion_tokens or max_tokens_only, got "both"$/,
    ],
    [row({ data_policy: 'kept' }), /data_policy: expected one of/, /_source: expected it beside/, /_read: expected it beside/],
    [row({ region_source: 'https://x.example' }), /region: expected it beside region_source, got nothing/],
    [row({ read: '2026-02-30' }), /read: expected a day, such as/],
    [row({ reed: 1 }), /providers\.acme\.reed: expected one of .* \(did you mean read\?\)/],
    [model({ name: 'acne/large' }), /^models\.acne\/large\.name: expected a known provider \(did you mean acme\?\), got "acne"$/],
    [model({ context_tokens: 1.5 }), /context_tokens: expected a whole number from 1 to 4294967295, got 1\.5/],
    [model({ usd_per_mtok: { in: -1 } }), /\.in: expected a number from 0 to 100000, got -1/, /\.out: expected a price, got nothing/],
    [model({ usd_per_mtok: { in: 1, out: 1, cached: 1 } }), /\.cached: expected one of in, in_cached/],
    [model({ can: ['tools', 'tools'] }), /can: expected a list of abilities, each once/],
    [model({ can: ['tool'] }), /can\[0\]: expected one of .* \(did you mean tools\?\), got "tool"/],
    [{ providers: [PROVIDER, PROVIDER], models: [] }, /^providers\.acme: expected one row of this name/],
  ]) {
    const problems = told(catalogue);
    assert.equal(problems.length, expected.length, problems.join('\n'));
    expected.forEach((pattern, index) => assert.match(problems[index], pattern));
  }
  assert.deepEqual(told({ models: [MODEL] }, ['acme']), []);
});

test('the command writes nothing when a row is bad', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'waypost-catalogue-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'update.json');
  writeFileSync(file, JSON.stringify({ models: [{ ...MODEL, name: 'openai/new' }, { ...MODEL, name: 'nobody/new' }] }));
  const run = (...args) => spawnSync(process.execPath, ['scripts/catalogue.mjs', ...args], { cwd: ROOT, encoding: 'utf8' });
  const before = readFileSync(join(ROOT, 'src/providers/catalogue.json'), 'utf8');
  const refused = run(file);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /models\.nobody\/new\.name: expected a known provider.*got "nobody"/);
  assert.match(refused.stderr, /1 problems?; nothing was written/);
  assert.equal(readFileSync(join(ROOT, 'src/providers/catalogue.json'), 'utf8'), before);
  assert.equal(run('--check').status, 0);
  assert.match(run('--help').stdout, /^usage: npm run catalogue/);
  assert.equal(run('--chek').status, 2);
});
