import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseFlags, parsePort } from './flags.mjs';

const SPEC = { config: 'DIR', port: 'N', json: true };

function refusal(args) {
  try {
    return parseFlags(args, SPEC, 'usage');
  } catch (error) {
    assert.equal(error.exitCode, 2);
    assert.match(error.message, /\n\nusage$/);
    return error.message.split('\n')[0];
  }
}

test('flags take their value in either form, in any order', () => {
  assert.deepEqual(parseFlags(['--port=1', 'DIR', '--json', '--config', 'x'], SPEC, ''), {
    flags: { port: '1', json: true, config: 'x' },
    positionals: ['DIR'],
  });
});

test('wrong usage names the flag, and the one that was meant', () => {
  assert.equal(refusal(['--confg', 'x']), 'unknown flag --confg; did you mean --config?');
  assert.equal(refusal(['--conf', 'x']), 'unknown flag --conf; did you mean --config?');
  assert.equal(refusal(['--zebra']), 'unknown flag --zebra');
  assert.equal(refusal(['-p', '1']), 'unknown flag -p; did you mean --port?');
  assert.equal(refusal(['--config']), '--config needs a value: --config DIR');
  assert.equal(refusal(['--config', '--json']), '--config needs a value: --config DIR');
  assert.equal(refusal(['--json=yes']), '--json takes no value, got "yes"');
});

test('a port is a whole number that fits', () => {
  assert.equal(parsePort('0', ''), 0);
  for (const text of ['', '-1', '65536', '80a', '1e3'])
    assert.throws(() => parsePort(text, ''), /--port expects/);
});
