// Which SDKs a run is about, from the command line.

import { nearest, parseFlags, wrongUsage } from '../../scripts/flags.mjs';
import { FAMILIES } from './families.mjs';

const SUITE = 'openai-python-suite';
const GROUPS = ['npm', 'pypi'];
const NAMES = [...FAMILIES.map(({ name }) => name), SUITE];

const USAGE = `usage: npm run test:sdk [-- --only NAME[,NAME]] [--spec FILE]

Runs the providers' own SDKs, unmodified, against the built Worker, with providers of every dialect behind it, and
openai-python's own test suite through it. Exit code 0 when all passed, 1 when one failed, 77 when something that a run
needs cannot be had on this machine.

  --only NAMES   run these alone: npm, pypi, or
                 ${NAMES.join(', ')}
  --spec FILE    the OpenAPI specification for ${SUITE}, where GitHub cannot be reached`;

/** Returns `{ families, withSuite, spec }`. Wrong usage is a `Problem`. */
export function parseChoice(args) {
  const { flags, positionals } = parseFlags(args, { only: 'NAME[,NAME]', spec: 'FILE' }, USAGE);
  if (positionals.length > 0) throw wrongUsage(`unexpected "${positionals[0]}"; names go after --only`, USAGE);
  const known = [...GROUPS, ...NAMES];
  const names = flags.only?.split(',').map((name) => name.trim()) ?? known;
  for (const name of names.filter((name) => !known.includes(name))) {
    const near = nearest(name, known);
    throw wrongUsage(`no SDK "${name}"${near ? `; did you mean ${near}?` : ''}`, USAGE);
  }
  const families = FAMILIES.filter(({ name, from }) => names.includes(name) || names.includes(from));
  return { families, withSuite: names.includes(SUITE), spec: flags.spec };
}
