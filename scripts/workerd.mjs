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

import { endGroup } from './child.mjs';
import { IS_WINDOWS } from './project.mjs';

/** As wrangler.toml has them. */
const COMPATIBILITY = 'compatibilityDate = "2026-10-23", compatibilityFlags = ["enable_request_signal"]';

/**
 * Starts workerd on a free port of 127.0.0.1 and returns `{ url, pid, close }`. `modules` maps the name of a module to
 * its text, or to `{ path }` for a file; the first one runs, and a name that ends in `.wasm` is a compiled module.
 * The Worker may call 127.0.0.1.
 */
export async function startWorkerd(modules) {
  const folder = mkdtempSync(join(tmpdir(), 'waypost-workerd-'));
  const entries = Object.entries(modules).map(([name, content], place) => {
    const file = `${place}-${name}`;
    if (typeof content === 'string') writeFileSync(join(folder, file), content);
    else cpSync(content.path, join(folder, file));
    return `(name = "${name}", ${name.endsWith('.wasm') ? 'wasm' : 'esModule'} = embed "${file}")`;
  });
  writeFileSync(join(folder, 'config.capnp'), configText(entries));
  const { default: workerd } = createRequire(import.meta.url)('workerd');
  const child = spawn(workerd, ['serve', 'config.capnp', '--control-fd=3'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: !IS_WINDOWS,
  });
  const ended = once(child, 'close');
  const close = async () => {
    endGroup(child, 'SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    return { url: `http://127.0.0.1:${await portOf(child)}`, pid: child.pid, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function configText(modules) {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (modules = [${modules.join(', ')}], ${COMPATIBILITY}, globalOutbound = "net")),
    (name = "net", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;
}

/** workerd writes a line of JSON to the control pipe once it listens. */
function portOf(child) {
  let said = '';
  const hear = (text) => {
    said += text;
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`workerd ended with exit code ${code}: ${said}`)));
    child.stdio[3].setEncoding('utf8').on('data', (text) => {
      const port = /"event":"listen".*"port":(\d+)/.exec(text)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
}
