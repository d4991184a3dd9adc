// Runs another program: keeps what it says, times it, and takes it along when this process must stop.
//
// A child has a process group of its own. Ctrl-C and SIGTERM to this process end the whole group, so that
// cargo's rustc or a test's workerd do not outlive us, and then this process with 130 or 143.
// Children read nothing: stdin is closed, so a program that asks a question fails instead of waiting.

import { spawn } from 'node:child_process';

import { IS_WINDOWS, ROOT } from './project.mjs';
import { startJob } from './screen.mjs';

/** Enough for the longest test log; what is older is dropped. */
const OUTPUT_CHARS_MAX = 4_000_000;
const TAIL_LINES = 25;

const running = new Set();

/**
 * Runs to the end and returns `{ code, output, stdout, seconds }`, where `output` has both streams as they came and
 * `stdout` that one alone; code 127 means it could not be started. With a
 * `title` the screen shows it as a job; `onStop` tidies up if we are stopped meanwhile.
 */
export async function run(command, args, { title, takes, cwd = ROOT, env = {}, onStop } = {}) {
  const job = title === undefined ? undefined : startJob(title, takes);
  const startMs = Date.now();
  const { code, output, stdout } = await finish(command, args, { cwd, env: { ...process.env, ...env } }, onStop);
  job?.end(code === 0 ? '✓' : '✗');
  return { code, output, stdout, seconds: (Date.now() - startMs) / 1000 };
}

/** The last lines of a program's output, for an error message. */
export function tail(output) {
  return output.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}

const NETWORK_WORDS = new RegExp(
  [
    'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|timed? ?out',
    'network (is )?unreachable|spurious network error|dns error',
    "(could not|couldn't) (resolve|connect)|failed to (download|fetch|connect)",
  ].join('|'),
  'i',
);

/** Whether the output of npm, cargo or rustup speaks of a network that is not there. */
export function isNetworkFailure(output) {
  return NETWORK_WORDS.test(output);
}

function finish(command, args, options, onStop) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: !IS_WINDOWS,
      windowsHide: true,
      // Node refuses to start a .cmd file without a shell.
      shell: IS_WINDOWS && command.endsWith('.cmd'),
    });
    const entry = { child, onStop };
    let output = '';
    let stdout = '';
    const keep = (text) => {
      output = (output + text).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      keep(text);
      stdout = (stdout + text).slice(-OUTPUT_CHARS_MAX);
    });
    child.stderr.setEncoding('utf8').on('data', keep);
    hold(entry);
    const end = (code) => {
      release(entry);
      resolve({ code, output, stdout });
    };
    child.on('error', (error) => {
      keep(`${command}: ${error.message}\n`);
      end(127);
    });
    child.on('close', (code) => end(code ?? 1));
  });
}

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 };

/** Listens to signals only while a child runs: a listener takes their default, ending us, away. */
function hold(entry) {
  if (running.size === 0) for (const signal of Object.keys(EXIT_CODES)) process.on(signal, stopAll);
  running.add(entry);
}

function release(entry) {
  running.delete(entry);
  if (running.size === 0) for (const signal of Object.keys(EXIT_CODES)) process.off(signal, stopAll);
}

function stopAll(signal) {
  for (const { child, onStop } of running) {
    endGroup(child, 'SIGTERM');
    onStop?.();
  }
  process.exit(EXIT_CODES[signal]);
}

/** Signals a child and all it started. */
export function endGroup(child, signal) {
  try {
    if (IS_WINDOWS) child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch (error) {
    // macOS answers EPERM for a group of which only the dead are left.
    if (!['ESRCH', 'EPERM'].includes(error.code)) throw error;
  }
}

/** Runs a program that talks to the person itself, on our own terminal. Returns its exit code. */
export function runInteractive(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

const companions = new Set();

/** Ends a child that runs beside us when this process exits. Call what it returns once the child has ended. */
export function takeAlong(child) {
  if (!process.listeners('exit').includes(endCompanions)) process.on('exit', endCompanions);
  companions.add(child);
  return () => companions.delete(child);
}

function endCompanions() {
  for (const child of companions) endGroup(child, 'SIGKILL');
}
