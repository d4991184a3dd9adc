// Good answers: what the npm SDK gets, whichever dialect the target speaks, and what reached the provider.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventsOf, hear } from './hear.mjs';
import { KEY, startWorld, until } from './world.mjs';

const QUESTION = [{ role: 'user', content: 'hi' }];
/** Two to four bytes a character, and characters of several code points. */
const WORLDLY = 'Grüße — 世界 👩‍🚀 ﷽ é 🇩🇪 end';

const WEATHER = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather in a place.',
    parameters: {
      type: 'object',
      properties: {
        place: {
          type: 'object',
          properties: { city: { type: 'string' }, height_m: { type: 'integer', minimum: 7 } },
          required: ['city'],
        },
        unit: { enum: ['celsius', 'kelvin'] },
        hours: { type: 'array', items: { type: 'number' } },
      },
      required: ['place', 'unit'],
    },
  },
};
const CLOCK = {
  type: 'function',
  function: { name: 'clock', parameters: { type: 'object', properties: { zone: { type: 'string' } }, required: ['zone'] } },
};
const PERSON = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 18 }, tags: { type: 'array', items: { type: 'string' } } },
  required: ['name', 'age', 'tags'],
  additionalProperties: false,
};

/** A number in a schema that says at least 18. Anthropic takes no bounds, so the model there is told in words, and the lab cannot read. */
const AGES = { 'openai-chat': 18, anthropic: 1 };
let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

