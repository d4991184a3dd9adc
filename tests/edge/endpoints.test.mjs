// What is no conversation: embeddings, legacy completions, token counts, images, sounds, moderation. The SDKs of OpenAI and
// Anthropic as they come from npm, and a provider that has all of it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';

import { KEY, startWorld, until } from './world.mjs';

const CLOSED_WITHIN_MS = 100;
/** A busy machine may keep any process waiting so long; no machine does so each time. */
const TRIES = 3;
const VECTOR = [0.25, -1, 3.5];
/** With CR, LF and dashes, as a boundary has them, and long enough for many pieces. */
const SOUND = Buffer.concat([Buffer.from('\r\n--\r\r\n'), randomBytes(300_000), Buffer.from('\r\n--')]);
const PRICE = { usd_per_mtok: { in: 10, out: 0 } };

const fails = (promise) => promise.then(assert.fail, (error) => error);

let world;
let native;
before(async () => {
  native = await startNative();
  const common = { base_url: `${native.url}/v1`, auth: 'none' };
  world = await startWorld({
    providers: { native: { dialect: 'openai-chat', ...common }, 'native-anthropic': { dialect: 'anthropic', ...common } },
  });
});
after(() => Promise.all([world?.close(), native?.close()]));

/** A provider. What it does goes by the model's name: `x!status` answers with that status, the other words are below. */
async function startNative() {
  const calls = [];
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const body = Buffer.concat(pieces);
    const fields = fieldsOf(request, body);
    const call = { path: request.url, headers: request.headers, body, model: fields.model, closed_at_ms: null };
    calls.push(call);
    response.on('close', () => { call.closed_at_ms = Date.now(); });
    const fault = fields.model.split('!')[1];
    if (fault === 'silence') return;
    if (/^\d+$/.test(fault)) {
      response.writeHead(Number(fault), { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: 'as scripted', type: 'invalid_request_error', code: null, param: 'voice' } }));
      return;
    }
    if (fault === 'html') return void response.setHeader('content-type', 'text/html').end('<html>');
    answer(request.url.replace('/v1', ''), fields, fault, response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}`, calls, of: (model) => calls.filter((call) => call.model.startsWith(model)), close };
}

function fieldsOf(request, body) {
  if (!request.headers['content-type']?.startsWith('multipart/')) return JSON.parse(body);
  const text = body.toString('latin1');
  const value = (name) => new RegExp(`name="${name}"\r\n\r\n(.*?)\r\n--`, 's').exec(text)?.[1];
  return { model: value('model'), response_format: value('response_format'), stream: value('stream') === 'true' };
}

function answer(path, { input, encoding_format, response_format, stream, model, prompt }, fault, response) {
  const json = (body) => response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  const events = (list) => response.setHeader('content-type', 'text/event-stream').end(list.map((data) => `data: ${data}\n\n`).join(''));
  const tokens = { input_tokens: 50, output_tokens: 272, total_tokens: 322 };
  switch (path) {
    case '/embeddings': {
      const encoded = Buffer.from(new Float32Array(VECTOR).buffer).toString('base64');
      const embedding = encoding_format === 'base64' ? encoded : VECTOR;
      const data = [input].flat().map((_, index) => ({ object: 'embedding', index, embedding }));
      if (fault === 'cut') return response.setHeader('content-type', 'application/json').end(JSON.stringify({ data }).slice(0, -9));
      return json(fault === 'nothing' ? { object: 'list' } : { object: 'list', model, data, usage: { prompt_tokens: 8, total_tokens: 8 } });
    }
    case '/completions': {
      const chunk = (fields) => JSON.stringify({ id: 'cmpl-1', object: 'text_completion', created: 1, model, ...fields });
      const choice = (text, finish_reason) => ({ choices: [{ text, index: 0, logprobs: null, finish_reason }] });
      const usage = { usage: { prompt_tokens: 2, completion_tokens: 2, total_tokens: 4 } };
      if (stream) return events([chunk(choice(' a', null)), chunk(choice(' time', 'stop')), chunk({ choices: [], ...usage }), '[DONE]']);
      return response.setHeader('content-type', 'application/json').end(chunk({ ...choice(` after ${JSON.stringify(prompt)}`, 'stop'), ...usage }));
    }
    case '/images/generations':
    case '/images/edits':
      if (stream) return events(['{"type":"image_generation.partial_image","b64_json":"AA=="}', JSON.stringify({ type: 'image_generation.completed', b64_json: 'AAAA', usage: tokens })]);
      return json({ created: 1, data: [{ b64_json: 'A'.repeat(200_000) }], usage: { ...tokens, input_tokens_details: { image_tokens: 40, text_tokens: 10 } } });
    case '/audio/speech':
      response.writeHead(200, { 'content-type': 'audio/mpeg', ...(fault === 'known' ? { 'content-length': SOUND.length } : {}) });
      if (fault === 'small') return response.end('ID3');
      if (fault === 'cut') return response.write(SOUND.subarray(0, 100_000), () => setImmediate(() => response.destroy()));
      if (fault === 'endless') {
        const timer = setInterval(() => response.write(SOUND.subarray(0, 1_000)), 10);
        return response.on('close', () => clearInterval(timer));
      }
      return response.end(SOUND);
    case '/audio/transcriptions':
    case '/audio/translations':
      if (response_format === 'text') return response.setHeader('content-type', 'text/plain; charset=utf-8').end('Grüße.\n');
      if (stream) return events(['{"type":"transcript.text.delta","delta":"Hi"}', '{"type":"transcript.text.done","text":"Hi"}']);
      return json({ text: 'Grüße.', usage: { type: 'tokens', input_tokens: 14, input_token_details: { audio_tokens: 14, text_tokens: 0 }, output_tokens: 45, total_tokens: 59 } });
    case '/moderations':
      return json({ id: 'modr-1', model, results: [{ flagged: false, categories: {}, category_scores: {} }] });
    default:
      return response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"no such path"}}');
  }
}

let names = 0;
/** Puts a route whose targets are the provider's models, tried in this order, and gives its name. */
async function route(models, fields = {}) {
  names += 1;
  const name = `end-${names}`;
  const target = (model, place) => ({ id: String(place), provider: 'native', model: `${name}${model}`, weight: 2 ** -place, ...PRICE });
  const targets = models.map((model, place) => (typeof model === 'string' ? target(model, place) : { ...target('', place), ...model }));
  await world.put(`route:${name}`, { targets, temperature: 0, ...fields });
  return name;
}

const recordOf = (name) => until(`the record of ${name}`, async () => (await world.records(1, 200)).find((record) => record.route === name), { every_ms: 150 });

describe('embeddings', () => {
  test('come as the SDK wants them; the record has endpoint, usage and cost', async () => {
    const model = await route(['a']);
    const { data, response } = await world.openai().embeddings.create({ model, input: ['one', 'two'] }).withResponse();
    assert.deepEqual(data.data.map(({ embedding }) => [...embedding]), [VECTOR, VECTOR]);
    assert.equal(data.usage.prompt_tokens, 8);
    assert.equal(response.headers.get('x-waypost-target'), '0');
    const [call] = native.of(model);
    assert.deepEqual([call.path, call.headers['content-type']], ['/v1/embeddings', 'application/json']);
    const { traits, attempts, outcome } = await recordOf(model);
    assert.equal(traits.endpoint, 'embeddings');
    assert.deepEqual([attempts[0].usage.prompt, attempts[0].usage.is_estimated, outcome.cost_micro_usd], [8, false, 80]);
  });

  test('are passed on byte for byte but for the model', async () => {
    const model = await route(['b']);
    const body = `{ "input" : "h\\u0069","model":"${model}","dimensions":3 , "user":"u"}`;
    const response = await world.post('/v1/embeddings', body);
    assert.equal(response.status, 200);
    assert.equal(native.of(model)[0].body.toString(), body.replace(`"${model}"`, `"${model}b"`));
  });

  for (const fault of ['500', 'html', 'cut', 'nothing']) {
    test(`fail over on ${fault}, to the same model alone`, async () => {
      const name = `end-${names + 1}`;
      const same = { model: `${name}x!${fault}` };
      world.labs.first.setScript(same.model, { fault: { kind: 'status', status: 500 } });
      const model = await route([`x!${fault}`, 'other', { id: 'lab', provider: 'first', ...same }]);
      const response = await world.post('/v1/embeddings', { model, input: 'hi' });
      assert.equal(response.status, 502, 'the other model must not be asked');
      assert.ok(world.labs.first.calls().some((call) => call.model === same.model), 'the same model is asked elsewhere');
      const asked = native.of(model).map((call) => call.model);
      assert.deepEqual([...new Set(asked)], [`${model}x!${fault}`]);
      const any = await route([`x!${fault}`, 'other'], { embeddings: 'any_model' });
      assert.equal((await world.openai().embeddings.create({ model: any, input: 'hi' })).model, `${any}other`);
    });
  }

  test('go to no target that cannot make them, with a reason for each', async () => {
    const model = await route([{ id: 'claude', provider: 'first-anthropic' }, { id: 'talker', can: ['tools'] }]);
    const error = await fails(world.openai().embeddings.create({ model, input: 'hi' }));
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.match(error.message, /claude: its dialect has no \/embeddings; talker: lacks embeddings/);
    const missing = await fails(world.openai().embeddings.create({ model }));
    assert.deepEqual([missing.status, missing.code, missing.param], [400, 'missing_field', 'input']);
  });
});

describe('legacy completions', () => {
  for (const dialect of ['openai-chat', 'anthropic']) {
    test(`of a target that speaks ${dialect}, whole and streamed`, async () => {
      const model = await world.route([{ lab: 'first', dialect, script: { tokens: 12 } }]);
      const said = `first here, model ${model}-0. You said: Once upon. The lab answers every`;
      const create = (fields) => world.openai().completions.create({ model, prompt: 'Once upon', ...fields });
      const whole = await create();
      assert.deepEqual([whole.object, whole.choices[0].text, whole.choices[0].finish_reason], ['text_completion', said, 'stop']);
      assert.equal(whole.usage.completion_tokens, 12);
      const chunks = [];
      for await (const chunk of await create({ stream: true })) chunks.push(chunk);
      assert.equal(chunks.map(({ choices }) => choices[0]?.text ?? '').join(''), said);
      assert.deepEqual(chunks.flatMap(({ choices }) => choices).map(({ finish_reason }) => finish_reason).filter(Boolean), ['stop']);
      assert.equal(chunks.at(-1).usage.completion_tokens, 12);
      const limited = await create({ max_tokens: 3 });
      assert.equal(limited.choices[0].finish_reason, 'length');
    });
  }

  test('of a target that has them are passed on as they come', async () => {
    const model = await route([{ can: ['completions'] }]);
    const whole = await world.openai().completions.create({ model, prompt: ['a', 'b'], suffix: 'z', logprobs: 2 });
    assert.equal(whole.choices[0].text, ' after ["a","b"]');
    let text = '';
    for await (const { choices } of await world.openai().completions.create({ model, prompt: 'a', stream: true })) text += choices[0]?.text ?? '';
    assert.equal(text, ' a time');
    assert.deepEqual(native.of(model).map(({ path }) => path), ['/v1/completions', '/v1/completions']);
  });

  test('are refused where no conversation has words for them', async () => {
    const model = await world.route([{ lab: 'first' }]);
    for (const fields of [{ suffix: 'z' }, { echo: true }, { best_of: 2 }, { logprobs: 1 }, { prompt: [1, 2] }, { prompt: ['a', 'b'] }]) {
      const error = await fails(world.openai().completions.create({ model, prompt: 'a', ...fields }));
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.match(error.message, new RegExp(`leave \`${Object.keys(fields)[0]}\` out, or give the route a target that has \`completions\``));
    }
  });
});

