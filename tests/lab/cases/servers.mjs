// The lab as a whole: down and up, the control server, and the command line.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FAULT_KINDS } from '../fault.mjs';
import { startLab } from '../lab.mjs';
import { bodyFor, call, eventually } from './caller.mjs';

const MAIN = fileURLToPath(new URL('../main.mjs', import.meta.url));

/** Runs the command line. `ready` resolves with its line of JSON, `ended` with `{ code, err }`. */
function run(args, stdin = 'ignore') {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: [stdin, 'pipe', 'pipe'] });
  let err = '';
  let out = '';
  child.stderr.on('data', (text) => { err += text; });
  const ready = new Promise((resolve) => child.stdout.on('data', (text) => {
    out += text;
    if (out.endsWith('\n') && out.startsWith('{')) resolve(JSON.parse(out));
  }));
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, out, err })));
  return { child, ready, ended };
}

export function testServers(lab) {
  const control = async (method, path, body) => {
    const answer = await fetch(lab.controlUrl + path, { method, body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
  };

  test('down refuses connections and ends those there are; up is on the same port', async () => {
    const open = call(lab, { script: { fault: { kind: 'stall', after_tokens: 1 } }, body: bodyFor('openai-chat', { stream: true }) });
    const slow = call(lab, { script: { ttft_ms: 60_000 }, body: bodyFor('openai-chat', { stream: true }) });
    await eventually(() => lab.calls().filter(({ status }) => status === 200).length === 2);
    await lab.down();
    assert.equal((await open).ending, 'cut');
    assert.equal((await slow).ending, 'cut');
    await eventually(() => lab.calls().every(({ outcome }) => outcome !== 'open'));
    assert.deepEqual(lab.calls().map(({ outcome }) => outcome).sort(), ['down', 'fault:stall']);
    assert.ok(lab.calls().every(({ client_closed_ms }) => client_closed_ms === null));
    assert.equal((await call(lab, {})).error, 'ECONNREFUSED');
    assert.deepEqual((await control('GET', '/healthz')).body, { name: 'lab', url: lab.url, is_up: false });
    await lab.down();
    assert.deepEqual((await control('POST', '/up')).body.is_up, true);
    assert.equal((await call(lab, {})).status, 200);
    assert.equal((await control('POST', '/down')).body.is_up, false);
    assert.equal((await call(lab, {})).error, 'ECONNREFUSED');
    await lab.up();
    await lab.up();
    assert.equal((await call(lab, {})).status, 200);
  });

  test('scripts are set, shown and removed over HTTP', async () => {
    const map = { 'fast-1': { text: 'one' }, 'slow*': { fault: { kind: 'stall' } } };
    assert.deepEqual(await control('PUT', '/script', map), { status: 200, body: map });
    assert.equal(JSON.parse((await call(lab, {})).body).choices[0].message.content, 'one');
    await control('PUT', `/script/${encodeURIComponent('org/model 1')}`, { tokens: 2 });
    await control('PUT', '/script/org/model', { tokens: 3 });
    assert.deepEqual((await control('GET', '/script')).body, { ...map, 'org/model 1': { tokens: 2 }, 'org/model': { tokens: 3 } });
    await control('DELETE', '/script/org/model');
    assert.ok(!('org/model' in (await control('GET', '/script')).body));
    assert.deepEqual((await control('DELETE', '/script')).body, {});
  });

  test('a wrong script is refused with its place, and changes nothing', async () => {
    lab.setScript('m', { tokens: 1 });
    const map = await control('PUT', '/script', { good: {}, 'a/b': { fault: { kind: 'kut' } }, c: { tokns: 1 } });
    assert.equal(map.status, 400);
    assert.deepEqual(map.body.problems.map(({ path }) => path), ['scripts["a/b"].fault.kind', 'scripts["c"].tokns']);
    assert.deepEqual(map.body.problems[0].valid, Object.keys(FAULT_KINDS));
    const one = await control('PUT', '/script/m', { chunking: 'line' });
    assert.deepEqual(one, {
      status: 400,
      body: {
        error: 'script.chunking: expected one of "event", "byte", "split", got "line"',
        problems: [{ path: 'script.chunking', message: 'expected one of "event", "byte", "split", got "line"' }],
      },
    });
    for (const [path, body] of [['/script', '{'], ['/script', '[]'], ['/script/m', 'null'], ['/script/%ff', '{}']]) {
      assert.equal((await control('PUT', path, body)).status, 400, path);
    }
    assert.deepEqual((await control('GET', '/script')).body, { m: { tokens: 1 } });
    lab.clearScripts();
  });

  test('calls are shown and cleared over HTTP', async () => {
    await control('DELETE', '/calls');
    await call(lab, {});
    await call(lab, { dialect: 'anthropic' });
    const { body } = await control('GET', '/calls');
    assert.deepEqual(body.map(({ dialect }) => dialect), ['openai-chat', 'anthropic']);
    assert.deepEqual(body, lab.calls());
    assert.deepEqual((await control('GET', `/calls?since=${body[0].n}`)).body.map(({ n }) => n), [body[1].n]);
    assert.equal((await control('GET', '/calls?since=x')).status, 400);
    assert.deepEqual((await control('GET', '/calls?from=1')).body, { error: 'from: is not a known parameter', valid: ['since'] });
    assert.deepEqual((await control('DELETE', '/calls')).body, []);
    assert.deepEqual(lab.calls(), []);
  });

  test('an unknown control route is told the known ones', async () => {
    const { status, body } = await control('POST', '/scripts');
    assert.equal(status, 404);
    assert.ok(body.valid.includes('PUT /script/<model>'));
  });

  test('two labs with one name and seed answer alike, and a busy port is an error', async () => {
    const twin = await startLab({ script: { 'fast-1': { tokens: 40 } } });
    lab.setScript('fast-1', { tokens: 40 });
    const textOf = async (each) => JSON.parse((await call(each, {})).body).choices[0].message.content;
    assert.equal(await textOf(twin), await textOf(lab));
    await assert.rejects(startLab({ port: twin.port }), { code: 'EADDRINUSE' });
    await assert.rejects(startLab({ script: { m: { nope: 1 } } }), { name: 'ScriptError' });
    const { port, controlUrl } = twin;
    await twin.close();
    await twin.close();
    assert.equal((await call({ port }, {})).error, 'ECONNREFUSED');
    await assert.rejects(fetch(`${controlUrl}/healthz`));
    await assert.rejects(startLab({ port, controlPort: lab.port }), { code: 'EADDRINUSE' });
    assert.equal((await call({ port }, {})).error, 'ECONNREFUSED', 'a lab that could not start holds no port');
    lab.clearScripts();
  });

  test('the command line starts a lab, and ends on a signal', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lab-'));
    const file = join(folder, 'scripts.json');
    await writeFile(file, JSON.stringify({ 'fast-1': { text: 'from a file' } }));
    const { child, ready, ended } = run(['--name', 'quick', '--script', file]);
    const { name, url, control_url, pid } = await ready;
    assert.deepEqual([name, pid], ['quick', child.pid]);
    const seen = await call({ port: Number(new URL(url).port) }, {});
    assert.equal(JSON.parse(seen.body).choices[0].message.content, 'from a file');
    assert.equal((await (await fetch(`${control_url}/healthz`)).json()).url, url);
    child.kill('SIGTERM');
    assert.equal((await ended).code, 0);
    await rm(folder, { recursive: true });
  });

  test('with the guard, the command line ends when its input does', async () => {
    const { child, ready, ended } = run(['--stdin-guard'], 'pipe');
    await ready;
    child.stdin.end();
    assert.equal((await ended).code, 0);
  });

  test('the command line says what is wrong with it', async () => {
    const busy = new URL(lab.url).port;
    const cases = [
      [['--nme', 'x'], 2, /Unknown option '--nme'[^]*--control-port N/],
      [['stray'], 2, /stray/],
      [['--port', '70000'], 2, /--port: expected a port from 0 to 65535, got "70000"/],
      [['--control-port', 'x'], 2, /--control-port: expected a port/],
      [['--script', '/no/such/file.json'], 2, /--script \/no\/such\/file\.json: ENOENT/],
      [['--port', busy], 1, new RegExp(`cannot listen on port ${busy}: it is already in use`)],
      [['--control-port', busy], 1, new RegExp(`cannot listen on port ${busy}`)],
    ];
    const results = await Promise.all(cases.map(([args]) => run(args).ended));
    results.forEach(({ code, err }, at) => {
      assert.equal(code, cases[at][1], err);
      assert.match(err, cases[at][2]);
    });
    const help = await run(['--help']).ended;
    assert.equal(help.code, 0);
    assert.match(help.out, /^Usage: node tests\/lab\/main\.mjs/);
  });
}
