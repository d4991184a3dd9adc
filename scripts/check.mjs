// `waypost check DIR`, run before a folder is loaded or pushed: a broken route is told here, with its path.

import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { run, tail } from './child.mjs';
import { Problem } from './problem.mjs';
import { ROOT } from './project.mjs';
import { say } from './screen.mjs';

const PROBLEMS_FOUND = 1;

/** Throws when the folder has problems, unless `force`. Where the CLI cannot run, the Worker still checks. */
export async function checkFolder(folder, { force = false } = {}) {
  if (!existsSync(join(ROOT, 'src', 'main.rs'))) return;
  const { code, output } = await run('cargo', ['run', '--quiet', '--bin', 'waypost', '--', 'check', folder], {
    title: `Checking ${folder}`,
    takes: 'a minute the first time',
  });
  if (code === 0) return;
  if (code !== PROBLEMS_FOUND) {
    say(
      `  "waypost check" did not run (exit code ${code}), going on without it:\n${tail(output).replace(/^/gm, '  | ')}`,
    );
  } else if (force) {
    say(`  going on as --force says, in spite of:\n${tail(output).replace(/^/gm, '  | ')}`);
  } else {
    throw new Problem(`${folder} has problems. Put them right, or go on anyway with --force:`, {
      details: output,
    });
  }
}