describe('token counts', () => {
  const anthropic = () => new Anthropic({ baseURL: world.url, apiKey: KEY, maxRetries: 0 });
  const count = (model) => anthropic().messages.countTokens({ model, messages: [{ role: 'user', content: 'Hello there' }] }).withResponse();

  test('are the provider\'s where the first target speaks Anthropic\'s dialect, else an estimate', async () => {
    const own = await world.route([{ lab: 'first', dialect: 'anthropic' }, { lab: 'second' }]);
    const { data, response } = await count(own);
    assert.equal(response.headers.get('x-waypost-count'), 'provider');
    assert.ok(data.input_tokens > 0);
    assert.deepEqual(world.calls('first', own).map(({ path }) => path), ['/v1/messages/count_tokens']);
    await anthropic().beta.messages.countTokens({ model: own, betas: ['some-beta-2026-11-22'], messages: [{ role: 'user', content: 'Hello' }] });
    const { headers } = world.calls('first', own).at(-1);
    assert.match(headers['anthropic-beta'], /some-beta-2026-11-22/);
    const other = await world.route([{ lab: 'first' }, { lab: 'second', dialect: 'anthropic' }]);
    const estimated = await count(other);
    assert.equal(estimated.response.headers.get('x-waypost-count'), 'estimate');
    assert.ok(estimated.data.input_tokens > 0);
    assert.equal(world.calls('second', other).length, 0);
    const { traits, outcome, attempts } = await recordOf(own);
    assert.deepEqual([traits.endpoint, outcome.cost_micro_usd, attempts[0].usage], ['count_tokens', 0, undefined]);
  });

  test('harm no target whose provider has no such path', async () => {
    const model = await route([{ id: 'own', provider: 'native-anthropic' }]);
    for (let time = 0; time < 5; time += 1) {
      assert.equal((await count(model)).response.headers.get('x-waypost-count'), 'estimate');
    }
    const told = await (await world.post('/v1/route', { model, messages: [{ role: 'user', content: 'hi' }] })).json();
    assert.equal(told.decision.candidates[0].excluded, undefined);
  });

  test('raise the SDK\'s classes', async () => {
    assert.ok((await fails(count('nowhere'))) instanceof Anthropic.NotFoundError);
    const client = new Anthropic({ baseURL: world.url, apiKey: 'wrong', maxRetries: 0 });
    assert.ok((await fails(client.messages.countTokens({ model: 'x', messages: [] }))) instanceof Anthropic.AuthenticationError);
    assert.ok((await fails(anthropic().messages.countTokens({ model: 'x' }))) instanceof Anthropic.BadRequestError);
  });
});

