// The lab's command line: starts one lab and says where it is.
//
// It prints one line of JSON when both servers listen, and ends on SIGINT or SIGTERM. Exit 0 after a
// signal, 1 if a port cannot be had, 2 for wrong usage.
// Not here: starting several labs. A process each keeps one lab's load out of another's timing.

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { ScriptError, startLab } from './lab.mjs';

const HELP = `Usage: node tests/lab/main.mjs [options]

Starts a scriptable provider on loopback that speaks the dialects of OpenAI, Anthropic,
Google, Cohere and Amazon Bedrock. Prints one JSON line when it is ready.

  --name NAME          what it calls itself in answers (lab)
  --port N             the provider's port (any free one)
  --control-port N     the control server's port (any free one)
  --script FILE.json   an object from model to script; see tests/lab/README.md
  --stdin-guard        end when standard input closes, so as to die with the parent
  --help               print this
`;

/** Something in the command line is wrong. */
class UsageError extends Error {}

function readFlags(args) {
  try {
    return parseArgs({
      args,
      options: {
        name: { type: 'string', default: 'lab' },
        port: { type: 'string', default: '0' },
        'control-port': { type: 'string', default: '0' },
        script: { type: 'string' },
        'stdin-guard': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error.message.split('. To specify')[0]);
  }
}

function readPort(flag, value) {
  if (!/^\d{1,5}$/.test(value) || Number(value) > 65_535) {
    throw new UsageError(`--${flag}: expected a port from 0 to 65535, got ${JSON.stringify(value)}`);
  }
  return Number(value);
}

async function readScript(path) {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`--script ${path}: ${error.message}`);
  }
}

async function main() {
  const flags = readFlags(process.argv.slice(2));
  if (flags.help) {
    process.stdout.write(HELP);
    return;
  }
  const lab = await startLab({
    name: flags.name,
    port: readPort('port', flags.port),
    controlPort: readPort('control-port', flags['control-port']),
    script: flags.script === undefined ? {} : await readScript(flags.script),
  });
  const end = async () => {
    await lab.close();
    process.exit(0);
  };
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  if (flags['stdin-guard']) {
    process.stdin.once('end', end).once('error', end).once('close', end);
    process.stdin.resume();
  }
  console.log(JSON.stringify({ name: lab.name, url: lab.url, control_url: lab.controlUrl, pid: process.pid }));
}

main().catch((error) => {
  if (error instanceof UsageError || error instanceof ScriptError) {
    console.error(`lab: ${error.message}\n\n${HELP}`);
    process.exit(2);
  }
  const reason = error.code === 'EADDRINUSE' ? 'it is already in use' : error.code;
  console.error(error.syscall === 'listen' ? `lab: cannot listen on port ${error.port}: ${reason}` : `lab: ${error.stack}`);
  process.exit(1);
});
