// Where records go besides the store: OpenTelemetry and a webhook, each by itself, over real sockets.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Webhook } from 'standardwebhooks';

import { startWorld, until } from './world.mjs';

const CHAT = '/v1/chat/completions';
const SECRET = `whsec_${Buffer.from('a key of thirty-two bytes, long.').toString('base64')}`;
const OLD_SECRET = `whsec_${Buffer.from('the key that it is to replace...').toString('base64')}`;
/** Retries come after 1, 2 and 4 seconds, each with the second that a batch waits. */
const WITHIN = { within_ms: 30_000, every_ms: 100 };

/** A server that keeps what it was sent; `status(count)` is what it answers to the count-th request. */
async function startReceiver(status = () => 200) {
  const requests = [];
  const server = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', async () => {
      requests.push({ path: request.url, headers: request.headers, body: Buffer.concat(parts).toString() });
      response.writeHead(await status(requests.length), { location: '/elsewhere' }).end('{}');
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { requests, url: `http://127.0.0.1:${server.address().port}`, close };
}

describe('records', () => {
  let world;
  let collector;
  let hook;
  let id;
  before(async () => {
    collector = await startReceiver();
    // Down for two tries, with a redirect that must not be followed.
    hook = await startReceiver((count) => [503, 302][count - 1] ?? 200);
    world = await startWorld({
      bindings: {
        OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
        OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20abc,x-tenant = acme',
        OTEL_SERVICE_NAME: 'our-edge',
        WAYPOST_WEBHOOK_URL: `${hook.url}/hook?a=b`,
        WAYPOST_WEBHOOK_SECRET: `${SECRET} ${OLD_SECRET}`,
      },
    });
    const model = await world.route([{ lab: 'first', script: { fault: { kind: 'status', status: 503 } } }, { lab: 'second' }]);
    const response = await world.post(CHAT, { model, stream: true, messages: [{ role: 'user', content: 'a secret prompt' }] });
    assert.equal(response.status, 200, await response.text());
    id = response.headers.get('x-waypost-id');
  });
  after(async () => {
    await world?.close();
    collector.close();
    hook.close();
  });

  test('are traces with a span for the exchange and one for each attempt', async () => {
    const request = await until('a trace', () => collector.requests[0], WITHIN);
    const { authorization, 'x-tenant': tenant, 'content-type': type } = request.headers;
    assert.deepEqual([request.path, authorization, tenant, type], ['/v1/traces', 'Bearer abc', 'acme', 'application/json']);
    const [{ resource, scopeSpans: [{ spans }] }] = JSON.parse(request.body).resourceSpans;
    assert.deepEqual(resource.attributes[0], { key: 'service.name', value: { stringValue: 'our-edge' } });
    const { attempts } = await world.record(id);
    assert.equal(spans.length, 1 + attempts.length);
    const [root, ...calls] = spans;
    assert.match(root.traceId, /^[0-9a-f]{32}$/);
    assert.ok(calls.every(({ traceId, parentSpanId, kind }) => traceId === root.traceId && parentSpanId === root.spanId && kind === 3));
    assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, spans.length);
    const of = ({ attributes }, name) => attributes.find(({ key }) => key === name)?.value;
    assert.deepEqual(of(root, 'waypost.record.id'), { stringValue: id });
    assert.deepEqual(calls.map((span) => of(span, 'error.type')?.stringValue), attempts.map(({ outcome }) => outcome === 'ok' ? undefined : outcome));
    assert.deepEqual(of(calls.at(-1), 'gen_ai.usage.output_tokens'), { intValue: '24' });
    for (const { startTimeUnixNano: start, endTimeUnixNano: end } of spans) {
      assert.ok(BigInt(root.startTimeUnixNano) <= BigInt(start) && BigInt(start) <= BigInt(end) && BigInt(end) <= BigInt(root.endTimeUnixNano));
    }
    assert.ok(!request.body.includes('secret'));
  });

  test('reach a webhook signed, in the end, under one id', async () => {
    await until('the third try', () => hook.requests.length >= 3, WITHIN);
    const [, , { path, headers, body }] = hook.requests;
    assert.equal(path, '/hook?a=b');
    for (const secret of [SECRET, OLD_SECRET]) {
      const event = new Webhook(secret).verify(body, headers);
      assert.equal(event.type, 'records.stored');
      assert.deepEqual(event.data.records, [await world.record(id)]);
      assert.match(event.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    const spoilt = body.replace('completed', 'rejected');
    assert.throws(() => new Webhook(SECRET).verify(spoilt, headers), /signature/i);
    const ids = hook.requests.map((request) => request.headers['webhook-id']);
    assert.equal(new Set(ids).size, 1, 'a retry has the id of the first try');
    assert.equal(collector.requests.length, 1, 'the other sink gets nothing again');
    const { requests } = await (await world.mf.getD1Database('DB')).prepare('SELECT completed AS requests FROM rollups WHERE minute = 0').first();
    assert.equal(requests, 1, 'and nothing is counted again');
  });
});

describe('a sink that is set up wrongly', () => {
  let world;
  let hook;
  before(async () => {
    hook = await startReceiver();
    world = await startWorld({
      bindings: { WAYPOST_WEBHOOK_URL: hook.url, WAYPOST_WEBHOOK_SECRET: 'too short' },
      overrides: {
        queueConsumers: {
          'waypost-records': { maxBatchTimeout: 1, maxRetries: 0, deadLetterQueue: 'waypost-records-dead' },
          'waypost-records-dead': { maxBatchTimeout: 1 },
        },
      },
    });
  });
  after(async () => {
    await world?.close();
    hook.close();
  });

  test('sends nothing unsigned, says what is wrong, and loses nothing', async () => {
    const model = await world.route([{ lab: 'first' }]);
    const response = await world.post(CHAT, { model, messages: [{ role: 'user', content: 'hi' }] });
    await response.text();
    const id = response.headers.get('x-waypost-id');
    await world.record(id);
    const dead = await until('a dead letter', async () => (await (await world.admin('/dead')).json()).dead[0], WITHIN);
    const letter = await (await world.admin(`/dead/${dead.name}`)).json();
    assert.deepEqual([letter.sink, letter.records[0].id], ['webhook', id]);
    assert.ok(world.logs.some((log) => log.includes('WAYPOST_WEBHOOK_SECRET: expected')), world.logs.join('\n'));
    assert.ok(!world.logs.some((log) => log.includes('too short')));
    assert.deepEqual(hook.requests, []);
  });
});

describe('a sink that does not answer', () => {
  const MESSAGES = 40;
  const AT_ONCE = 6;
  let world;
  let collector;
  let hook;
  before(async () => {
    collector = await startReceiver();
    hook = await startReceiver(() => new Promise(() => {}));
    world = await startWorld({
      bindings: {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        WAYPOST_WEBHOOK_URL: hook.url,
        WAYPOST_WEBHOOK_SECRET: SECRET,
      },
    });
  });
  after(async () => {
    await world?.close();
    collector.close();
    hook.close();
  });

  test('holds up neither the records behind it nor the other sink for more than one wait', async () => {
    const model = await world.route([{ lab: 'first' }]);
    const response = await world.post(CHAT, { model, messages: [{ role: 'user', content: 'hi' }] });
    await response.text();
    const record = await world.record(response.headers.get('x-waypost-id'));
    const queue = await world.mf.getQueueProducer('RECORDS');
    const message = (id) => ({ body: JSON.stringify({ v: 1, records: [{ ...record, id }] }), contentType: 'text' });
    await queue.sendBatch(Array.from({ length: MESSAGES }, (_, place) => message(`before-${place}`)));
    await until('a try', () => hook.requests.length > 0, WITHIN);
    await queue.sendBatch([message('behind')]);
    await until('the record behind', async () => (await world.admin('/records/behind')).status === 200, WITHIN);
    await until('all traces', () => collector.requests.length >= MESSAGES + 2, WITHIN);
    assert.ok(hook.requests.length <= 2 * AT_ONCE, `${hook.requests.length} tries`);
  });
});
