// A Worker in bare workerd, without Miniflare or wrangler: what is measured and what is compared bit for bit.
//
// `startWorkerd` writes the modules and a config into a folder of its own and removes it at `close`. Miniflare halves
// the rate of requests and adds a process; here there is one process, whose CPU time can be read.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { endGroup, takeAlong } from './child.mjs';
import { IS_WINDOWS } from './project.mjs';

/** As wrangler.toml has them. */
const COMPATIBILITY = 'compatibilityDate = "2026-10-23", compatibilityFlags = ["enable_request_signal"]';

/** The Worker may call this machine and nothing else. */
const OUTBOUND = 'network = (allow = ["local"])';

/**
 * Starts workerd on a free port of 127.0.0.1 and returns `{ url, urls, pid, began_ms, close }`. `modules` maps the name of a module
 * to its text, or to `{ path }` for a file; the first one runs, and a name that ends in `.wasm` is a compiled module.
 * The Worker may call 127.0.0.1.
 *
 * - `bindings`: each as the config's language has it, `name = "KV", kvNamespace = "stubs"`
 * - `beside`: the name of another Worker in the same process, and its modules; `urls` has where each listens
 * - `compatibility`: as the config's language has it
 * - `prefix`: a command that runs workerd, as `taskset` does
 */
export async function startWorkerd(
  modules,
  { bindings = [], beside = {}, compatibility = COMPATIBILITY, prefix = [] } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'waypost-workerd-'));
  const services = Object.entries({ main: modules, ...beside }).map(([name, parts]) => ({
    name,
    modules: writeModules(folder, name, parts),
    bindings: name === 'main' ? bindings.map((binding) => `(${binding})`) : [],
  }));
  writeFileSync(join(folder, 'config.capnp'), configText(services, compatibility));
  const { default: workerd } = createRequire(import.meta.url)('workerd');
  const [program, ...args] = [...prefix, workerd, 'serve', 'config.capnp', '--control-fd=3'];
  const began_ms = performance.now();
  const child = spawn(program, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: !IS_WINDOWS,
  });
  const ended = once(child, 'close').finally(takeAlong(child));
  const close = async () => {
    endGroup(child, 'SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const ports = await portsOf(child, services.length);
    const urls = Object.fromEntries(ports.map(([name, port]) => [name, `http://127.0.0.1:${port}`]));
    return { url: urls.main, urls, pid: child.pid, began_ms, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function writeModules(folder, service, modules) {
  return Object.entries(modules).map(([name, content], place) => {
    const file = `${service}-${place}-${name}`;
    if (typeof content === 'string') writeFileSync(join(folder, file), content);
    else cpSync(content.path, join(folder, file));
    return `(name = "${name}", ${name.endsWith('.wasm') ? 'wasm' : 'esModule'} = embed "${file}")`;
  });
}

function configText(services, compatibility) {
  const workers = services.map(
    ({ name, modules, bindings }) =>
      `(name = "${name}", worker = (modules = [${modules.join(', ')}], bindings = [${bindings.join(', ')}], ${compatibility}, globalOutbound = "net")),`,
  );
  const sockets = services.map(
    ({ name }) => `(name = "${name}", address = "127.0.0.1:0", http = (), service = "${name}"),`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    ${workers.join('\n    ')}
    (name = "net", ${OUTBOUND}),
  ],
  sockets = [
    ${sockets.join('\n    ')}
  ],
);
`;
}

/** Name and port of each socket: workerd writes a line of JSON to the control pipe when one listens. */
function portsOf(child, count) {
  let said = '';
  const hear = (text) => {
    said += text;
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  return new Promise((resolve, reject) => {
    let heard = '';
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`workerd ended with exit code ${code}: ${said}`)));
    child.stdio[3].setEncoding('utf8').on('data', (text) => {
      heard += text;
      const lines = heard.split('\n').slice(0, -1);
      const listening = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'listen');
      if (listening.length === count) resolve(listening.map(({ socket, port }) => [socket, port]));
    });
  });
}
