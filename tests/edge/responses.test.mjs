// The Responses API: what the npm SDK gets through `client.responses`, whichever dialect the target speaks, and what
// reached the provider.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import OpenAI from 'openai';

import { eventsOf } from './hear.mjs';
import { startWorld } from './world.mjs';

const FIXTURES = new URL('../dialects/openai-responses/', import.meta.url);
const fails = (promise) => promise.then(assert.fail, (error) => error);

const WEATHER = {
  type: 'function',
  name: 'weather',
  description: 'The weather in a place.',
  strict: false,
  parameters: {
    type: 'object',
    properties: { place: { type: 'string' }, unit: { enum: ['celsius', 'kelvin'] } },
    required: ['place', 'unit'],
  },
};
const CLOCK = {
  type: 'function',
  name: 'clock',
  strict: false,
  parameters: { type: 'object', properties: { zone: { type: 'string' } }, required: ['zone'] },
};
const PERSON = {
  type: 'json_schema',
  name: 'person',
  strict: true,
  schema: {
    type: 'object',
    properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 18 } },
    required: ['name', 'age'],
    additionalProperties: false,
  },
};

/** A number in a schema that says at least 18. Anthropic takes no bounds, so the model there is told in words, and the lab cannot read. */
const AGES = { 'openai-chat': 18, anthropic: 1 };
let world;
let native;
before(async () => {
  native = await startNative();
  const provider = { dialect: 'openai-responses', base_url: `${native.url}/v1`, auth: 'none' };
  world = await startWorld({ providers: { native: provider } });
});
after(() => Promise.all([world?.close(), native?.close()]));

