// This repository as the scripts see it: its root, its settings, and the programs in node_modules.
//
// Settings are the "waypost" key of package.json. Nothing here changes anything.

import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { Problem } from './problem.mjs';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
export const IS_WINDOWS = process.platform === 'win32';

const NODE_MODULES = join(ROOT, 'node_modules');

/** True in the file that `node FILE` was given, so that a module can also be a command. */
export function isMain(moduleUrl) {
  return process.argv[1] !== undefined && pathToFileURL(realpathSync(process.argv[1])).href === moduleUrl;
}

/** A path as the person typed it: npm changes to the root first, and tells where it was called. */
export function fromCaller(path) {
  return resolve(process.env.INIT_CWD ?? process.cwd(), path);
}

export function settings() {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).waypost;
}

/** A program that an npm package brings. */
export function npmProgram(name) {
  return join(NODE_MODULES, '.bin', IS_WINDOWS ? `${name}.cmd` : name);
}

/** The Node 22 that Miniflare and wrangler need: the pinned one, else this one if it is new enough. */
export function node22() {
  const pinned = join(NODE_MODULES, 'node', 'bin', IS_WINDOWS ? 'node.exe' : 'node');
  if (existsSync(pinned)) return pinned;
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  throw new Problem(
    `The npm package "node" brought no Node 22 for ${process.platform}/${process.arch}, and this is ${process.version}. ` +
      'Install Node 22 or newer and try again.',
  );
}

/** Command and arguments that run this project's wrangler. */
export function wranglerCommand(...args) {
  return [node22(), join(NODE_MODULES, 'wrangler', 'bin', 'wrangler.js'), ...args];
}
