// `npm run bench`: what Waypost costs, on this machine.
//
//   npm run bench -- decide     a decision, on the host and in wasm under workerd
//   npm run bench -- edge       a request and a stream through the built Worker, beside a floor and peers
//
// Figures of one machine at one hour: compare those of one run.

import './node-version.mjs';

import { benchDecide } from './bench-decide.mjs';
import { benchEdge } from './bench-edge.mjs';
import { wrongUsage } from './flags.mjs';
import { runScript } from './problem.mjs';

// What was started beside us ends at 'exit', which a signal alone does not bring about.
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

const PARTS = { decide: benchDecide, edge: benchEdge };

const USAGE = `usage: npm run bench [-- decide | edge] [flags]

  decide   what a decision and the reading of a body cost, on the host and in wasm under workerd
  edge     what a request and a stream cost through the built Worker, beside a pass-through worker and peers

Without a name, both with their defaults. Each tells its flags with --help.`;

await runScript(async () => {
  const [name, ...flags] = process.argv.slice(2);
  if (name === undefined) {
    for (const bench of Object.values(PARTS)) await bench([]);
    return;
  }
  if (name === '--help') {
    console.log(USAGE);
    return;
  }
  if (!Object.hasOwn(PARTS, name)) throw wrongUsage(`there is no benchmark "${name}"`, USAGE);
  await PARTS[name](flags);
});
