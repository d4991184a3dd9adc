// `npm run test:sdk`: sets up, builds, and runs the SDKs (`matrix.mjs`) under the Node that Miniflare needs.

import '../../scripts/node-version.mjs';

import { join } from 'node:path';

import { build } from '../../scripts/build.mjs';
import { runInteractive } from '../../scripts/child.mjs';
import { runScript } from '../../scripts/problem.mjs';
import { ROOT, node22 } from '../../scripts/project.mjs';
import { setUp } from '../../scripts/setup.mjs';
import { parseChoice } from './choice.mjs';

await runScript(async () => {
  const args = process.argv.slice(2);
  parseChoice(args);
  await build(await setUp());
  return runInteractive(node22(), [join(ROOT, 'tests', 'sdk', 'matrix.mjs'), ...args]);
});