for (const dialect of ['openai-chat', 'anthropic']) {
  describe(`a target that speaks ${dialect}`, () => {
    const route = (script) => world.route([{ lab: 'first', dialect, script }]);
    const ask = async (fields) => world.openai().chat.completions.create({ messages: QUESTION, ...fields });

    test('answers whole, with usage', async () => {
      const model = await route({ tokens: 12 });
      const { data, response } = await world.openai().chat.completions.create({ model, messages: QUESTION }).withResponse();
      assert.equal(data.object, 'chat.completion');
      assert.equal(data.choices[0].message.content, `first here, model ${model}-0. You said: hi. The lab answers every call`);
      assert.equal(data.choices[0].finish_reason, 'stop');
      const { prompt_tokens, completion_tokens, total_tokens } = data.usage;
      assert.deepEqual([prompt_tokens, completion_tokens, total_tokens], [4, 12, 16]);
      assert.equal(response.headers.get('x-waypost-target'), 'first');
      assert.equal(response.headers.get('x-waypost-route'), model);
      assert.equal(response.headers.get('x-waypost-attempts'), '1');
    });

    test('streams token by token, with usage whether asked for or not', async () => {
      const model = await route({ tokens: 12 });
      for (const stream_options of [undefined, { include_usage: true }]) {
        const heard = await hear(await ask({ model, stream: true, stream_options }));
        assert.equal(heard.error, null);
        assert.equal(heard.text, `first here, model ${model}-0. You said: hi. The lab answers every call`);
        assert.equal(heard.chunks.filter((chunk) => chunk.choices[0]?.delta.content).length, 12);
        assert.deepEqual(heard.finishes, ['stop']);
        assert.deepEqual(heard.usages.map(({ prompt_tokens, completion_tokens }) => [prompt_tokens, completion_tokens]), [[4, 12]]);
        assert.deepEqual(heard.chunks.at(-1).choices, [], 'usage comes last, without choices');
      }
    });

    test('calls a tool in pieces, and answers when it has the result', async () => {
      const model = await route();
      const heard = await hear(await ask({ model, stream: true, tools: [WEATHER] }));
      assert.deepEqual(heard.finishes, ['tool_calls']);
      assert.equal(heard.calls.length, 1);
      const [call] = heard.calls;
      assert.equal(call.name, 'weather');
      assert.ok(call.pieces > 3, 'the arguments came in pieces');
      const sent = JSON.parse(call.arguments);
      assert.deepEqual(sent, { place: { city: 'lab', height_m: 7 }, unit: 'celsius', hours: [1] });

      const asked = { id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } };
      const turn = [
        ...QUESTION,
        { role: 'assistant', content: null, tool_calls: [asked] },
        { role: 'tool', tool_call_id: call.id, content: 'It rains.' },
      ];
      const answer = await ask({ model, messages: turn, tools: [WEATHER] });
      assert.match(answer.choices[0].message.content, /The tool said: It rains\./);
    });

    test('calls a tool in one piece', async () => {
      const model = await route();
      const { choices } = await ask({ model, tools: [WEATHER], tool_choice: { type: 'function', function: { name: 'weather' } } });
      assert.equal(choices[0].finish_reason, 'tool_calls');
      const [call] = choices[0].message.tool_calls;
      assert.equal(call.type, 'function');
      assert.equal(JSON.parse(call.function.arguments).unit, 'celsius');
    });

    test('calls two tools at once', async () => {
      const model = await route();
      const request = { model, tools: [WEATHER, CLOCK], tool_choice: 'auto', parallel_tool_calls: true };
      const heard = await hear(await ask({ ...request, stream: true }));
      const whole = (await ask(request)).choices[0].message.tool_calls;
      for (const calls of [heard.calls, whole.map(({ id, function: { name, arguments: text } }) => ({ id, name, arguments: text }))]) {
        assert.deepEqual(calls.map(({ name }) => name), ['weather', 'clock']);
        assert.equal(new Set(calls.map(({ id }) => id)).size, 2);
        assert.deepEqual(JSON.parse(calls[1].arguments), { zone: 'lab' });
      }
    });

    test('answers in a JSON schema, which the SDK parses', async () => {
      const model = await route();
      const response_format = { type: 'json_schema', json_schema: { name: 'person', schema: PERSON, strict: true } };
      const parsed = await world.openai().chat.completions.parse({ model, messages: QUESTION, response_format });
      assert.deepEqual(parsed.choices[0].message.parsed, { name: 'lab', age: AGES[dialect], tags: ['lab'] });
      const heard = await hear(await ask({ model, response_format, stream: true }));
      assert.deepEqual(JSON.parse(heard.text), { name: 'lab', age: AGES[dialect], tags: ['lab'] });
    });

    test('satisfies the SDK\'s own stream helper', async () => {
      const model = await route({ tokens: 9 });
      const final = await world.openai().chat.completions.stream({ model, messages: QUESTION }).finalChatCompletion();
      assert.equal(final.choices[0].message.content.split(' ').length, 9);
      assert.equal(final.choices[0].finish_reason, 'stop');
    });

    test('is given the system prompt', async () => {
      const model = await route();
      await ask({ model, messages: [{ role: 'system', content: 'Be terse.' }, ...QUESTION] });
      const [call] = world.calls('first', model);
      assert.equal(call.headers['content-type'], 'application/json');
      const sent = JSON.parse(call.body);
      const system = dialect === 'anthropic' ? textOf(sent.system) : sent.messages.find(({ role }) => role === 'system').content;
      assert.equal(system, 'Be terse.');
      assert.deepEqual(sent.messages.map(({ role }) => role).filter((role) => role !== 'system'), ['user']);
    });

    for (const chunking of ['byte', 'split', 'event']) {
      test(`keeps every character when the provider writes by ${chunking}, with CRLF`, async () => {
        const model = await route({ text: WORLDLY, chunking, line_ending: 'crlf' });
        const heard = await hear(await ask({ model, stream: true, messages: [{ role: 'user', content: WORLDLY }] }));
        assert.equal(heard.error, null);
        assert.equal(heard.text, WORLDLY);
        assert.equal((await ask({ model })).choices[0].message.content, WORLDLY);
        assert.ok(world.calls('first', model)[0].body.includes(WORLDLY), 'and so did the provider get the prompt');
      });
    }

    test('answers the Messages API, whole and streamed', async () => {
      const model = await route({ tokens: 12 });
      const request = { model, max_tokens: 100, messages: QUESTION };
      const headers = { authorization: '', 'x-api-key': KEY, 'anthropic-version': '2023-06-01' };
      const response = await world.post('/v1/messages', request, headers);
      const whole = await response.json();
      assert.equal(response.status, 200);
      assert.deepEqual([whole.type, whole.role, whole.stop_reason], ['message', 'assistant', 'end_turn']);
      const text = `first here, model ${model}-0. You said: hi. The lab answers every call`;
      assert.deepEqual(whole.content, [{ type: 'text', text }]);
      assert.deepEqual([whole.usage.input_tokens, whole.usage.output_tokens], [4, 12]);

      const streamed = await world.post('/v1/messages', { ...request, stream: true }, headers);
      assert.match(streamed.headers.get('content-type'), /^text\/event-stream/);
      const events = eventsOf(await streamed.text()).filter(({ event }) => event !== 'ping');
      for (const { event, data } of events) assert.equal(JSON.parse(data).type, event);
      assert.deepEqual([...new Set(events.map(({ event }) => event))], [
        'message_start', 'content_block_start', 'content_block_delta', 'content_block_stop', 'message_delta', 'message_stop',
      ]);
      const said = events.map(({ data }) => JSON.parse(data)).filter(({ type }) => type === 'content_block_delta');
      assert.equal(said.map(({ delta }) => delta.text).join(''), text);
      const last = JSON.parse(events.at(-2).data);
      assert.equal(last.delta.stop_reason, 'end_turn');
      assert.equal(last.usage.output_tokens, 12);
    });
  });
}

test('GET /v1/models lists the routes as the SDK expects', async () => {
  const model = await world.route([{ lab: 'first' }]);
  await world.put('route:team/chat', { targets: [{ provider: 'first', model: 'lab-small' }] });
  const names = await listedWith(model);
  assert.ok(names.includes('team/chat'));
  assert.deepEqual(names, [...names].sort());
  const answer = await world.openai().chat.completions.create({ model: 'team/chat', messages: QUESTION });
  assert.match(answer.choices[0].message.content, /model lab-small/);
});

async function listedWith(model) {
  return until(`${model} in the list`, async () => {
    const names = [];
    for await (const { id, object } of world.openai().models.list()) {
      assert.equal(object, 'model');
      names.push(id);
    }
    return names.includes(model) && names.includes('team/chat') ? names : undefined;
  });
}

/** Anthropic takes a system prompt as a string or as blocks. */
function textOf(system) {
  return typeof system === 'string' ? system : system.map(({ text }) => text).join('');
}
