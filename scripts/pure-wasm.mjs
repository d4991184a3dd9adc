// Compiles `benches/`, the pure part of the router, to wasm as the Worker is compiled, and runs it in workerd.
//
// The tests that compare host and wasm need it, and `npm run bench`. It imports nothing, so it needs no bindings and
// no worker-build: cargo, then the same wasm-opt as the Worker's.

import { join } from 'node:path';

import { WASM_FEATURES } from './build.mjs';
import { run, tail } from './child.mjs';
import { Problem } from './problem.mjs';
import { ROOT, npmProgram } from './project.mjs';
import { startWorkerd } from './workerd.mjs';

const FOLDER = join(ROOT, 'benches');
const TARGET = join(FOLDER, 'target');
const BUILT = join(TARGET, 'wasm32-unknown-unknown', 'release', 'waypost_bench.wasm');
const PURE_WASM = join(TARGET, 'pure.wasm');

/** One call of the module for each request: the path names the function, the query its numbers, the body its input. */
const WORKER = `
import wasm from './pure.wasm';
const { exports: pure } = new WebAssembly.Instance(wasm);
const output = (length) => new Uint8Array(pure.memory.buffer, pure.output(), length).slice();
function take(bytes) {
  const at = pure.input(bytes.length);
  new Uint8Array(pure.memory.buffer, at, bytes.length).set(bytes);
}
const functions = {
  nothing: () => '',
  set_up: (number) => (pure.set_up(number('targets')), ''),
  decide: (number) => String(pure.decide(number('times'))),
  write_body: (number) => String(pure.write_body(number('bytes'))),
  outline: (number) => String(pure.outline(number('times'))),
  prepare: () => String(pure.prepare()),
  memory: () => String(pure.memory.buffer.byteLength),
  replay: (number, bytes) => (take(bytes), output(pure.replay_all())),
};
export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const bytes = new Uint8Array(await request.arrayBuffer());
    return new Response(functions[pathname.slice(1)]((name) => Number(searchParams.get(name)), bytes));
  },
};
`;

export async function buildPureWasm() {
  const steps = [
    ['cargo', 'build', '--release', '--lib', '--target', 'wasm32-unknown-unknown', '--target-dir', TARGET],
    [npmProgram('wasm-opt'), BUILT, ...WASM_FEATURES, '-O', '--strip-debug', '-o', PURE_WASM],
  ];
  for (const [program, ...args] of steps) {
    const { code, output } = await run(program, args, { cwd: FOLDER });
    if (code !== 0)
      throw new Problem('Compiling the pure part to wasm failed. It said:', { details: tail(output) });
  }
}

/** Starts a fresh runtime. `call(name, numbers, input)` gives the function's answer as text. */
export async function startPure() {
  const { url, pid, close } = await startWorkerd({ 'worker.mjs': WORKER, 'pure.wasm': { path: PURE_WASM } });
  const call = async (name, numbers = {}, input = undefined) => {
    const answer = await fetch(`${url}/${name}?${new URLSearchParams(numbers)}`, {
      method: 'POST',
      body: input,
    });
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  };
  return { call, pid, close };
}