/** A provider that speaks the Responses API, and says what the fixtures of the case `text` say. */
async function startNative() {
  const [whole, stream] = await Promise.all(['text.answer.json', 'text.stream.txt'].map((name) => readFile(new URL(name, FIXTURES))));
  const calls = [];
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const body = Buffer.concat(pieces).toString('utf8');
    calls.push({ path: request.url, body });
    const isStream = JSON.parse(body).stream === true;
    response.setHeader('content-type', isStream ? 'text/event-stream' : 'application/json');
    response.end(isStream ? stream : whole);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}`, calls, whole, stream, close };
}

const create = (fields) => world.openai().responses.create(fields);

async function eventsOfStream(fields) {
  const events = [];
  for await (const event of await create({ ...fields, stream: true })) events.push(event);
  return events;
}

for (const dialect of ['openai-chat', 'anthropic']) {
  describe(`a target that speaks ${dialect}`, () => {
    const route = (script) => world.route([{ lab: 'first', dialect, script }]);
    const said = (model) => `first here, model ${model}-0. You said: hi. The lab answers every call`;

    test('answers whole, with usage', async () => {
      const model = await route({ tokens: 12 });
      const { data, response } = await world.openai().responses.create({ model, input: 'hi' }).withResponse();
      assert.equal(data.output_text, said(model));
      assert.deepEqual([data.object, data.status, data.error, data.incomplete_details], ['response', 'completed', null, null]);
      assert.deepEqual(data.output.map(({ type, role, status }) => [type, role, status]), [['message', 'assistant', 'completed']]);
      const { input_tokens, output_tokens, total_tokens } = data.usage;
      assert.deepEqual([input_tokens, output_tokens, total_tokens], [4, 12, 16]);
      assert.equal(response.headers.get('x-waypost-target'), 'first');
    });

    test('streams token by token, in the order of OpenAI\'s events', async () => {
      const model = await route({ tokens: 12 });
      const events = await eventsOfStream({ model, input: [{ role: 'user', content: 'hi' }] });
      const deltas = events.filter(({ type }) => type === 'response.output_text.delta');
      assert.equal(deltas.length, 12);
      assert.equal(deltas.map(({ delta }) => delta).join(''), said(model));
      assert.deepEqual(events.map(({ type }) => type).filter((type, place, all) => type !== all[place - 1]), [
        'response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added',
        'response.output_text.delta', 'response.output_text.done', 'response.content_part.done', 'response.output_item.done',
        'response.completed',
      ]);
      assert.deepEqual(events.map(({ sequence_number }) => sequence_number), events.map((_, place) => place));
      const { response } = events.at(-1);
      assert.equal(response.output[0].content[0].text, said(model));
      assert.deepEqual([response.usage.input_tokens, response.usage.output_tokens], [4, 12]);
    });

    test('satisfies the SDK\'s own stream helper', async () => {
      const model = await route({ tokens: 9 });
      const final = await world.openai().responses.stream({ model, input: 'hi' }).finalResponse();
      assert.equal(final.output_text.split(' ').length, 9);
      assert.equal(final.status, 'completed');
    });

    test('calls a tool in pieces, and answers when it has the result', async () => {
      const model = await route();
      const stream = world.openai().responses.stream({ model, input: 'hi', tools: [WEATHER] });
      let pieces = 0;
      stream.on('response.function_call_arguments.delta', () => { pieces += 1; });
      const { output } = await stream.finalResponse();
      assert.ok(pieces > 1, 'the arguments came in pieces');
      const [call] = output;
      assert.deepEqual([call.type, call.name, call.status], ['function_call', 'weather', 'completed']);
      assert.equal(JSON.parse(call.arguments).unit, 'celsius');

      const input = [{ role: 'user', content: 'hi' }, call, { type: 'function_call_output', call_id: call.call_id, output: 'It rains.' }];
      const answer = await create({ model, input, tools: [WEATHER] });
      assert.match(answer.output_text, /The tool said: It rains\./);
    });

    test('calls two tools at once, whole and streamed', async () => {
      const model = await route();
      const request = { model, input: 'hi', tools: [WEATHER, CLOCK], tool_choice: 'auto', parallel_tool_calls: true };
      const streamed = await world.openai().responses.stream(request).finalResponse();
      for (const { output } of [await create(request), streamed]) {
        assert.deepEqual(output.map(({ name }) => name), ['weather', 'clock']);
        assert.equal(new Set(output.map(({ call_id }) => call_id)).size, 2);
        assert.equal(new Set(output.map(({ id }) => id)).size, 2);
        assert.deepEqual(JSON.parse(output[1].arguments), { zone: 'lab' });
      }
    });

    test('calls the tool that is named', async () => {
      const model = await route();
      const { output } = await create({ model, input: 'hi', tools: [WEATHER, CLOCK], tool_choice: { type: 'function', name: 'clock' } });
      assert.deepEqual(output.map(({ type, name }) => [type, name]), [['function_call', 'clock']]);
    });

    test('answers in a JSON schema, which the SDK parses', async () => {
      const model = await route();
      const parsed = await world.openai().responses.parse({ model, input: 'hi', text: { format: PERSON } });
      assert.deepEqual(parsed.output_parsed, { name: 'lab', age: AGES[dialect] });
      const events = await eventsOfStream({ model, input: 'hi', text: { format: PERSON } });
      assert.deepEqual(JSON.parse(events.at(-1).response.output[0].content[0].text), { name: 'lab', age: AGES[dialect] });
    });

    test('shows reasoning as a summary', async () => {
      const model = await route({ tokens: 5, reasoning_tokens: 3 });
      const final = await world.openai().responses.stream({ model, input: 'hi' }).finalResponse();
      assert.deepEqual(final.output.map(({ type }) => type), ['reasoning', 'message']);
      assert.equal(final.output[0].summary[0].text.split(' ').length, 3);
      assert.deepEqual((await create({ model, input: 'hi' })).output.map(({ type }) => type), ['reasoning', 'message']);
    });

    test('says that an answer reached its limit', async () => {
      const model = await route({ tokens: 30 });
      const request = { model, input: 'hi', max_output_tokens: 5 };
      const events = await eventsOfStream(request);
      assert.equal(events.at(-1).type, 'response.incomplete');
      for (const response of [await create(request), events.at(-1).response]) {
        assert.equal(response.status, 'incomplete');
        assert.deepEqual(response.incomplete_details, { reason: 'max_output_tokens' });
      }
    });

    test('is given the instructions and the conversation', async () => {
      const model = await route();
      const input = [{ role: 'user', content: 'One' }, { role: 'assistant', content: 'Two' }, { role: 'user', content: [{ type: 'input_text', text: 'Three' }] }];
      await create({ model, instructions: 'Be terse.', input });
      const { system, messages } = JSON.parse(world.calls('first', model)[0].body);
      const roles = messages.map(({ role }) => role);
      assert.deepEqual(roles, [...(dialect === 'anthropic' ? [] : ['system']), 'user', 'assistant', 'user']);
      assert.ok(JSON.stringify(system ?? messages[0]).includes('Be terse.'));
    });

    test('breaks off with an error event that the SDK raises', async () => {
      const model = await route({ tokens: 12, fault: { kind: 'cut', after_tokens: 3 } });
      let text = '';
      const error = await fails((async () => {
        for await (const event of await create({ model, input: 'hi', stream: true })) text += event.type === 'response.output_text.delta' ? event.delta : '';
      })());
      assert.ok(error instanceof OpenAI.APIError, String(error));
      assert.equal(error.code, 'cut_off');
      assert.equal(text.split(' ').filter(Boolean).length, 3);
    });
  });
}

describe('errors', () => {
  test('raise the SDK\'s own classes', async () => {
    const model = await world.route([{ lab: 'first' }]);
    const missing = await fails(create({ model }));
    assert.ok(missing instanceof OpenAI.BadRequestError);
    assert.deepEqual([missing.code, missing.param, missing.type], ['missing_field', 'input', 'invalid_request_error']);
    const unknown = await fails(create({ model: 'nowhere', input: 'hi', stream: true }));
    assert.ok(unknown instanceof OpenAI.NotFoundError);
    assert.ok((await fails(world.openai({ apiKey: 'wrong' }).responses.create({ model, input: 'hi' }))) instanceof OpenAI.AuthenticationError);
    const limited = await world.route([{ lab: 'first', script: { fault: { kind: 'status', status: 429, retry_after: 60 } } }]);
    assert.ok((await fails(create({ model: limited, input: 'hi' }))) instanceof OpenAI.RateLimitError);
    const down = await world.route([{ lab: 'first', script: { fault: { kind: 'status', status: 500 } } }]);
    assert.ok((await fails(create({ model: down, input: 'hi' }))) instanceof OpenAI.InternalServerError);
  });

  test('name what only the Responses API can do, and the remedy', async () => {
    const model = await world.route([{ lab: 'first' }, { lab: 'second', dialect: 'anthropic' }]);
    const cases = [
      [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
      [{ conversation: 'conv_1' }, 'conversation'],
      [{ store: true }, 'store'],
      [{ tools: [{ type: 'web_search' }] }, 'tools[0]'],
    ];
    for (const [fields, field] of cases) {
      const error = await fails(create({ model, input: 'hi', ...fields }));
      assert.equal(error.status, 400);
      assert.ok(error.message.includes(`leave \`${field}\` out, or give the route a target that speaks openai-responses`), error.message);
    }
    const background = await fails(create({ model, input: 'hi', background: true }));
    assert.deepEqual([background.status, background.param], [400, 'background']);
    assert.equal(world.calls('first', model).length + world.calls('second', model).length, 0);
  });

  test('a target that fails is left for another', async () => {
    const model = await world.route([
      { lab: 'first', script: { fault: { kind: 'status', status: 500 } } },
      { lab: 'second', dialect: 'anthropic', script: { tokens: 12 } },
    ]);
    const answer = await create({ model, input: 'hi' });
    assert.match(answer.output_text, /^second here/);
  });
});

