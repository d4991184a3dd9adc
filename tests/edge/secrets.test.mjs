// A provider's key reaches the provider and nobody else, and a prompt is in no record, log or header.
//
// The secret, the prompt, the answer and the caller's key have texts of their own. Every way an exchange can end is
// taken, and then everything that came out of it is searched.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';

import { startWorld } from './world.mjs';

const SECRET = 'sk-lab-SECRET';
const PROMPT = 'the PROMPT itself';
const ANSWER = 'an ANSWER';
const CALLERS_KEY = 'wp-CALLER';

/** Models of the lab. Two of them say back what they were given, where only a name belongs. */
const SCRIPTS = {
  sound: { text: ANSWER },
  refused: { auth: 'another key' },
  cut: { text: `${ANSWER} of words`, fault: { kind: 'cut', after_tokens: 1 } },
  mistake: { fault: { kind: 'status', status: 400, message: `your ${PROMPT} is odd`, error_type: PROMPT, error_code: SECRET } },
  quoting: { fault: { kind: 'status', message: `${PROMPT} ${SECRET}`, error_type: PROMPT, error_code: `${PROMPT} ${SECRET}` } },
  quoting_event: { fault: { kind: 'error_event', after_tokens: 0, message: PROMPT, error_type: PROMPT, error_code: `${PROMPT} ${SECRET}` } },
};
const auths = {
  bearer: { bearer: 'LAB_KEY' },
  header: { header: { name: 'x-lab-key', secret: 'LAB_KEY' } },
  query: { query: { name: 'key', secret: 'LAB_KEY' } },
  unset: { bearer: 'LAB_KEY_UNSET' },
  unusable: { bearer: 'LAB_KEY_UNUSABLE' },
};

let world;
before(async () => {
  // As a header's value this one is refused by the runtime, whose error would repeat it.
  world = await startWorld({ labs: ['lab'], bindings: { LAB_KEY: SECRET, LAB_KEY_UNUSABLE: `${SECRET}\nx` } });
  for (const [name, auth] of Object.entries(auths)) world.providers[name] = { ...world.providers.lab, auth };
  world.providers.gone = { ...world.providers.bearer, base_url: 'http://127.0.0.1:1' };
  await world.put('providers', { providers: world.providers });
  await world.put(`key:${createHash('sha256').update(CALLERS_KEY).digest('hex')}`, {});
  for (const [model, script] of Object.entries(SCRIPTS)) world.labs.lab.setScript(model, script);
});
after(() => world.close());

const post = (body) => world.post('/v1/chat/completions', body, { authorization: `Bearer ${CALLERS_KEY}` });
const ask = (model, stream) => post({ model, stream, messages: [{ role: 'user', content: PROMPT }] });

function checkClean(what, text, words = [SECRET, PROMPT, ANSWER, CALLERS_KEY]) {
  for (const word of words) assert.ok(!text.includes(word), `${what} shows ${word}: ${text.slice(0, 2_000)}`);
}

test('the secret goes where the provider wants it, and the caller\'s headers stay here', async () => {
  for (const kind of ['bearer', 'header', 'query']) {
    const private_headers = { cookie: 'a=1', 'x-forwarded-for': '192.0.2.1', 'x-waypost-user': 'ann' };
    const body = { model: `${kind}/sound`, messages: [{ role: 'user', content: PROMPT }] };
    const response = await world.post('/v1/chat/completions', body, private_headers);
    assert.equal(response.status, 200);
    const { headers, path } = world.labs.lab.calls().at(-1);
    assert.equal(headers.authorization, kind === 'bearer' ? SECRET.slice(-4) : undefined);
    assert.equal(headers['x-lab-key'], kind === 'header' ? SECRET : undefined);
    assert.equal(path, `/v1/chat/completions${kind === 'query' ? `?key=${SECRET.slice(-4)}` : ''}`);
    for (const name of [...Object.keys(private_headers), 'cf-connecting-ip']) assert.equal(headers[name], undefined, name);
  }
});

test('a secret that is not set is named, and costs only that target', async () => {
  const alone = await ask('unset/sound');
  assert.equal(alone.status, 502);
  assert.match((await alone.json()).error.message, /the secret LAB_KEY_UNSET is not set/);
  const targets = [{ id: 'a', provider: 'unset', model: 'sound', weight: 2 }, { id: 'b', provider: 'bearer', model: 'sound' }];
  await world.put('route:both', { targets, temperature: 0 });
  const both = await ask('both');
  assert.deepEqual([both.status, both.headers.get('x-waypost-target')], [200, 'b']);
  const { attempts } = await world.record(both.headers.get('x-waypost-id'));
  assert.deepEqual(attempts.map(({ outcome }) => outcome), ['secret_missing', 'ok']);
});

test('nothing that comes out shows a secret, and no record, log or header a prompt or an answer', async () => {
  const others = ['gone/x', 'unset/x', 'unusable/x', 'header/sound', 'query/refused'];
  const models = [...others, ...Object.keys(SCRIPTS).map((model) => `bearer/${model}`)];
  const ids = [];
  const note = async (what, response) => {
    ids.push(response.headers.get('x-waypost-id'));
    checkClean(`the head of ${what}`, JSON.stringify([...response.headers]));
    return response.text();
  };
  for (const model of models) {
    for (const stream of [true, false]) {
      const response = await ask(model, stream);
      const text = await note(model, response);
      // Whose mistake it was may read what the provider said about it, and the answer of course.
      if (model !== 'bearer/mistake') checkClean(`the answer of ${model}`, text, [SECRET, PROMPT, CALLERS_KEY]);
    }
  }
  checkClean('a refusal', await note('a refusal', await post(`{"messages": "${PROMPT}", "model": "${ANSWER}" ${SECRET}}`)));

  const records = await Promise.all(ids.map((id) => world.record(id)));
  assert.deepEqual([...new Set(records.map(({ outcome }) => outcome.code))].sort(), ['completed', 'cut', 'failed', 'rejected']);
  for (const record of records) checkClean(`the record of ${record.route}`, JSON.stringify(record));
  const archive = await world.mf.getR2Bucket('ARCHIVE');
  const { objects } = await archive.list();
  assert.ok(objects.length > 0);
  for (const { key } of objects) checkClean(key, await (await archive.get(key)).text());
  const { results } = await (await world.mf.getD1Database('DB')).prepare('SELECT * FROM records').all();
  checkClean('D1', JSON.stringify(results));
  checkClean('/healthz', await (await world.fetch('/healthz')).text());
  checkClean('the console', world.logs.join('\n'));
});
