// Why a call goes where it goes: asked for alone, and with the answer.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startWorld } from './world.mjs';

const CHAT = '/v1/chat/completions';
const ROUTE = '/v1/route';
const QUESTION = [{ role: 'user', content: 'hi' }];
const EXPLAIN = { 'x-waypost-explain': '1' };
const HEADER_BYTES_MAX = 8 * 1024;
const FAILING = { fault: { kind: 'status', status: 503 } };

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

const pair = [{ lab: 'first', quality: 0.4 }, { lab: 'second', weight: 1, quality: 0.8 }];
const explained = (response) => JSON.parse(response.headers.get('x-waypost-explain'));

async function decide(body, headers = {}) {
  const response = await world.post(ROUTE, body, headers);
  assert.equal(response.status, 200, await response.clone().text());
  assert.equal(response.headers.get('content-type'), 'application/json');
  return response.json();
}

async function ask(body, headers = {}, status = 200) {
  const response = await world.post(CHAT, body, headers);
  assert.equal(response.status, status, await response.clone().text());
  await response.text();
  return response;
}

/** All but the instant of the call. */
function timeless({ traits: { at, ...traits }, ...others }) {
  return { ...others, traits };
}

describe('POST /v1/route', { concurrency: true }, () => {
  test('tells the decision, and sends nothing', async () => {
    const model = await world.route(pair, { prefer: { quality: 2 } });
    const { route, config, traits, decision } = await decide({ model, messages: QUESTION, stream: true });
    assert.equal(route, model);
    assert.match(config.route, /^[0-9a-f]{16}$/);
    assert.deepEqual([traits.model, traits.is_streaming, traits.key, traits.dialect], [model, true, 'wp-demo', 'openai-chat']);
    assert.equal(decision.seed.source, 'random');
    assert.deepEqual(decision.plan, ['second', 'first']);
    assert.equal(decision.propensity, 1);
    assert.equal(decision.prefer.quality, 2);
    for (const { contributions, score, signals } of decision.candidates) {
      assert.equal(Object.values(contributions).reduce((sum, term) => sum + term, 0), score);
      assert.ok(Math.abs(contributions.quality - 2 * Math.log(signals.quality)) < 1e-12);
    }
    assert.deepEqual([world.calls('first', model), world.calls('second', model)], [[], []]);
  });

  test('tells what a call of the same session then does, before and after a failure', async () => {
    const model = await world.route([{ ...pair[0], script: FAILING }, pair[1]], { sticky: 'session', temperature: 1, prefer: { reliability: 3 } });
    const body = { model, messages: QUESTION };
    for (const session of ['ann', 'bob', 'cyd', 'dan', 'eve']) {
      const headers = { 'x-waypost-session': session };
      const foretold = await decide(body, headers);
      assert.deepEqual(timeless(await decide(body, headers)).decision.seed, foretold.decision.seed);
      const response = await ask(body, { ...headers, ...EXPLAIN });
      const { decision } = explained(response);
      // Health fades by the millisecond, so two looks at a target that has been asked are never the same.
      assert.deepEqual([decision.seed, decision.plan], [foretold.decision.seed, foretold.decision.plan]);
    }
  });

  test('is the explanation of the call, field for field, where no target has been asked', async () => {
    const model = await world.route(pair, { sticky: 'session', temperature: 1 });
    const headers = { 'x-waypost-session': 'ann', 'x-waypost-tags': 'gold', ...EXPLAIN };
    const foretold = await decide({ model, messages: QUESTION }, headers);
    assert.deepEqual(timeless(explained(await ask({ model, messages: QUESTION }, headers))), timeless(foretold));
  });

  test('changes no health', async () => {
    const model = await world.route(pair.map((target) => ({ ...target, script: FAILING })));
    const health = async () => (await decide({ model, messages: QUESTION })).decision.candidates.map(({ health }) => health);
    const unknown = await health();
    for (let n = 0; n < 20; n += 1) assert.deepEqual(await health(), unknown);
    for (let n = 0; n < 3; n += 1) await ask({ model, messages: QUESTION }, {}, 503);
    assert.deepEqual((await health()).map(({ admission }) => admission.state), ['ejected', 'ejected']);
  });

  test('tells every reason when no target is left', async () => {
    const model = await world.route(pair.map((target) => ({ ...target, can: [] })), { rules: [{ name: 'no gold', when: { tags: 'gold' }, avoid: ['first'] }] });
    const tools = [{ type: 'function', function: { name: 'look' } }];
    const ruled = await decide({ model, messages: QUESTION }, { 'x-waypost-tags': 'gold' });
    assert.deepEqual(ruled.decision.rules, ['no gold']);
    assert.deepEqual(ruled.decision.candidates.map(({ excluded }) => excluded), [{ reason: 'rule', rule: 'no gold' }, undefined]);
    const { decision } = await decide({ model, messages: QUESTION, tools });
    assert.deepEqual([decision.plan, decision.propensity], [[], 0]);
    assert.deepEqual(decision.candidates.map(({ excluded }) => excluded.reason), ['lacks_tools', 'lacks_tools']);
  });

  test('takes the route of x-waypost-route, and a body of Anthropic\'s with its header', async () => {
    const model = await world.route(pair);
    const body = { model: 'nonsense', max_tokens: 9, messages: QUESTION };
    const { route, traits } = await decide(body, { 'x-waypost-route': model, 'anthropic-version': '2023-06-01' });
    assert.deepEqual([route, traits.dialect, traits.answer_tokens_max], [model, 'anthropic', 9]);
  });

  test('knows whose a body is by its fields, unless it is said', async () => {
    const model = await world.route(pair);
    const dialect = async (body, query = '') => {
      const response = await world.post(`${ROUTE}${query}`, { model, ...body });
      const told = await response.json();
      return response.status === 200 ? told.traits.dialect : [response.status, told.error.param, told.error.message];
    };
    const contents = [{ parts: [{ text: 'hi' }] }];
    assert.equal(await dialect({ messages: QUESTION }), 'openai-chat');
    assert.equal(await dialect({ input: 'hi' }), 'openai-responses');
    assert.equal(await dialect({ contents }), 'gemini');
    assert.equal(await dialect({ system: 'Be kind.', max_tokens: 9, messages: QUESTION }), 'anthropic');
    const both = { input: 'hi', messages: QUESTION };
    const [status, param, message] = await dialect(both);
    assert.deepEqual([status, param], [400, 'input']);
    assert.match(message, /`messages` is another's; say which is meant: `\?dialect=NAME`/);
    assert.equal(await dialect(both, '?dialect=openai-chat'), 'openai-chat');
    assert.deepEqual((await dialect(both, '?dialect=latin')).slice(0, 2), [400, 'dialect']);
  });

  test('refuses in the dialect of the body', async () => {
    const refused = async (body) => {
      const response = await world.post(ROUTE, { model: 'nowhere', ...body });
      assert.equal(response.status, 404);
      return response.json();
    };
    assert.equal((await refused({ contents: [{ parts: [{ text: 'hi' }] }] })).error.status, 'NOT_FOUND');
    assert.equal((await refused({ system: 'x', max_tokens: 9, messages: QUESTION })).error.type, 'not_found_error');
    assert.equal((await refused({ input: 'hi' })).error.code, 'model_not_found');
  });

  test('refuses as a call would', async () => {
    const refused = async (body, headers) => {
      const response = await world.post(ROUTE, body, headers);
      return [response.status, await response.json(), response.headers.get('x-waypost-id')];
    };
    const [missing, missingBody, id] = await refused({ model: 'x' });
    assert.deepEqual([missing, missingBody.error.code, missingBody.error.param, id], [400, 'missing_field', 'messages', null]);
    const [unknown, unknownBody] = await refused({ model: 'nowhere', messages: QUESTION });
    assert.deepEqual([unknown, unknownBody.error.code], [404, 'model_not_found']);
    const [anonymous, anonymousBody] = await refused({ model: 'x', messages: QUESTION }, { authorization: '' });
    assert.deepEqual([anonymous, anonymousBody.error.code], [401, 'missing_key']);
    const [anthropic, anthropicBody] = await refused({ model: 'nowhere', messages: QUESTION }, { 'anthropic-version': '2023-06-01' });
    assert.deepEqual([anthropic, anthropicBody.type, anthropicBody.error.type], [400, 'error', 'invalid_request_error']);
    const get = await world.fetch(ROUTE);
    assert.equal(get.status, 404);
  });
});

test('POST /v1/route leaves no record, also when it refuses', async () => {
  const model = await world.route(pair);
  await decide({ model, messages: QUESTION });
  assert.equal((await world.post(ROUTE, { model: 'nowhere to go', messages: QUESTION })).status, 404);
  // Records keep their order on the way, so whatever was written before this one is there when it is.
  const id = (await ask({ model, messages: QUESTION })).headers.get('x-waypost-id');
  await world.record(id);
  const { records } = await (await world.admin('/records?limit=200')).json();
  assert.deepEqual(records.filter(({ route }) => route === model).map((record) => record.id), [id]);
  assert.ok(!records.some(({ route }) => route === 'nowhere to go'));
});

describe('x-waypost-explain', { concurrency: true }, () => {
  test('is what the record says', async () => {
    const model = await world.route(pair, { prefer: { price: 1, reliability: 2 }, temperature: 0.5 });
    const response = await ask({ model, messages: QUESTION }, EXPLAIN);
    const { route, config, traits, decision } = explained(response);
    const candidates = decision.candidates.map(({ contributions, ...candidate }) => candidate);
    const record = await world.record(response.headers.get('x-waypost-id'));
    assert.deepEqual({ route, config, traits, decision: { ...decision, candidates } }, { route: record.route, config: record.config, traits: record.traits, decision: record.decision });
  });

  test('comes with a stream, with a failure, and with no target at all', async () => {
    const model = await world.route([{ lab: 'first' }, { lab: 'second' }]);
    const stream = await ask({ model, messages: QUESTION, stream: true }, EXPLAIN);
    assert.deepEqual(explained(stream).decision.plan, ['first', 'second']);
    const failing = await world.route([{ lab: 'first', script: FAILING, can: [] }]);
    assert.deepEqual(explained(await ask({ model: failing, messages: QUESTION }, EXPLAIN, 503)).decision.plan, ['first']);
    const tools = [{ type: 'function', function: { name: 'look' } }];
    const nobody = await world.post(CHAT, { model: failing, messages: QUESTION, tools }, EXPLAIN);
    assert.notEqual(nobody.status, 200);
    assert.deepEqual(explained(nobody).decision.plan, []);
  });

  test('comes only when asked for', async () => {
    const model = await world.route(pair);
    for (const headers of [{}, { 'x-waypost-explain': '0' }, { 'x-waypost-explain': '' }])
      assert.equal((await ask({ model, messages: QUESTION }, headers)).headers.get('x-waypost-explain'), null);
  });

  test('stays within its limit, in ASCII, for a route of many targets', async () => {
    const many = (count) => Array.from({ length: count }, (_, place) => ({ lab: 'first', id: `世界 ${place}`, weight: count - place }));
    for (const [count, keeps] of [[2, 'health'], [40, 'score'], [256, undefined]]) {
      const model = await world.route(many(count));
      const value = (await ask({ model, messages: QUESTION }, EXPLAIN)).headers.get('x-waypost-explain');
      assert.match(value, /^[\x20-\x7e]+$/);
      assert.ok(value.length <= HEADER_BYTES_MAX, `${value.length}`);
      const { decision } = JSON.parse(value);
      assert.equal(decision.plan[0], '世界 0');
      assert.equal(decision.is_trimmed, count === 2 ? undefined : true);
      assert.equal(decision.candidates?.length, keeps && count);
      if (keeps) assert.ok(keeps in decision.candidates[0]);
    }
  });
});