describe('images', () => {
  test('are generated, whole and streamed', async () => {
    const model = await route(['!500', 'a']);
    const { data } = await world.openai().images.generate({ model, prompt: 'a cat' });
    assert.equal(data[0].b64_json.length, 200_000);
    const events = [];
    for await (const event of await world.openai().images.generate({ model, prompt: 'a cat', stream: true })) events.push(event.type);
    assert.deepEqual(events, ['image_generation.partial_image', 'image_generation.completed']);
    const { traits, attempts } = await recordOf(model);
    assert.equal(traits.endpoint, 'image_generations');
    assert.equal(attempts[0].outcome, 'server_error');
  });

  test('are edited: the form reaches the provider, its model alone another', async () => {
    const model = await route(['a']);
    const image = await toFile(SOUND, 'a.png', { type: 'image/png' });
    const { data, usage } = await world.openai().images.edit({ model, image, prompt: 'Grüße' });
    assert.equal(data.length, 1);
    assert.equal(usage.input_tokens, 50);
    const [call] = native.of(model);
    assert.ok(call.body.includes(SOUND), 'the image came unharmed');
    assert.ok(call.body.includes('Grüße'));
    assert.equal(call.body.toString('latin1').split('name="model"').length, 2);
    assert.match(call.headers['content-type'], /^multipart\/form-data; boundary=/);
  });

  test('need no model where there is a route for them', async () => {
    await world.put('route:images', { targets: [{ provider: 'native', model: 'unnamed-images' }] });
    const { data } = await world.openai().images.generate({ prompt: 'a cat' });
    assert.equal(data.length, 1);
    assert.equal(native.of('unnamed-images').length, 1);
  });
});

