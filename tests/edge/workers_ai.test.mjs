// Workers AI by its binding. In its place stands a Worker with the method `run`, called over the runtime's own RPC.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startWorld } from './world.mjs';

/** Answers with what it was asked, whole in OpenAI's shape, streamed in Workers AI's own. */
const AI = `
  import { WorkerEntrypoint } from 'cloudflare:workers';
  export class Ai extends WorkerEntrypoint {
    async run(model, inputs, options) {
      if (model === 'throws') throw new Error('down');
      if (model === 'unknown') return Response.json({ errors: [{ code: 5007, message: 'No such model' }] }, { status: 404 });
      const asked = JSON.stringify({ model, inputs, raw: options.returnRawResponse });
      if (inputs.stream) {
        const pieces = [{ response: 'Hel' }, { response: 'lo' }, { response: '', usage: { prompt_tokens: 3, completion_tokens: 2 } }];
        const text = pieces.map((piece) => 'data: ' + JSON.stringify(piece) + '\\n\\n').join('') + 'data: [DONE]\\n\\n';
        return new Response(text, { headers: { 'content-type': 'text/event-stream' } });
      }
      const message = { role: 'assistant', content: asked };
      return Response.json({ id: 'c1', model, choices: [{ index: 0, message, finish_reason: 'stop' }] });
    }
  }
  export default { fetch: () => new Response('nothing here') };
`;

let world;
before(async () => {
  const ai = { name: 'ai', modules: true, script: AI, compatibilityDate: '2026-10-23', compatibilityFlags: ['enable_abortsignal_rpc'] };
  const bound = (binding) => ({ dialect: 'openai-chat', binding });
  world = await startWorld({
    labs: [],
    providers: { 'cloudflare-workers-ai': { binding: 'AI' }, bound: bound('AI'), absent: bound('NO_AI') },
    extraWorkers: [ai],
    // Between two Workers of one's own a signal goes along only with this flag; Cloudflare's binding needs none.
    overrides: {
      serviceBindings: { AI: { name: 'ai', entrypoint: 'Ai' } },
      compatibilityFlags: ['enable_request_signal', 'enable_abortsignal_rpc'],
    },
  });
});
after(() => world?.close());

const messages = [{ role: 'user', content: 'Hi' }];
const ask = (model, fields = {}) => world.post('/v1/chat/completions', { model, messages, ...fields });

test('the model goes beside the body, and the answer comes as it is', async () => {
  for (const provider of ['bound', 'cloudflare-workers-ai']) {
    const response = await ask(`${provider}/@cf/meta/llama`, { seed: 7 });
    assert.equal(response.status, 200);
    const { choices } = await response.json();
    const asked = JSON.parse(choices[0].message.content);
    assert.deepEqual(asked, { model: '@cf/meta/llama', inputs: { messages, seed: 7 }, raw: true });
  }
});

test('a stream in its own shape becomes the client\'s events', async () => {
  const response = await world.post('/v1/messages', { model: 'bound/m', max_tokens: 9, stream: true, messages });
  const text = await response.text();
  const deltas = [...text.matchAll(/"type":"text_delta","text":"([^"]*)"/g)].map(([, piece]) => piece);
  assert.equal(deltas.join(''), 'Hello');
  assert.match(text, /"stop_reason":"end_turn"/);
});

test('a binding that is absent, throws or refuses is a failure of that target', async () => {
  for (const [model, words] of [['absent/m', /NO_AI/], ['bound/throws', /could not connect/], ['bound/unknown', /does not know the model/]]) {
    const response = await ask(model);
    assert.equal(response.status, 502);
    assert.match((await response.json()).error.message, words, model);
  }
});
