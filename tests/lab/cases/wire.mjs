// How bytes leave the lab: cuts, line ends, waits, slow readers, hanging up, and what the log keeps.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { GONE, Reply } from '../reply.mjs';
import { bodyFor, call, DIALECTS, eventsOf, eventually, saidIn } from './caller.mjs';

const withoutIds = (text) => text.replaceAll(/"(id|created)":("[^"]*"|\d+)/g, '');
const asked = { stream: true };

export function testWire(lab) {
  const ask = (dialect, script, more = asked, rest = {}) => call(lab, { dialect, script, body: bodyFor(dialect, more), ...rest });
  const lastCall = () => eventually(() => lab.calls().at(-1).outcome !== 'open' && lab.calls().at(-1));

  test('one write per event, cut events and single bytes carry the same bytes', async () => {
    for (const dialect of DIALECTS) {
      const script = { text: 'Ünï cödé — 日本語 🙂 end' };
      const plain = await ask(dialect, { ...script });
      const bytes = await ask(dialect, { ...script, chunking: 'byte' });
      const split = await ask(dialect, { ...script, chunking: 'split' });
      assert.equal(saidIn(plain).text, script.text);
      assert.equal(withoutIds(bytes.body.toString()), withoutIds(plain.body.toString()));
      assert.equal(withoutIds(split.body.toString()), withoutIds(plain.body.toString()));
      assert.equal(plain.chunks.length, eventsOf(plain).length);
      assert.ok(plain.chunks.every((chunk) => chunk.toString().endsWith('\n\n')));
      assert.ok(bytes.chunks.every((chunk) => chunk.length === 1));
      assert.equal(split.chunks.length, 2 * eventsOf(split).length);
    }
  });

  test('a cut may fall inside a character', async () => {
    const { chunks } = await ask('anthropic', { text: `${'🙂'.repeat(40)} `.repeat(20), chunking: 'split' });
    const isUtf8 = (bytes) => Buffer.from(bytes.toString('utf8')).equals(bytes);
    assert.ok(chunks.some((chunk) => !isUtf8(chunk)));
  });

  test('lines end as the script says', async () => {
    for (const dialect of DIALECTS) {
      for (const script of [{ line_ending: 'crlf' }, { line_ending: 'crlf', tokens_per_s: 0 }, { line_ending: 'crlf', fault: { kind: 'garbled' } }]) {
        const text = (await ask(dialect, script)).body.toString();
        assert.equal(text.replaceAll('\r\n', '').search(/[\r\n]/), -1);
        assert.ok(text.includes('\r\n\r\n'));
      }
      assert.ok(!(await ask(dialect, {})).body.includes('\r'));
    }
  });

  test('the headers and the first token wait as long as they were told', async () => {
    for (const dialect of DIALECTS) {
      for (const script of [{ headers_ms: 30 }, { ttft_ms: 30 }, { ttft_ms: 30, tokens_per_s: 0 }]) {
        for (const stream of [true, false]) {
          const started = performance.now();
          assert.equal((await ask(dialect, script, { stream })).ending, 'whole');
          assert.ok(performance.now() - started >= 29);
          const { first_byte_ms } = await lastCall();
          if (script.headers_ms || !stream) assert.ok(first_byte_ms >= 29, String(first_byte_ms));
        }
      }
    }
  });

  test('tokens come one after the other, and an unstreamed answer when its last token would', async () => {
    for (const stream of [true, false]) {
      const started = performance.now();
      await ask('openai-chat', { tokens: 5, tokens_per_s: 100 }, { stream });
      assert.ok(performance.now() - started >= 39);
    }
  });

  test('what comes before the first token comes at once, then signs of life until it is there', async () => {
    for (const dialect of DIALECTS) {
      const events = eventsOf(await ask(dialect, { text: 'late', ttft_ms: 150, keepalive_ms: 5 }));
      const isSign = ({ event, comment }) => event === 'ping' || comment === 'keep-alive';
      const first = events.findIndex(({ data }) => JSON.stringify(data)?.includes('late'));
      assert.match(JSON.stringify(events[0].data), /role|message_start/);
      assert.ok(isSign(events[1]));
      assert.ok(first > 1);
      const silent = eventsOf(await ask(dialect, { text: 'late', ttft_ms: 20 }));
      assert.equal(silent.filter(({ comment }) => comment !== null).length, 0);
    }
  });

  test('an unstreamed answer has no signs of life in its JSON', async () => {
    const seen = await ask('openai-chat', { ttft_ms: 30, keepalive_ms: 1, text: 'a' }, {});
    assert.equal(JSON.parse(seen.body).choices[0].message.content, 'a');
  });

  test('a reader who does not read is waited for', async () => {
    const channel = diagnostics.channel('http.server.request.start');
    let response = null;
    const note = (message) => { response = message.response; };
    channel.subscribe(note);
    const text = JSON.stringify(bodyFor('openai-chat', asked));
    const script = JSON.stringify({ text: 'a b', ttft_ms: 0, fault: { kind: 'big_line', bytes: 40_000_000 } });
    const socket = net.connect(lab.port, '127.0.0.1');
    socket.pause();
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: lab\r\nconnection: close\r\nx-lab-script: ${script}\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
    await eventually(() => response?.writableNeedDrain);
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
    assert.ok(response.writableLength < 1_000_000, `${response.writableLength} bytes are queued`);
    channel.unsubscribe(note);
    let bytes = 0;
    socket.on('data', (part) => { bytes += part.length; });
    socket.resume();
    await new Promise((resolve) => socket.on('close', resolve));
    assert.ok(bytes > 40_000_000);
    assert.equal((await lastCall()).outcome, 'fault:big_line');
  });

  test('when the client hangs up, the log says so and no timer is left', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const waits = [
      [{ headers_ms: 60_000 }, asked, null],
      [{ ttft_ms: 60_000 }, {}, null],
      [{ ttft_ms: 60_000, keepalive_ms: 50_000 }, asked, (seen) => seen.status === 200],
      [{ tokens_per_s: 0.01 }, asked, (seen) => saidIn(seen).tokens === 1],
    ];
    for (const [script, more, until] of waits) {
      const since = lab.calls().at(-1).n;
      if (until === null) {
        // There is nothing to see, so we hang up as soon as the request has arrived.
        const text = JSON.stringify(bodyFor('openai-chat', more));
        const socket = net.connect(lab.port, '127.0.0.1');
        socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: lab\r\nx-lab-script: ${JSON.stringify(script)}\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
        await eventually(() => lab.calls(since)[0]?.model);
        socket.destroy();
      } else {
        await ask('openai-chat', script, more, { until });
      }
      const { outcome, client_closed_ms, ended_ms } = await lastCall();
      assert.equal(outcome, 'client_gone');
      assert.equal(client_closed_ms, ended_ms);
      assert.ok(client_closed_ms < 5_000);
    }
    assert.ok(timers() <= before, `${timers()} timers, ${before} before`);
  });

  test('what waits for a client that has gone is told so', async () => {
    const waits = {
      forever: (reply) => reply.waitForever(),
      'for a while': (reply) => reply.waitUntil(60_000),
      'for a reader': async (reply) => {
        reply.head(200, {});
        for (;;) await reply.write(Buffer.alloc(1_000_000));
      },
    };
    for (const [how, wait] of Object.entries(waits)) {
      const socket = new net.Socket();
      const server = http.createServer();
      const outcome = new Promise((resolve) => {
        server.on('request', (req, res) => {
          wait(new Reply(res, {}, () => false)).catch(resolve);
          setImmediate(() => socket.destroy());
        });
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      socket.connect(server.address().port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nhost: lab\r\n\r\n'));
      assert.equal(await outcome, GONE, how);
      server.close();
    }
  });

  test('a client that leaves in the middle of its request is in the log', async () => {
    const socket = net.connect(lab.port, '127.0.0.1');
    const since = lab.calls().at(-1).n;
    socket.write('POST /v1/messages HTTP/1.1\r\nhost: lab\r\ncontent-length: 100\r\n\r\n{"model":');
    await eventually(() => lab.calls(since).length === 1);
    socket.destroy();
    assert.equal((await lastCall()).outcome, 'client_gone');
  });

  test('the log has what arrived, without the keys', async () => {
    lab.clearCalls();
    const body = `${JSON.stringify(bodyFor('openai-chat', asked))}   `;
    await call(lab, { script: {}, body, path: '/v1/chat/completions?x=1', headers: { authorization: 'Bearer sk-secret-1234', 'x-api-key': 'other-5678', 'x-trace': 'abc' } });
    const kept = await lastCall();
    const { n, at_ms, headers, first_byte_ms, ended_ms, ...rest } = kept;
    assert.deepEqual(rest, {
      method: 'POST', path: '/v1/chat/completions?x=1', dialect: 'openai-chat', model: 'fast-1', stream: true, body,
      body_bytes: body.length, body_sha256: createHash('sha256').update(body).digest('hex'), status: 200, outcome: 'complete', client_closed_ms: null,
    });
    assert.deepEqual([headers.authorization, headers['x-api-key'], headers['x-trace']], ['1234', '5678', 'abc']);
    assert.ok(first_byte_ms >= 0 && ended_ms >= first_byte_ms);
    assert.ok(Math.abs(Date.now() - at_ms) < 10_000);
    assert.ok(!JSON.stringify(lab.calls()).includes('secret'));
    assert.deepEqual(lab.calls(n), []);
    lab.clearCalls();
    await call(lab, {});
    assert.deepEqual(lab.calls().map((each) => each.n), [n + 1]);
  });

  test('of a long body the log keeps the start, and the hash of all', async () => {
    const body = JSON.stringify(bodyFor('openai-chat', { messages: [{ role: 'user', content: 'é'.repeat(1_000_000) }] }));
    await call(lab, { script: {}, body });
    const { body: kept, body_bytes, body_sha256 } = await lastCall();
    assert.equal(Buffer.byteLength(body), body_bytes);
    assert.ok(Buffer.byteLength(kept) <= 1_048_580 && body.startsWith(kept.slice(0, -1)));
    assert.equal(body_sha256, createHash('sha256').update(body).digest('hex'));
  });

  test('a connection serves many calls', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const headers = { 'x-lab-script': '{"tokens_per_s":0,"ttft_ms":0}' };
    const ports = [];
    for (let n = 0; n < 5; n += 1) {
      const request = http.request(`${lab.url}/v1/chat/completions`, { method: 'POST', agent, headers });
      request.end(JSON.stringify(bodyFor('openai-chat', asked)));
      const [response] = await once(request, 'response');
      ports.push(response.socket.localPort);
      let text = '';
      for await (const part of response) text += part;
      assert.match(text, /\[DONE\]\n\n$/);
    }
    assert.equal(new Set(ports).size, 1);
    agent.destroy();
  });
}