describe('sounds', () => {
  for (const fault of ['', '!known', '!500', '!html']) {
    test(`are spoken, byte for byte${fault && `, after ${fault}`}`, async () => {
      const model = await route([fault, 'last']);
      const response = await world.openai().audio.speech.create({ model, voice: 'alloy', input: 'Hello there' });
      assert.equal(response.headers.get('content-type'), 'audio/mpeg');
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(SOUND));
      const { outcome, attempts } = await recordOf(model);
      assert.equal(outcome.code, 'completed');
      assert.equal(attempts.at(-1).is_relayed, true);
    });
  }

  test('are spoken in a few bytes as well', async () => {
    const model = await route(['!small']);
    const response = await world.openai().audio.speech.create({ model, voice: 'alloy', input: 'hi' });
    assert.equal(await response.text(), 'ID3');
  });

  test('that break off are torn, never ended', async () => {
    const model = await route(['!cut', 'last']);
    const response = await world.post('/v1/audio/speech', { model, voice: 'alloy', input: 'hi' });
    assert.equal(response.status, 200);
    await assert.rejects(response.arrayBuffer());
    const { outcome } = await recordOf(model);
    assert.deepEqual([outcome.code, outcome.error], ['cut', 'cut_off']);
    assert.deepEqual(native.of(model).map((call) => call.model), [`${model}!cut`]);
  });

  test('the caller\'s mistake is told in the provider\'s words', async () => {
    const model = await route(['!400', 'last']);
    const error = await fails(world.openai().audio.speech.create({ model, voice: 'nobody', input: 'hi' }));
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.deepEqual([error.param, native.of(model).length], ['voice', 1]);
  });

  test('the client hangs up, and the provider is let go', async () => {
    const took_ms = [];
    do {
      const model = await route(['!endless', 'last']);
      const body = JSON.stringify({ model, voice: 'alloy', input: 'hi' });
      const { hostname, port } = new URL(world.url);
      const socket = connect(Number(port), hostname);
      const head = ['POST /v1/audio/speech HTTP/1.1', 'host: edge', `authorization: Bearer ${KEY}`, `content-length: ${body.length}`];
      socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
      await once(socket, 'data');
      socket.destroy();
      const left_at_ms = Date.now();
      const { closed_at_ms } = await until('the provider to be let go', () => native.of(model).find((call) => call.closed_at_ms !== null));
      took_ms.push(closed_at_ms - left_at_ms);
      const { outcome, attempts } = await recordOf(model);
      assert.deepEqual([outcome.code, attempts.map((attempt) => attempt.outcome)], ['client_gone', ['abandoned']]);
    } while (took_ms.at(-1) > CLOSED_WITHIN_MS && took_ms.length < TRIES);
    assert.ok(took_ms.at(-1) <= CLOSED_WITHIN_MS, `closed after ${took_ms.join(', ')} ms`);
  });

  test('are written down, as JSON, as text and as events', async () => {
    const model = await route(['!429', 'last']);
    const file = () => toFile(SOUND, 'a.mp3');
    const create = async (fields) => world.openai().audio.transcriptions.create({ model, file: await file(), ...fields });
    assert.equal((await create()).text, 'Grüße.');
    assert.equal(await create({ response_format: 'text' }), 'Grüße.\n');
    const events = [];
    for await (const { type } of await create({ stream: true })) events.push(type);
    assert.deepEqual(events, ['transcript.text.delta', 'transcript.text.done']);
    assert.equal((await world.openai().audio.translations.create({ model, file: await file() })).text, 'Grüße.');
    assert.ok(native.of(model).every((call) => call.body.includes(SOUND)));
  });
});

