// Refused requests: the status, and an error in the shape of the caller's dialect that names the field and the
// remedy; and who may call at all.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import OpenAI from 'openai';

import { ADMIN_KEY, KEY, startWorld, until } from './world.mjs';

const CHAT = '/v1/chat/completions';
const MESSAGES = '/v1/messages';
const QUESTION = [{ role: 'user', content: 'hi' }];
const BODY_BYTES_MAX = 16 * 1024 * 1024;

const entryOf = (key) => `key:${createHash('sha256').update(key).digest('hex')}`;
const bearer = (key) => ({ authorization: `Bearer ${key}` });
const fails = (promise) => promise.then(assert.fail, (error) => error);

let world;
let model;
before(async () => {
  world = await startWorld();
  model = await world.route([{ lab: 'first' }]);
});
after(() => world.close());

const say = (content) => [{ role: 'user', content }];
const NOT_UTF8 = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
const TWO_MODELS = '{"model":"a","messages":[{"role":"user","content":"hi"}],"mod\\u0065l":"b"}';

/** By name: the body, and the code, field and message of the answer. All but the last are 400. */
const CALLERS_MISTAKES = {
  'no JSON': ['{"model": "x",', 'invalid_json', 'body', /line 1, column 1\d/],
  'not UTF-8': [NOT_UTF8, 'invalid_json', 'body', /./],
  nothing: ['', 'invalid_json', 'body', /line 1, column 0/],
  'not an object': ['[1, 2]', 'invalid_field', 'body', /JSON object/],
  'no messages': [{ model: 'x' }, 'missing_field', 'messages', /`messages` is missing/],
  'messages that are none': [{ model: 'x', messages: 'hi' }, 'invalid_field', 'messages', /array/],
  'a message without a role': [{ model: 'x', messages: [{ content: 'hi' }] }, 'missing_field', 'messages[0].role', /./],
  'a message with no content': [{ model: 'x', messages: say(7) }, 'invalid_field', 'messages[0].content', /string/],
  'no model': [{ messages: say('hi') }, 'missing_field', 'model', /`model` is missing/],
  'a model that is none': [{ model: 7, messages: say('hi') }, 'invalid_field', 'model', /./],
  'two models': [TWO_MODELS, 'invalid_field', 'model', /one value/],
  'an unknown route': [{ model: 'nowhere', messages: say('hi') }, 'model_not_found', 'model', /`nowhere`.*route-1/],
};

describe('the caller\'s mistake', () => {
  for (const [name, [body, code, param, message]] of Object.entries(CALLERS_MISTAKES)) {
    const status = code === 'model_not_found' ? 404 : 400;
    test(`${name}: ${status}`, async () => {
      const given = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
      const response = await world.fetch(CHAT, { method: 'POST', body: given });
      const text = await response.text();
      assert.equal(response.status, status, text);
      assert.equal(response.headers.get('content-type'), 'application/json');
      const { error, ...others } = JSON.parse(text);
      assert.deepEqual(Object.keys(others), []);
      assert.match(error.message, message);
      assert.equal(error.type, 'invalid_request_error');
      assert.deepEqual([error.code, error.param], [code, param]);
      assert.match(response.headers.get('x-waypost-id'), /^wp-/);
    });
  }

  test('raises the SDK\'s own classes', async () => {
    const create = (fields) => fails(world.openai().chat.completions.create(fields));
    const missing = await create({ model });
    assert.ok(missing instanceof OpenAI.BadRequestError);
    assert.deepEqual([missing.code, missing.param, missing.type], ['missing_field', 'messages', 'invalid_request_error']);
    const unknown = await create({ model: 'nowhere', messages: QUESTION, stream: true });
    assert.ok(unknown instanceof OpenAI.NotFoundError);
    assert.deepEqual([unknown.code, unknown.param], ['model_not_found', 'model']);
  });

  test('in the Messages API has Anthropic\'s shape', async () => {
    const cases = [
      [{ model, messages: QUESTION }, 400, 'invalid_request_error', /`max_tokens` is missing/],
      [{ model: 'nowhere', max_tokens: 9, messages: QUESTION }, 404, 'not_found_error', /`nowhere`/],
      ['{', 400, 'invalid_request_error', /JSON/],
    ];
    for (const [body, status, type, message] of cases) {
      const response = await world.post(MESSAGES, body);
      const answer = await response.json();
      assert.equal(response.status, status);
      assert.deepEqual([answer.type, answer.error.type], ['error', type]);
      assert.match(answer.error.message, message);
    }
    const anonymous = await world.post(MESSAGES, { model, max_tokens: 9, messages: QUESTION }, { authorization: '' });
    assert.deepEqual([anonymous.status, (await anonymous.json()).error.type], [401, 'authentication_error']);
  });
});

