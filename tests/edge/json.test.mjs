// JSONTestSuite's cases as request bodies, through workerd: what is JSON is answered and reaches the provider as it is, what is not is a
// 400 that says so, and the Worker answers the next request whatever came before.
//
// The cases and their licence are in tests/json/. The host looks at the same cases without HTTP (tests/suite/json.rs).

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

import { pathFor, startExact } from './exact.mjs';
import { startWorld } from './world.mjs';

const BASES = {
  'openai-chat': '"messages":[{"role":"user","content":"hi"}]',
  'openai-responses': '"input":"hi"',
  anthropic: '"max_tokens":9,"messages":[{"role":"user","content":"hi"}]',
  gemini: '"contents":[{"parts":[{"text":"hi"}]}]',
};

const text = await readFile(new URL('../json/JSONTestSuite.txt', import.meta.url), 'utf8');
/** `{ name, bytes }` */
const CASES = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => {
  const [name, times, bytes, rest = ''] = line.split(' ');
  return { name, bytes: Buffer.concat([...Array.from({ length: Number(times) }, () => Buffer.from(bytes, 'hex')), Buffer.from(rest, 'hex')]) };
});
const casesOf = (kind) => CASES.filter(({ name }) => name.startsWith(`${kind}_`));

let world;
let exact;
before(async () => {
  exact = await startExact();
  world = await startWorld({ labs: ['first'], providers: exact.providers });
});
after(() => Promise.all([world?.close(), exact?.close()]));

async function send(dialect, parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const response = await world.fetch(pathFor(dialect, 'm'), { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  return { status: response.status, text: await response.text() };
}

for (const [dialect, base] of Object.entries(BASES)) {
  describe(dialect, () => {
    const head = dialect === 'gemini' ? `{${base}` : `{"model":"exact-${dialect}/m",${base}`;
    /** The case as the value of a field that nobody knows. */
    const asValue = (bytes) => send(dialect, [`${head},"x_case":`, bytes, '}']);

    test('what is JSON is answered, and reaches the provider as it is', async () => {
      for (const { name, bytes } of casesOf('y')) {
        const { status, text } = await asValue(bytes);
        assert.equal(status, 200, `${name}: ${text}`);
        const sent = Buffer.concat([Buffer.from('"x_case":'), bytes]);
        assert.ok(exact.received().includes(sent), `${name}: ${exact.received()}`);
        const inner = bytes.toString('utf8').trim();
        if (!inner.startsWith('{')) continue;
        const rest = inner.slice(1);
        const whole = await send(dialect, [head, rest.trim() === '}' ? '' : ',', rest]);
        assert.equal(whole.status, 200, `${name} as a body: ${whole.text}`);
      }
    });

    test('what is not is refused as such', async () => {
      for (const { name, bytes } of casesOf('n')) {
        for (const { status, text } of [await send(dialect, [bytes]), await asValue(bytes)]) {
          assert.equal(status, 400, `${name}: ${text}`);
          const { error } = JSON.parse(text);
          assert.match(error.message, /JSON|is missing|expected an object/, name);
        }
      }
    });

    test('what may be either is no fault of ours, and the next request is answered', async () => {
      for (const { name, bytes } of casesOf('i')) {
        for (const { status, text } of [await send(dialect, [bytes]), await asValue(bytes)]) {
          assert.ok(status === 200 || status === 400, `${name}: ${status} ${text}`);
        }
      }
      assert.equal((await asValue('1')).status, 200);
    });
  });
}