describe('forms', () => {
  const send = (body, type = 'multipart/form-data; boundary=b') => world.post('/v1/audio/transcriptions', body, { 'content-type': type });
  const part = (name, value) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;

  test('that cannot be read are refused by name', async () => {
    const cases = [
      [part('model', 'x'), 'body'],
      [`${part('model', 'x')}${part('model', 'y')}--b--`, 'model'],
      [`${part('file', 'x')}--b--`, 'model'],
      [`${part('model', '')}--b--`, 'model'],
      ['{}', 'body'],
    ];
    for (const [body, field] of cases) {
      const response = await send(body);
      const { error } = await response.json();
      assert.deepEqual([response.status, error.param], [400, field], JSON.stringify([body, error]));
    }
    const { error } = await (await send('x', 'multipart/form-data')).json();
    assert.equal(error.param, 'content-type');
    const speech = await world.post('/v1/audio/speech', part('model', 'x'), { 'content-type': 'multipart/form-data; boundary=b' });
    assert.deepEqual([speech.status, (await speech.json()).error.param], [400, 'content-type']);
  });

  test('are held to the size of any body', async () => {
    const response = await send(Buffer.alloc(17 * 1024 * 1024));
    assert.equal(response.status, 413);
  });
});

test('moderation without a model goes to the route of its name', async () => {
  await world.put('route:moderation', { targets: [{ provider: 'native', model: 'unnamed-moderation' }] });
  const { results } = await world.openai().moderations.create({ input: 'hi' });
  assert.equal(results[0].flagged, false);
  assert.equal(native.of('unnamed-moderation').length, 1);
});
