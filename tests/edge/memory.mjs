// How much memory the edge holds: its wasm, exactly, and its workerd, as Linux tells it.
//
// The wasm memory is where Waypost keeps things, and it never shrinks, so whatever leaks shows there to the page. The
// process holds the rest as well, with the garbage of V8 and of workerd itself: a hang-up over a service binding costs
// workerd some 23 KB that it does not give back, measured with a Worker of ten lines in Waypost's place. So the process
// is bounded widely, and the wasm tightly.
//
// Not here: what may grow and by how much. That is each test's.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/project.mjs';

const BUILD = join(ROOT, 'build');
const PAGE_BYTES = 4_096;

/** Runs before the Worker's own module, and keeps hold of the memory that this one makes. */
const SPY = `const Instance = WebAssembly.Instance;
WebAssembly.Instance = class extends Instance {
  constructor(module, imports) {
    super(module, imports);
    globalThis.wasmMemory = this.exports.memory;
  }
};`;
const ENTRY = `import './spy.js';
import { WorkerEntrypoint } from 'cloudflare:workers';
export { default } from './index.js';
export class Memory extends WorkerEntrypoint {
  fetch() {
    return Response.json(globalThis.wasmMemory.buffer.byteLength);
  }
}`;

/** Overrides of `startEdge` with which the built Worker has an entrypoint `Memory` that tells its wasm's size. */
export function withMemory() {
  const text = (name, contents) => ({ type: 'ESModule', path: join(BUILD, name), contents });
  const wasm = readdirSync(BUILD).filter((name) => name.endsWith('.wasm'));
  return {
    modules: [
      text('entry.js', ENTRY),
      text('spy.js', SPY),
      { type: 'ESModule', path: join(BUILD, 'index.js') },
      ...wasm.map((name) => ({ type: 'CompiledWasm', path: join(BUILD, name) })),
    ],
  };
}

/** The process of the workerd that this process started; null where there is no /proc to find it in. */
export function workerdPid() {
  const found = pids().find((pid) => {
    const stat = read(`/proc/${pid}/stat`);
    // The name stands in parentheses and may hold anything; after it come the state and the parent.
    const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(parent) === process.pid && stat.includes('(workerd)');
  });
  return found ?? null;
}

/** Bytes in memory now; 0 where nobody tells. */
export function residentBytes(pid) {
  const [, pages = 0] = pid === null ? [] : read(`/proc/${pid}/statm`).split(' ');
  return Number(pages) * PAGE_BYTES;
}

function pids() {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** A process may end while we look. */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