describe('a target that speaks openai-responses', () => {
  const route = async (name, others = []) => {
    await world.put(`route:${name}`, { targets: [{ id: 'native', provider: 'native', model: 'gpt-own' }, ...others], temperature: 0 });
    return name;
  };

  test('is sent the caller\'s bytes, and its answer is passed on as it came', async () => {
    const model = await route('own');
    const body = `{ "model":"${model}", "input" : "h\\u0069", "store":true,"metadata":{"a":"1"} , "tools":[{"type":"web_search"}]}`;
    const response = await world.post('/v1/responses', body);
    assert.equal(await response.text(), native.whole.toString());
    assert.deepEqual(native.calls.at(-1), { path: '/v1/responses', body: body.replace(`"${model}"`, '"gpt-own"') });

    const streamed = await world.post('/v1/responses', body.replace('{ ', '{ "stream":true,'));
    assert.equal(await streamed.text(), native.stream.toString());
  });

  test('is the only candidate where the request is for nobody else', async () => {
    const model = await route('only', [{ id: 'lab', provider: 'first', model: 'lab-small', weight: 1000 }]);
    const answer = await create({ model, input: 'hi', previous_response_id: 'resp_1' });
    assert.equal(answer.output_text, 'Hello! How can I assist you today?');
  });

  test('answers the other APIs', async () => {
    const model = await route('others');
    const chat = await world.openai().chat.completions.create({ model, messages: [{ role: 'user', content: 'hi' }] });
    assert.equal(chat.choices[0].message.content, 'Hello! How can I assist you today?');
    assert.deepEqual(JSON.parse(native.calls.at(-1).body), { model: 'gpt-own', input: [{ role: 'user', content: 'hi' }], store: false });
    const headers = { 'anthropic-version': '2023-06-01' };
    const messages = await world.post('/v1/messages', { model, max_tokens: 99, stream: true, messages: [{ role: 'user', content: 'hi' }] }, headers);
    const events = eventsOf(await messages.text());
    const deltas = events.filter(({ event }) => event === 'content_block_delta').map(({ data }) => JSON.parse(data).delta.text);
    assert.equal(deltas.join(''), 'Hello! How can I assist you today?');
    assert.equal(events.at(-1).event, 'message_stop');
  });
});
