// What every SDK is put through, whichever dialect the target speaks.
//
// A case is `{ name, op, route, check }`: the operation of the driver, the route it calls (`routesOf`), and `check(ended, about)`,
// which throws where the outcome is wrong. `ended` is `{ value | error, heard }`; `about` has the client's row, the provider's
// row and the call. `isFor(client, provider)` says where a case cannot happen.
// A new case is a row of `CASES`, and a new operation a function in each driver that has it.

import assert from 'node:assert/strict';

import { vectorOf } from '../lab/dialects/openai_embeddings.mjs';

/** Spares what a lab says on its own; tests/lab/answer.mjs makes it up. */
const TOKENS = 24;
const CUT_AFTER = 5;
const RETRY_AFTER_S = 7;
const TEMPERATURE = 'temperature must be below 2';
/** Nobody but a provider that stays silent is waited for with this. */
const HEADERS_MS = 50;

const fault = (fields) => ({ script: { fault: fields } });
/** What the drivers embed; `npm/asked.mjs` and `python/asked.py` have the same. */
const EMBEDDED = ['hi', 'there'];
const status = (code, more = {}) => fault({ kind: 'status', status: code, ...more });

/** The routes of one provider's dialect, each as `{ name, target, fields }`. */
export function routesOf({ overloaded, refusal }) {
  const targets = {
    sound: {},
    filtered: fault({ kind: 'content_filter' }),
    invalid: status(400, { message: TEMPERATURE }),
    limited: status(429, { retry_after: RETRY_AFTER_S }),
    overloaded: status(overloaded),
    long: fault({ kind: 'context_too_long' }),
    ...(refusal === null ? {} : { refused: fault({ kind: 'status', ...refusal }) }),
    silent: { ...fault({ kind: 'silence' }), fields: { deadlines: { headers_ms: HEADERS_MS } } },
    broken: fault({ kind: 'reset' }),
    cut: fault({ kind: 'cut', after_tokens: CUT_AFTER }),
  };
  return Object.entries(targets).map(([name, { fields = {}, ...target }]) => ({ name, target, fields }));
}

const lead = ({ call }) => `first here, model ${call.model}-0. You said: hi.`;

function answered({ error, value }) {
  assert.equal(error, undefined, `raised ${error?.classes[0]} (${error?.status}): ${error?.message}`);
  return value;
}

/** The error's class, its status, and whatever of its further fields the SDK shows. */
function raised({ error, value }, { client }, kind, { statuses, says, code, param }) {
  assert.ok(error !== undefined, `raised nothing, but gave ${JSON.stringify(value)}`);
  const got = `${error.classes[0]} (${error.status}, code ${error.code}, param ${error.param}): ${error.message}`;
  assert.ok(error.classes.includes(client.classes[kind]), `expected ${client.classes[kind]}, got ${got}`);
  // An SDK that wraps another's error may drop its status.
  if (error.status !== null) assert.ok(statuses?.includes(error.status) ?? true, `expected status ${statuses}, got ${got}`);
  if (typeof says === 'string') assert.ok(error.message.includes(says), got);
  else if (says !== undefined) assert.match(error.message, says);
  const isOpenai = client.dialect.startsWith('openai') && error.code !== null;
  if (isOpenai && code !== undefined) assert.equal(error.code, code, got);
  if (isOpenai && param !== undefined) assert.equal(error.param, param, got);
  return error;
}

/** A case in which the SDK raises: `kind` is the row of the client's `classes`. */
function raises(kind, expected, { op = 'complete', route = 'sound', call = {}, more = () => {}, isFor = () => true } = {}) {
  return {
    name: kind,
    op,
    route,
    call,
    isFor: (client, provider) => Object.hasOwn(client.classes, kind) && isFor(client, provider),
    check(ended, about) {
      const wanted = typeof expected === 'function' ? expected(about) : expected;
      more(raised(ended, about, kind, wanted), ended, about);
    },
  };
}

const has = ({ also = [] }, endpoint) => also.includes(endpoint);

/** How long to wait: in a header, or where Google has it. */
function told({ retry_after, message }, { client }) {
  if (client.dialect === 'gemini') assert.match(message, new RegExp(`.retryDelay.: ?.${RETRY_AFTER_S}\\.000s`));
  else assert.equal(retry_after, `${RETRY_AFTER_S}`);
}