describe('a body over the limit', () => {
  const request = (bytes) => ({ model, messages: [{ role: 'user', content: 'x'.repeat(bytes) }] });

  function check({ status, code, message }) {
    assert.deepEqual([status, code], [413, 'body_too_large'], message);
    assert.ok(message.includes(String(BODY_BYTES_MAX)), message);
  }

  test('is refused by its stated length, and the client hears of it though it is still sending', async () => {
    for (const bytes of [BODY_BYTES_MAX, BODY_BYTES_MAX + 1_000_000, BODY_BYTES_MAX + 4_000_000]) {
      const error = await fails(world.openai().chat.completions.create(request(bytes)));
      assert.ok(error instanceof OpenAI.APIError, `${error}`);
      check(error);
    }
  });

  test('is refused without a stated length', async () => {
    const pieces = JSON.stringify(request(BODY_BYTES_MAX)).match(/.{1,1000000}/g);
    const body = ReadableStream.from(pieces).pipeThrough(new TextEncoderStream());
    const response = await world.fetch(CHAT, { method: 'POST', body, duplex: 'half' });
    check({ status: response.status, ...(await response.json()).error });
  });

  test('just below it is answered', async () => {
    const bytes = BODY_BYTES_MAX - 200;
    await world.openai().chat.completions.create(request(bytes));
    assert.ok(world.calls('first', model).at(-1).body_bytes > bytes);
  });
});

describe('keys', () => {
  const KEYS = {
    'sk-narrow': { name: 'narrow', routes: ['elsewhere'], direct: false },
    'sk-wide': { name: 'wide', team: 'blue' },
    'sk-off': { disabled: true },
    'sk-broken': { disbled: true },
  };
  before(() => Promise.all(Object.entries(KEYS).map(([key, terms]) => world.put(entryOf(key), terms))));

  const create = (apiKey, more) => world.openai({ apiKey }).chat.completions.create({ model, messages: QUESTION, ...more });

  const REFUSED = [
    { name: 'unknown', key: 'sk-nobody', code: 'unknown_key', raises: OpenAI.AuthenticationError },
    { name: 'disabled', key: 'sk-off', code: 'disabled_key', raises: OpenAI.AuthenticationError },
    { name: 'whose terms cannot be read', key: 'sk-broken', code: 'unknown_key', raises: OpenAI.AuthenticationError },
    { name: 'for other routes', key: 'sk-narrow', code: 'not_allowed', raises: OpenAI.PermissionDeniedError },
    { name: 'longer than any', key: 'k'.repeat(600), code: 'missing_key', raises: OpenAI.AuthenticationError },
    { name: 'for the admin API', key: ADMIN_KEY, code: 'unknown_key', raises: OpenAI.AuthenticationError },
  ];
  for (const { name, key, code, raises } of REFUSED) {
    test(`one ${name} is refused`, async () => {
      const error = await fails(create(key));
      assert.ok(error instanceof raises, `${error}`);
      assert.equal(error.code, code);
      assert.ok(!error.message.includes(key));
    });
  }

  test('no key at all is refused, with the remedy', async () => {
    const response = await world.post(CHAT, { model, messages: QUESTION }, { authorization: '' });
    assert.equal(response.status, 401);
    const { error } = await response.json();
    assert.equal(error.code, 'missing_key');
    assert.match(error.message, /wp-demo/);
  });

  test('one that may use the route calls it, and is named in the record', async () => {
    const { response } = await create('sk-wide').withResponse();
    const { traits } = await world.record(response.headers.get('x-waypost-id'));
    assert.deepEqual([traits.key, traits.team], ['wide', 'blue']);
  });

  test('one for some routes sees only those, and names no provider directly', async () => {
    const narrow = world.openai({ apiKey: 'sk-narrow' });
    assert.deepEqual((await narrow.models.list()).data, []);
    const direct = await fails(create('sk-narrow', { model: 'first/lab-small' }));
    assert.ok(direct instanceof OpenAI.PermissionDeniedError);
    await create('sk-wide', { model: 'first/lab-small' });
    const unknown = await fails(create('sk-narrow', { model: 'nowhere' }));
    assert.doesNotMatch(unknown.message, /route-1/);
  });

  test('a change of its terms is live without a restart', async () => {
    await world.put(entryOf('sk-fickle'), {});
    await create('sk-fickle');
    await world.put(entryOf('sk-fickle'), { disabled: true });
    const error = await until('the key to be disabled', () => create('sk-fickle').then(() => undefined, (error) => error));
    assert.equal(error.code, 'disabled_key');
  });
});

