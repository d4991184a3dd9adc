// Command line flags: reads them, and answers a wrong one with the usage and the nearest right one.
//
// A spec maps a flag's name to `true` (a switch) or to the name of its value. `--help` is always there:
// it prints the usage and ends the process with 0.

import util from 'node:util';

import { Problem } from './problem.mjs';

const HELP = { help: true };

/** Returns `{ flags, positionals }`; wrong usage is a `Problem` with exit code 2. */
export function parseFlags(args, spec, usage) {
  const known = { ...HELP, ...spec };
  const options = Object.fromEntries(
    Object.entries(known).map(([name, value]) => [name, { type: value === true ? 'boolean' : 'string' }]),
  );
  const { tokens, positionals } = util.parseArgs({
    args,
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const flags = {};
  for (const token of tokens.filter(({ kind }) => kind === 'option')) {
    flags[token.name] = flagValue(token, known, usage);
  }
  if (flags.help) {
    console.log(usage);
    process.exit(0);
  }
  return { flags, positionals };
}

export function wrongUsage(message, usage) {
  return new Problem(`${message}\n\n${usage}`, { exitCode: 2 });
}

/** A port, 0 meaning any free one. */
export function parsePort(text, usage) {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) {
    throw wrongUsage(`--port expects a number from 0 to 65535, got "${text}"`, usage);
  }
  return port;
}

function flagValue({ name, rawName, value }, known, usage) {
  if (!Object.hasOwn(known, name)) {
    const near = nearest(name, Object.keys(known));
    throw wrongUsage(`unknown flag ${rawName}${near ? `; did you mean --${near}?` : ''}`, usage);
  }
  if (known[name] === true) {
    if (value !== undefined) throw wrongUsage(`--${name} takes no value, got "${value}"`, usage);
    return true;
  }
  if (value === undefined || value === '' || value.startsWith('--')) {
    throw wrongUsage(`--${name} needs a value: --${name} ${known[name]}`, usage);
  }
  return value;
}

/** The closest of `names`, if one is close enough to be what was meant. */
export function nearest(word, names) {
  const [best] = names
    .map((name) => ({ name, distance: name.startsWith(word) ? 0 : editDistance(word, name) }))
    .sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= Math.max(1, word.length / 3) ? best.name : undefined;
}

function editDistance(a, b) {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j] + 1, row[j - 1] + 1));
    }
    previous = row;
  }
  return previous[b.length];
}
