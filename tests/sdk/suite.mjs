// The tests that the `openai` package for Python is made with, run against a mock of OpenAI's specification, directly and
// through the Worker. What fails only through the Worker is ours.
//
// The tests come in the package's source distribution on PyPI. The specification they were written with is in the package's
// repository, at the tag of the same version, and its hash stands here; where GitHub cannot be reached `--spec FILE` gives it.
// `@stdy/cli` serves it: it holds each request against the specification and answers what the specification promises.

import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { run, tail, takeAlong } from '../../scripts/child.mjs';
import { Problem } from '../../scripts/problem.mjs';
import { fromCaller, ROOT } from '../../scripts/project.mjs';
import { CANNOT_RUN_HERE, ensurePython, must } from '../../scripts/python.mjs';
import { startJob } from '../../scripts/screen.mjs';
import { startWorld, until } from '../edge/world.mjs';
import { LEGACY, MODELS, SPEC_MD5, STEADY, SUITE_KEY, TESTS, VERSION } from './suite/about.mjs';
import { startFront } from './suite/front.mjs';

const CACHE = join(ROOT, '.cache', `openai-python-${VERSION}`);
const SPEC_URL = `https://raw.githubusercontent.com/openai/openai-python/v${VERSION}/api_reference/openapi.transformed.yml`;
const FETCHED_WITHIN_MS = 30_000;
const SERVING_WITHIN_MS = 60_000;

/** Returns `{ passed, failures }`: a test that does as well through the Worker as directly has passed. */
export async function runSuite(spec) {
  const python = await ensurePython(join(import.meta.dirname, 'suite', 'requirements.txt'));
  await ensureTests(python);
  const mock = await startMock(await ensureSpec(spec));
  try {
    const directly = await runTests('openai-python\'s tests, directly', python, mock.url);
    const world = await startWorld({ labs: [], providers: { mock: { dialect: 'openai-chat', base_url: mock.url, auth: 'none' } } });
    try {
      await prepare(world);
      return judge(directly, await runTests('the same, through the Worker', python, `${world.url}/v1`));
    } finally {
      await world.close();
    }
  } finally {
    await mock.close();
  }
}

function judge(directly, through) {
  const failures = [];
  let passed = 0;
  for (const [id, { outcome }] of directly) {
    const ours = through.get(id) ?? { outcome: 'MISSING' };
    if (outcome !== 'PASSED' || ours.outcome === 'PASSED') passed += 1;
    else failures.push(`openai-python-suite | ${id}: ${ours.outcome} through the Worker alone\n    ${ours.reason ?? ''}`);
  }
  return { passed, failures };
}

/** The key that the tests send, a route for each model that they name, and what the legacy model can. */
async function prepare(world) {
  await world.put(`key:${createHash('sha256').update(SUITE_KEY).digest('hex')}`, { name: 'suite', kept_at: 'mock' });
  await world.put('providers', { providers: world.providers, models: { [`mock/${LEGACY}`]: { can: ['completions'] } } });
  const sources = TESTS.flatMap((path) => filesOf(join(CACHE, 'source', path))).map((file) => readFileSync(file, 'utf8')).join('\n');
  const models = new Set([...MODELS, ...sources.matchAll(/model="([^"]+)"/g).map(([, model]) => model)]);
  for (const model of models) await world.put(`route:${model}`, { targets: [{ provider: 'mock', model }] });
}

function filesOf(path) {
  if (path.endsWith('.py')) return [path];
  return readdirSync(path, { recursive: true }).filter((name) => name.endsWith('.py')).map((name) => join(path, name));
}

/** Outcome by test: `{ outcome, reason }`. */
async function runTests(title, python, url) {
  const job = startJob(title);
  const args = ['-m', 'pytest', '-q', '-n0', '-rA', '--tb=no', '-p', 'no:cacheprovider', ...TESTS];
  // Wide enough for the reasons in the summary.
  const env = { COLUMNS: '400', TEST_API_BASE_URL: url, DEFER_PYDANTIC_BUILD: 'false', PYTHONDONTWRITEBYTECODE: '1' };
  const { output } = await run(python, args, { cwd: join(CACHE, 'source'), env });
  const outcomes = new Map([...output.matchAll(/^(PASSED|FAILED|ERROR) (\S+)(?: - (.*))?$/gm)].map(([, outcome, id, reason]) => [id, { outcome, reason }]));
  job.end(outcomes.size > 0 ? '✓' : '✗');
  if (outcomes.size === 0) throw new Problem('openai-python\'s tests did not run. pytest said:', { details: tail(output) });
  return outcomes;
}

/** The source distribution, unpacked into `source`. */
async function ensureTests(python) {
  if (existsSync(join(CACHE, 'source'))) return;
  const scratch = join(CACHE, 'scratch');
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  await must(python, ['-m', 'pip', 'download', '--quiet', '--no-deps', '--no-binary', ':all:', '--retries', '1', '--dest', scratch, `openai==${VERSION}`]);
  await must(python, ['-m', 'tarfile', '-e', join(scratch, `openai-${VERSION}.tar.gz`), scratch]);
  renameSync(join(scratch, `openai-${VERSION}`), join(CACHE, 'source'));
  rmSync(scratch, { recursive: true, force: true });
}

/** Returns the specification's path, after a look at its hash. */
async function ensureSpec(given) {
  const kept = join(CACHE, 'openapi.yml');
  const bytes = given !== undefined ? readFileSync(fromCaller(given)) : existsSync(kept) ? readFileSync(kept) : await fetchSpec();
  const md5 = createHash('md5').update(bytes).digest('hex');
  if (md5 !== SPEC_MD5) throw new Problem(`The specification is not the one of openai-python ${VERSION}: its MD5 is ${md5}, expected ${SPEC_MD5}.`);
  writeFileSync(kept, bytes);
  return kept;
}

async function fetchSpec() {
  try {
    const response = await fetch(SPEC_URL, { signal: AbortSignal.timeout(FETCHED_WITHIN_MS) });
    if (response.ok) return Buffer.from(await response.arrayBuffer());
    throw new Error(`status ${response.status}`);
  } catch (error) {
    throw new Problem(`OpenAI's specification could not be fetched (${error.message}). Give it with --spec FILE; it is ${SPEC_URL}`, { exitCode: CANNOT_RUN_HERE });
  }
}

async function startMock(spec) {
  const port = await freePort();
  const program = join(import.meta.dirname, 'npm', 'node_modules', '@stdy', 'cli', 'steady.js');
  const child = spawn(process.execPath, [program, '--host', '127.0.0.1', '-p', `${port}`, ...STEADY, spec], { stdio: 'ignore', detached: true });
  const forget = takeAlong(child);
  const ended = new Promise((resolve) => child.once('close', resolve)).finally(forget);
  const url = `http://127.0.0.1:${port}`;
  const isServing = () => fetch(`${url}/_x-steady/health`).then(({ ok }) => ok, () => false);
  await until('the mock to serve', isServing, { within_ms: SERVING_WITHIN_MS });
  const front = await startFront(url);
  return {
    url: front.url,
    async close() {
      await front.close();
      // The program in JavaScript starts another, in the same group.
      process.kill(-child.pid, 'SIGTERM');
      await ended;
    },
  };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
