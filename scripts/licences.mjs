// Checks what the crate depends on: every licence is one we may ship, and the wasm holds no crate twice.
//
//   node scripts/licences.mjs      run by `npm test`
//
// A second version of a crate costs every user bytes and start-up time, so it needs a reason below. Crates
// that only run during the build (procedural macros and what they use) may come twice.
// We do not use cargo-deny: compiling it takes longer than every other check together.

import './node-version.mjs';

import { run, tail } from './child.mjs';
import { parseFlags } from './flags.mjs';
import { Problem, runScript } from './problem.mjs';
import { isMain } from './project.mjs';

const WASM_TARGET = 'wasm32-unknown-unknown';

/** Permissive licences: none asks for our sources or for more than its notice. */
const ALLOWED = [
  '0BSD',
  'Apache-2.0',
  'Apache-2.0 WITH LLVM-exception',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BSL-1.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Unicode-3.0',
  'Unlicense',
  'Zlib',
];

/** Crate name -> why the wasm may hold two versions of it. */
const TWICE = {};

/** Returns the problems as sentences, and how many crates were looked at. */
async function checkDependencies() {
  const host = /^host: (\S+)/m.exec((await run('rustc', ['-vV'])).output)?.[1];
  const [wasmGraph, hostGraph] = [await metadata(WASM_TARGET), await metadata(host)];
  const crates = new Map(
    [wasmGraph, hostGraph].flatMap((graph) => usedCrates(graph)).map((crate) => [crate.id, crate]),
  );
  const problems = [...(await licenceProblems([...crates.values()])), ...duplicateProblems(wasmGraph)];
  return { problems, count: crates.size };
}

async function metadata(platform) {
  const { code, output } = await run('cargo', [
    'metadata',
    '--quiet',
    '--format-version',
    '1',
    '--filter-platform',
    platform,
  ]);
  if (code !== 0) throw new Problem('cargo metadata failed. It said:', { details: tail(output) });
  return JSON.parse(output.slice(output.indexOf('{"packages"')));
}

function usedCrates({ packages, resolve }) {
  const used = new Set(resolve.nodes.map(({ id }) => id));
  return packages.filter(({ id, source }) => used.has(id) && source !== null);
}

async function licenceProblems(crates) {
  const { default: satisfies } = await import('spdx-satisfies');
  return crates.flatMap(({ name, version, license }) => {
    if (!license) return [`${name} ${version} declares no licence`];
    // Crates older than the SPDX rule write "MIT/Apache-2.0" for a choice.
    return satisfies(license.replaceAll('/', ' OR '), ALLOWED)
      ? []
      : [`${name} ${version} has the licence ${license}, which is not on the list in scripts/licences.mjs`];
  });
}

function duplicateProblems(graph) {
  const versions = new Map();
  for (const { name, version } of shippedCrates(graph))
    versions.set(name, [...(versions.get(name) ?? []), version]);
  const twice = [...versions].filter(([, found]) => found.length > 1);
  return [
    ...twice
      .filter(([name]) => !(name in TWICE))
      .map(
        ([name, found]) =>
          `the wasm holds ${name} ${found.sort().join(' and ')}: find what asks for the older one (cargo tree --target ${WASM_TARGET} -i ${name})`,
      ),
    ...Object.keys(TWICE)
      .filter((name) => !twice.some(([found]) => found === name))
      .map((name) => `${name} is no longer there twice: take it off the list in scripts/licences.mjs`),
  ];
}

/** Every crate whose code can reach the wasm: normal dependencies, not through a procedural macro. */
function shippedCrates({ packages, resolve }) {
  const crates = new Map(packages.map((crate) => [crate.id, crate]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const isMacro = (id) => crates.get(id).targets.some(({ kind }) => kind.includes('proc-macro'));
  const seen = new Set();
  const visit = (id) => {
    if (seen.has(id) || isMacro(id)) return;
    seen.add(id);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) {
      if (kinds.some(({ kind }) => kind === null)) visit(pkg);
    }
  };
  visit(resolve.root);
  return [...seen].map((id) => crates.get(id));
}

if (isMain(import.meta.url)) {
  await runScript(async () => {
    parseFlags(process.argv.slice(2), {}, 'usage: node scripts/licences.mjs');
    const { problems, count } = await checkDependencies();
    if (problems.length > 0)
      throw new Problem('The dependencies have problems:', { details: problems.join('\n') });
    console.log(`${count} crates, all with a licence on the list, none twice in the wasm`);
  });
}
