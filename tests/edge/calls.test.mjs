// Calls of tools from providers that answer with several unless told otherwise, and that no client speaks like: what a client gets who
// wants one at most, and what one gets who does not mind.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { hear } from './hear.mjs';
import { startWorld } from './world.mjs';

const TOOLS = ['weather', 'clock'].map((name) => (
  { type: 'function', function: { name, parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] } } }));
const ARGS = { place: 'lab' };

let world;
before(async () => {
  world = await startWorld({ labs: ['first'] });
});
after(() => world?.close());

for (const dialect of ['gemini', 'cohere', 'bedrock']) {
  describe(`a target that speaks ${dialect}`, () => {
    const ask = async (fields) => {
      const model = await world.route([{ lab: 'first', dialect }]);
      const request = { model, tools: TOOLS, messages: [{ role: 'user', content: 'hi' }], ...fields };
      const whole = await world.openai().chat.completions.create(request);
      const streamed = await hear(await world.openai().chat.completions.create({ ...request, stream: true }));
      assert.equal(streamed.error, null);
      return [
        whole.choices[0].message.tool_calls.map(({ function: { name, arguments: text } }) => [name, JSON.parse(text)]),
        streamed.calls.map(({ name, arguments: text }) => [name, JSON.parse(text)]),
        [whole.choices[0].finish_reason, ...streamed.finishes],
      ];
    };

    test('calls several tools at once', async () => {
      const both = [['weather', ARGS], ['clock', ARGS]];
      assert.deepEqual(await ask({}), [both, both, ['tool_calls', 'tool_calls']]);
    });

    test('calls one, the first, where one is the most that is wanted', async () => {
      const one = [['weather', ARGS]];
      assert.deepEqual(await ask({ parallel_tool_calls: false }), [one, one, ['tool_calls', 'tool_calls']]);
    });
  });
}
