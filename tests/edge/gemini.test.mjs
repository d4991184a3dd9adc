// Gemini's API: what Google's npm SDK gets, whichever dialect the target speaks, what reached a provider that speaks it,
// and how a service account shows who calls.

import assert from 'node:assert/strict';
import { createVerify, generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { ApiError, FunctionCallingConfigMode, GoogleGenAI, Type } from '@google/genai';

import { KEY, startWorld, until } from './world.mjs';

const FIXTURES = new URL('../dialects/gemini/', import.meta.url);
const TOKEN_S = 3600;
const fails = (promise) => promise.then(assert.fail, (error) => error);

const WEATHER = {
  name: 'weather',
  description: 'The weather in a place.',
  parametersJsonSchema: {
    type: 'object',
    properties: { place: { type: 'string' }, unit: { enum: ['celsius', 'kelvin'] } },
    required: ['place', 'unit'],
  },
};
const CLOCK = {
  name: 'clock',
  parameters: { type: Type.OBJECT, properties: { zone: { type: Type.STRING } }, required: ['zone'] },
};
const PERSON = {
  type: Type.OBJECT,
  properties: { name: { type: Type.STRING }, age: { type: Type.INTEGER, minimum: 18 } },
  required: ['name', 'age'],
};
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** A number in a schema that says at least 18. Anthropic takes no bounds, so the model there is told in words, and the lab cannot read. */
const AGES = { 'openai-chat': 18, anthropic: 1 };
let world;
let native;
before(async () => {
  native = await startNative();
  const account = (fields) => JSON.stringify({
    type: 'service_account',
    client_email: 'router@lab.iam.gserviceaccount.com',
    private_key_id: 'k1',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    token_uri: `${native.url}/token`,
    ...fields,
  });
  const gemini = (auth) => ({ dialect: 'gemini', base_url: `${native.url}/v1beta`, auth });
  world = await startWorld({
    providers: {
      native: gemini({ header: { name: 'x-goog-api-key', secret: 'G_KEY' } }),
      asked: gemini({ query: { name: 'key', secret: 'G_KEY' } }),
      vertex: gemini({ google_service_account: 'ACCOUNT' }),
      'vertex-broken': gemini({ google_service_account: 'BROKEN_ACCOUNT' }),
      'vertex-afar': gemini({ google_service_account: 'AFAR_ACCOUNT' }),
      'vertex-refused': gemini({ google_service_account: 'REFUSED_ACCOUNT' }),
    },
    bindings: {
      G_KEY: 'g-secret',
      ACCOUNT: account({}),
      BROKEN_ACCOUNT: account({ private_key: 'not a key' }),
      AFAR_ACCOUNT: account({ token_uri: 'http://token.example/token' }),
      REFUSED_ACCOUNT: account({ token_uri: `${native.url}/refuse` }),
    },
  });
});
after(() => Promise.all([world?.close(), native?.close()]));

/** A provider that speaks Gemini and says what the fixtures of the case `text` say, and Google's place for tokens. */
async function startNative() {
  const [whole, stream] = await Promise.all(['text.answer.json', 'text.stream.txt'].map((name) => readFile(new URL(name, FIXTURES))));
  const calls = [];
  const grants = [];
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const body = Buffer.concat(pieces).toString('utf8');
    if (request.url === '/token' || request.url === '/refuse') {
      grants.push(Object.fromEntries(new URLSearchParams(body)));
      response.statusCode = request.url === '/token' ? 200 : 400;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(
        request.url === '/token'
          ? { access_token: `token-${grants.length}`, expires_in: TOKEN_S, token_type: 'Bearer' }
          : { error: 'invalid_grant', error_description: 'Invalid grant: account not found' },
      ));
      return;
    }
    calls.push({ url: request.url, body, key: request.headers['x-goog-api-key'], authorization: request.headers.authorization });
    const isStream = request.url.includes(':streamGenerateContent?alt=sse');
    response.setHeader('content-type', isStream ? 'text/event-stream' : 'application/json; charset=UTF-8');
    response.end(isStream ? stream : whole);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}`, calls, grants, whole, stream, close };
}

/** Google's SDK as a caller sets it up. */
const genai = (apiKey = KEY) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: world.url } });
const generate = (fields) => genai().models.generateContent({ contents: 'hi', ...fields });

async function chunksOf(fields) {
  const chunks = [];
  for await (const chunk of await genai().models.generateContentStream({ contents: 'hi', ...fields })) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map(({ text }) => text ?? '').join('');

for (const dialect of ['openai-chat', 'anthropic']) {
  describe(`a target that speaks ${dialect}`, () => {
    const route = (script) => world.route([{ lab: 'first', dialect, script }]);
    const said = (model) => `first here, model ${model}-0. You said: hi. The lab answers every call`;

    test('answers whole, with usage', async () => {
      const model = await route({ tokens: 12 });
      const answer = await generate({ model });
      assert.equal(answer.text, said(model));
      assert.equal(answer.candidates[0].finishReason, 'STOP');
      assert.equal(answer.modelVersion, `${model}-0`);
      const { promptTokenCount, candidatesTokenCount, totalTokenCount } = answer.usageMetadata;
      assert.deepEqual([promptTokenCount, candidatesTokenCount, totalTokenCount], [4, 12, 16]);
      assert.equal(answer.sdkHttpResponse.headers['x-waypost-target'], 'first');
    });

    test('streams token by token, and ends with the reason and usage', async () => {
      const model = await route({ tokens: 12 });
      const chunks = await chunksOf({ model });
      assert.equal(textOf(chunks), said(model));
      assert.equal(chunks.filter(({ text }) => text).length, 12);
      const ends = chunks.map(({ candidates }) => candidates[0].finishReason).filter(Boolean);
      assert.deepEqual(ends, ['STOP']);
      assert.equal(chunks.at(-1).candidates[0].finishReason, 'STOP');
      assert.equal(chunks.at(-1).usageMetadata.candidatesTokenCount, 12);
    });

    test('keeps a chat, streamed, of which the SDK holds the history', async () => {
      const model = await route({ tokens: 12 });
      const chat = genai().chats.create({ model, config: { systemInstruction: 'Be terse.' } });
      const turns = [];
      for (const message of ['One', 'Two']) {
        for await (const { text } of await chat.sendMessageStream({ message })) turns.push(text);
      }
      assert.equal(chat.getHistory(true).filter(({ role }) => role === 'user').length, 2);
      const { system, messages } = JSON.parse(world.calls('first', model)[1].body);
      const roles = messages.map(({ role }) => role).filter((role, place, all) => role !== all[place - 1]);
      assert.deepEqual(roles, [...(dialect === 'anthropic' ? [] : ['system']), 'user', 'assistant', 'user']);
      assert.ok(JSON.stringify(system ?? messages[0]).includes('Be terse.'));
    });

    test('calls a function, and answers when it has the result', async () => {
      const model = await route();
      const config = { tools: [{ functionDeclarations: [WEATHER] }] };
      const chunks = await chunksOf({ model, config });
      const [call] = chunks.flatMap(({ functionCalls }) => functionCalls ?? []);
      assert.equal(call.name, 'weather');
      assert.equal(call.args.unit, 'celsius');
      assert.ok(call.id);

      const contents = [
        { role: 'user', parts: [{ text: 'hi' }] },
        { role: 'model', parts: [{ functionCall: call }] },
        { role: 'user', parts: [{ functionResponse: { id: call.id, name: 'weather', response: { output: 'It rains.' } } }] },
      ];
      assert.match((await generate({ model, contents, config })).text, /The tool said: It rains\./);
      // Older clients know no ids.
      delete contents[1].parts[0].functionCall.id;
      delete contents[2].parts[0].functionResponse.id;
      assert.match((await generate({ model, contents, config })).text, /The tool said: It rains\./);
    });

    test('calls the function that is named', async () => {
      const model = await route();
      const functionCallingConfig = { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ['clock'] };
      const config = { tools: [{ functionDeclarations: [WEATHER, CLOCK] }], toolConfig: { functionCallingConfig } };
      assert.deepEqual((await generate({ model, config })).functionCalls.map(({ name }) => name), ['clock']);
    });

    test('answers in a schema of Google\'s and in a JSON Schema', async () => {
      const model = await route();
      const json = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'], additionalProperties: false };
      for (const [schema, expected] of [[{ responseSchema: PERSON }, { name: 'lab', age: AGES[dialect] }], [{ responseJsonSchema: json }, { name: 'lab' }]]) {
        const config = { responseMimeType: 'application/json', ...schema };
        assert.deepEqual(JSON.parse((await generate({ model, config })).text), expected);
        assert.deepEqual(JSON.parse(textOf(await chunksOf({ model, config }))), expected);
      }
    });

    test('shows reasoning as thoughts', async () => {
      const model = await route({ tokens: 5, reasoning_tokens: 3 });
      const whole = await generate({ model });
      const streamed = await chunksOf({ model });
      for (const answers of [[whole], streamed]) {
        const parts = answers.flatMap(({ candidates }) => candidates[0].content.parts);
        const thoughts = parts.filter(({ thought }) => thought).map(({ text }) => text).join('');
        assert.equal(thoughts.trim().split(' ').length, 3);
      }
    });

    test('says that an answer reached its limit', async () => {
      const model = await route({ tokens: 30 });
      const request = { model, config: { maxOutputTokens: 5 } };
      assert.equal((await generate(request)).candidates[0].finishReason, 'MAX_TOKENS');
      assert.equal((await chunksOf(request)).at(-1).candidates[0].finishReason, 'MAX_TOKENS');
    });

    test('breaks off with an error that the SDK raises', async () => {
      const model = await route({ tokens: 12, fault: { kind: 'cut', after_tokens: 3 } });
      let text = '';
      const error = await fails((async () => {
        for await (const chunk of await genai().models.generateContentStream({ model, contents: 'hi' })) text += chunk.text ?? '';
      })());
      assert.ok(error instanceof ApiError, String(error));
      assert.equal(error.status, 502);
      assert.match(error.message, /UNAVAILABLE.*cut_off/);
      assert.equal(text.split(' ').filter(Boolean).length, 3);
    });

    test('gives one JSON array where the URL does not ask for events', async () => {
      const model = await route({ tokens: 12 });
      const path = `/v1beta/models/${model}:streamGenerateContent`;
      const response = await world.post(path, { contents: [{ parts: [{ text: 'hi' }] }] });
      assert.equal(response.headers.get('content-type'), 'application/json');
      const chunks = await response.json();
      assert.equal(chunks.map(({ candidates }) => candidates[0].content.parts[0].text).join(''), said(model));
      assert.equal(chunks.at(-1).candidates[0].finishReason, 'STOP');

      const broken = await route({ tokens: 12, fault: { kind: 'cut', after_tokens: 3 } });
      const cut = await world.post(path.replace(model, broken), { contents: [{ parts: [{ text: 'hi' }] }] });
      assert.equal((await cut.json()).at(-1).error.code, 502);
    });

    test('is left when the caller hangs up', async () => {
      const model = await route({ tokens: 2000, tokens_per_s: 100 });
      const leave = new AbortController();
      const config = { abortSignal: leave.signal };
      await fails((async () => {
        for await (const chunk of await genai().models.generateContentStream({ model, contents: 'hi', config })) if (chunk.text) leave.abort();
      })());
      const closed = await until('the call to be closed', () => world.calls('first', model).find(({ client_closed_ms }) => client_closed_ms !== null));
      assert.equal(closed.outcome, 'client_gone');
    });
  });
}

describe('errors', () => {
  test('raise the SDK\'s class with the status, and say what to do', async () => {
    const model = await world.route([{ lab: 'first' }]);
    const limited = await world.route([{ lab: 'first', script: { fault: { kind: 'status', status: 429, retry_after: 60 } } }]);
    const down = await world.route([{ lab: 'first', script: { fault: { kind: 'status', status: 500 } } }]);
    const cases = [
      [() => generate({ model: 'nowhere' }), 404, 'NOT_FOUND', 'nowhere'],
      [() => chunksOf({ model: 'nowhere' }), 404, 'NOT_FOUND', 'nowhere'],
      [() => genai('wrong').models.generateContent({ model, contents: 'hi' }), 401, 'UNAUTHENTICATED', 'not known here'],
      [() => generate({ model: limited }), 429, 'RESOURCE_EXHAUSTED', 'RetryInfo'],
      [() => generate({ model: down }), 502, 'UNAVAILABLE', 'status 500'],
      [() => generate({ model, config: { temperature: 'hot' } }), 400, 'INVALID_ARGUMENT', 'generationConfig.temperature'],
      [() => generate({ model, config: { cachedContent: 'cachedContents/1' } }), 400, 'INVALID_ARGUMENT', 'give the route a target that speaks gemini'],
      [() => generate({ model, config: { tools: [{ googleSearch: {} }] } }), 400, 'INVALID_ARGUMENT', 'tools[0]'],
    ];
    for (const [call, status, name, words] of cases) {
      const error = await fails(call());
      assert.ok(error instanceof ApiError, String(error));
      assert.equal(error.status, status, error.message);
      assert.equal(JSON.parse(error.message).error.status, name);
      assert.ok(error.message.includes(words), error.message);
    }
    const counted = await world.post(`/v1beta/models/${model}:countTokens`, { contents: [] });
    const told = await counted.json();
    assert.deepEqual([counted.status, told.error.status], [404, 'NOT_FOUND']);
    const none = await world.post(`/v1beta/models/${model}:generateContent`, 'no JSON');
    assert.match((await none.json()).error.message, /^the body is not valid JSON/);
  });

  test('the key may be in a header or in the URL', async () => {
    const model = await world.route([{ lab: 'first' }]);
    const init = { method: 'POST', body: JSON.stringify({ contents: [{ parts: [{ text: 'hi' }] }] }) };
    const url = `${world.url}/v1/models/${model}:generateContent`;
    const statuses = [`${url}?key=${KEY}`, `${url}?key=wrong`, url].map(async (url) => (await fetch(url, init)).status);
    assert.deepEqual(await Promise.all(statuses), [200, 401, 401]);
    // No other path takes a key from its URL.
    assert.equal((await fetch(`${world.url}/v1/models?key=${KEY}`)).status, 401);
  });

  test('a target that fails is left for another', async () => {
    const model = await world.route([
      { lab: 'first', script: { fault: { kind: 'status', status: 500 } } },
      { lab: 'second', dialect: 'anthropic', script: { tokens: 12 } },
    ]);
    assert.match((await generate({ model })).text, /^second here/);
  });

  test('a target is named with a slash, as it is or percent-encoded', async () => {
    world.labs.first.setScript('direct-model', { ttft_ms: 0, tokens_per_s: 0, tokens: 3 });
    for (const model of ['first/direct-model', 'first%2Fdirect-model']) {
      assert.match((await generate({ model })).text, /^first here/);
    }
  });
});

describe('a target that speaks gemini', () => {
  const said = 'Hello! How can I help?';
  const route = async (name, provider, others = []) => {
    await world.put(`route:${name}`, { targets: [{ id: 'native', provider, model: 'gemini-own' }, ...others], temperature: 0 });
    return name;
  };

  test('is sent the caller\'s bytes, and its answer is passed on as it came', async () => {
    const model = await route('g-own', 'native');
    const body = '{ "contents" : [{"parts":[{"text":"h\\u0069"}]}],"cachedContent":"cachedContents/1" , "tools":[{"googleSearch":{}}], "x":9007199254740993}';
    const path = `/v1beta/models/${model}:`;
    const response = await world.post(`${path}generateContent`, body);
    assert.equal(await response.text(), native.whole.toString());
    const { url, body: sent, key } = native.calls.at(-1);
    assert.deepEqual([url, sent, key], ['/v1beta/models/gemini-own:generateContent', body, 'g-secret']);
    for (let streams = 0; streams < 8; streams += 1) {
      // From the sixth on the stream is relayed.
      const streamed = await world.post(`${path}streamGenerateContent?alt=sse`, body);
      assert.equal(await streamed.text(), native.stream.toString());
    }
    assert.deepEqual(native.calls.at(-1).url, '/v1beta/models/gemini-own:streamGenerateContent?alt=sse');
    assert.equal(native.calls.at(-1).body, body);
    const array = await world.post(`${path}streamGenerateContent`, body);
    assert.equal(textOfArray(await array.json()), said);
  });

  const textOfArray = (chunks) => chunks.map(({ candidates }) => candidates[0].content.parts[0].text).join('');

  test('is the only candidate where the request is for nobody else', async () => {
    const model = await route('g-only', 'native', [{ id: 'lab', provider: 'first', model: 'lab-small', weight: 1000 }]);
    assert.equal((await generate({ model, config: { cachedContent: 'cachedContents/1' } })).text, said);
  });

  test('answers the other APIs', async () => {
    const model = await route('g-others', 'asked');
    const chat = await world.openai().chat.completions.create({ model, messages: [{ role: 'user', content: 'hi' }] });
    assert.equal(chat.choices[0].message.content, said);
    const { url, body } = native.calls.at(-1);
    assert.equal(url, '/v1beta/models/gemini-own:generateContent?key=g-secret');
    assert.deepEqual(JSON.parse(body), { contents: [{ role: 'user', parts: [{ text: 'hi' }] }] });
    let text = '';
    const stream = await world.openai().chat.completions.create({ model, messages: [{ role: 'user', content: 'hi' }], stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    assert.equal(text, said);
    assert.equal(native.calls.at(-1).url, '/v1beta/models/gemini-own:streamGenerateContent?alt=sse&key=g-secret');
  });

  test('is shown a token that the service account gets for its signature, and that is kept', async () => {
    const model = await route('g-vertex', 'vertex');
    const before = native.grants.length;
    for (let calls = 0; calls < 3; calls += 1) assert.equal((await generate({ model })).text, said);
    assert.equal(native.grants.length, before + 1);
    assert.equal(native.calls.at(-1).authorization, `Bearer token-${before + 1}`);
    const { grant_type, assertion } = native.grants.at(-1);
    assert.equal(grant_type, 'urn:ietf:params:oauth:grant-type:jwt-bearer');
    const [header, claims, signature] = assertion.split('.');
    assert.ok(createVerify('RSA-SHA256').update(`${header}.${claims}`).verify(publicKey, signature, 'base64url'));
    const parsed = (part) => JSON.parse(Buffer.from(part, 'base64url'));
    assert.deepEqual(parsed(header), { alg: 'RS256', typ: 'JWT', kid: 'k1' });
    const { iss, aud, scope, iat, exp } = parsed(claims);
    assert.deepEqual([iss, aud, scope, exp - iat], [
      'router@lab.iam.gserviceaccount.com', `${native.url}/token`, 'https://www.googleapis.com/auth/cloud-platform', TOKEN_S,
    ]);
    assert.ok(Math.abs(iat - Date.now() / 1000) < 60);
  });

  test('is not called where the account\'s key is of no use, and the reason names the secret alone', async () => {
    const before = native.calls.length;
    const cases = [
      ['vertex-broken', 'the secret BROKEN_ACCOUNT, the JSON key of a Google service account, is not set'],
      // Claims would travel unencrypted.
      ['vertex-afar', 'the secret AFAR_ACCOUNT, the JSON key of a Google service account, is not set'],
      ['vertex-refused', 'refused our key with status 400'],
    ];
    for (const [provider, reason] of cases) {
      const { message } = await fails(generate({ model: await route(`g-${provider}`, provider) }));
      assert.ok(message.includes(reason), message);
      assert.ok(!/not a key|PRIVATE KEY|gserviceaccount|account not found/.test(message), message);
    }
    assert.equal(native.calls.length, before);
  });
});