describe('paths', () => {
  test('unknown ones are 404 and named', async () => {
    for (const asked of ['GET /', 'POST /v1/nothing', 'GET /v1/messages', `PATCH ${CHAT}/chatcmpl-1`, `PUT ${CHAT}`, 'POST /v1/models', 'DELETE /healthz']) {
      const [method, path] = asked.split(' ');
      const response = await world.fetch(path, { method, body: method === 'GET' ? undefined : '{}' });
      const { error } = await response.json();
      assert.ok([404, 405].includes(response.status), `${asked}: ${response.status}`);
      assert.ok(error.message.includes(asked), error.message);
    }
  });

  test('of the admin API want the admin key', async () => {
    for (const path of ['/admin/api/records', '/admin/api/records/x', '/admin/api/nothing']) {
      for (const headers of [{ authorization: '' }, bearer(KEY), bearer('nonsense')]) {
        const response = await world.fetch(path, { headers });
        assert.equal(response.status, 401, path);
        assert.equal((await response.json()).error.code, 'wrong_admin_key');
      }
    }
    assert.equal((await world.admin('/records')).status, 200);
    assert.equal((await world.admin('/nothing')).status, 404);
    assert.equal((await world.admin('/records/wp-none')).status, 404);
  });
});

describe('deployed, without the local mode', () => {
  const OWN_ADMIN_KEY = 'an-admin-key-of-their-own';
  const call = (world, key) => world.post(CHAT, { model: 'chat', messages: QUESTION }, bearer(key));

  async function deployed(bindings, check) {
    const world = await startWorld({ labs: ['only'], isLocal: false, bindings });
    try {
      await world.put('route:chat', { targets: [{ provider: 'only', model: 'lab-small' }] });
      await check(world);
    } finally {
      await world.close();
    }
  }

  test('the keys of the local mode open nothing, and the message has the remedy', () =>
    deployed({}, async (world) => {
      const refused = await call(world, KEY);
      const { error } = await refused.json();
      assert.deepEqual([refused.status, error.code], [401, 'no_keys_configured']);
      const command = /npx wrangler kv key put --binding KV --remote "(.*?)" '\{\}'/.exec(error.message);
      assert.match(command?.[1] ?? error.message, /^key:\$\(printf %s "\$KEY" \| sha256sum/);
      const anonymous = await (await world.post(CHAT, {}, { authorization: '' })).json();
      assert.doesNotMatch(anonymous.error.message, /wp-demo/);
      const admin = await world.fetch('/admin/api/records', { headers: bearer(ADMIN_KEY) });
      assert.equal(admin.status, 401);
      assert.match((await admin.json()).error.message, /npx wrangler secret put WAYPOST_ADMIN_KEY/);

      await world.put(entryOf('their-key'), {});
      const answered = await until('the key to be read', async () => {
        const response = await call(world, 'their-key');
        return response.status === 200 && response;
      });
      assert.equal(answered.headers.get('x-waypost-route'), 'chat');
      const still = await (await call(world, KEY)).json();
      assert.equal(still.error.code, 'unknown_key');
    }));

  test('the admin API opens to WAYPOST_ADMIN_KEY', () =>
    deployed({ WAYPOST_ADMIN_KEY: OWN_ADMIN_KEY }, async (world) => {
      const statusOf = async (key) => (await world.fetch('/admin/api/records', { headers: bearer(key) })).status;
      assert.deepEqual([await statusOf(OWN_ADMIN_KEY), await statusOf(ADMIN_KEY), await statusOf(OWN_ADMIN_KEY.slice(1))], [200, 401, 401]);
    }));
});