export const CASES = [
  {
    name: 'completes',
    op: 'complete',
    route: 'sound',
    check(ended, about) {
      const { text, usage } = answered(ended);
      assert.ok(text.startsWith(lead(about)), text);
      assert.deepEqual(usage, [4, TOKENS]);
    },
  },
  {
    name: 'streams',
    op: 'stream',
    route: 'sound',
    check(ended, about) {
      const { usage } = answered(ended);
      assert.ok(ended.heard.join('').startsWith(lead(about)), ended.heard.join(''));
      // Some SDKs gather what arrives together; one piece would be no stream.
      assert.ok(ended.heard.length > 1, `${ended.heard.length} piece`);
      if (!about.client.isUsageAddedUp) assert.deepEqual(usage, [4, TOKENS]);
    },
  },
  {
    name: 'calls a tool',
    op: 'tool',
    route: 'sound',
    check(ended) {
      const { name, args, text } = answered(ended);
      assert.deepEqual([name, args], ['weather', { city: 'lab', unit: 'celsius' }]);
      assert.match(text, /The tool said: It rains\./);
    },
  },
  {
    name: 'reads a schema',
    op: 'schema',
    route: 'sound',
    check(ended) {
      const { name, age, tags } = answered(ended);
      assert.deepEqual([name, typeof age, Array.isArray(tags)], ['lab', 'number', true]);
    },
  },
  {
    name: 'ended by a filter',
    op: 'complete',
    route: 'filtered',
    check(ended, { client }) {
      assert.equal(answered(ended).finish, client.filtered);
    },
  },
  {
    name: 'embeds',
    op: 'embed',
    route: 'sound',
    isFor: (client, provider) => has(client, 'embeddings') && has(provider, 'embeddings'),
    check(ended) {
      assert.deepEqual(answered(ended).vectors, EMBEDDED.map((text) => vectorOf(text)));
    },
  },
  {
    name: 'completes a prompt',
    op: 'prompt',
    route: 'sound',
    isFor: (client) => has(client, 'completions'),
    check(ended, about) {
      const { text, usage } = answered(ended);
      assert.ok(text.startsWith(lead(about)), text);
      assert.deepEqual(usage, [4, TOKENS]);
    },
  },
  {
    name: 'streams a prompt',
    op: 'promptStream',
    route: 'sound',
    isFor: (client) => has(client, 'completions'),
    check(ended, about) {
      const { usage } = answered(ended);
      assert.ok(ended.heard.join('').startsWith(lead(about)), ended.heard.join(''));
      assert.ok(ended.heard.length > 1, `${ended.heard.length} piece`);
      assert.deepEqual(usage, [4, TOKENS]);
    },
  },
  raises('authentication', { statuses: [401], code: 'unknown_key' }, { call: { key: 'sk-nobody' } }),
  raises('permission', { statuses: [403], code: 'not_allowed' }, { call: { key: 'sk-narrow' } }),
  raises('not found', { statuses: [404], says: /nowhere/, code: 'model_not_found', param: 'model' }, { call: { model: 'nowhere' } }),
  raises(
    'wrong field',
    ({ client: { field } }) => ({ statuses: [400], says: `\`${field}\``, param: field }),
    { op: 'mistake' },
  ),
  raises('invalid', { statuses: [400], says: new RegExp(TEMPERATURE) }, { route: 'invalid' }),
  raises('rate limit', { statuses: [429], code: 'rate_limited' }, {
    route: 'limited',
    more: (error, _, about) => told(error, about),
  }),
  raises('overloaded', ({ client }) => ({ statuses: [client.dialect === 'anthropic' ? 529 : 503], code: 'server_error' }), { route: 'overloaded' }),
  raises('context', { statuses: [400], code: 'context_length_exceeded' }, { route: 'long' }),
  raises('filter', { statuses: [400], says: /filter/, code: 'content_filter' }, { route: 'refused', isFor: (_, { refusal }) => refusal !== null }),
  raises('timeout', { statuses: [504], code: 'headers_deadline' }, { route: 'silent' }),
  raises('upstream', { statuses: [502], code: 'unreachable' }, { route: 'broken' }),
  raises('cut off', { says: /broke off/, code: 'cut_off' }, {
    op: 'stream',
    route: 'cut',
    more: (_, { heard }, about) => assert.ok(heard.length > 0 && lead(about).startsWith(heard.join('')), `heard ${heard.length} pieces`),
  }),
];
