// The `openai` package, as programs use it: chat completions and the Responses API.
//
// A driver exports its `clients` by the names of `../families.mjs`; `../cases.mjs` says what each operation has to give back.

import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';

import { EMBEDDED, PERSON, QUESTION, WEATHER, WEATHER_ANSWER } from './asked.mjs';

const connect = ({ url, key }) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 20_000 });
const user = { role: 'user', content: QUESTION };

const CHAT_TOOL = { type: 'function', function: { name: WEATHER.name, description: WEATHER.description, parameters: WEATHER.schema } };

const chat = {
  async complete(call) {
    const answer = await connect(call).chat.completions.create({ model: call.model, messages: [user] });
    const [{ message, finish_reason }] = answer.choices;
    return { text: message.content, finish: finish_reason, usage: [answer.usage.prompt_tokens, answer.usage.completion_tokens] };
  },

  async stream(call, heard) {
    const stream = await connect(call).chat.completions.create({ model: call.model, messages: [user], stream: true });
    let usage;
    for await (const chunk of stream) {
      const piece = chunk.choices[0]?.delta.content;
      if (piece) heard.push(piece);
      if (chunk.usage) usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
    }
    return { usage };
  },

  async tool(call) {
    const request = { model: call.model, messages: [user], tools: [CHAT_TOOL] };
    const { message } = (await connect(call).chat.completions.stream(request).finalChatCompletion()).choices[0];
    const [asked] = message.tool_calls;
    const result = { role: 'tool', tool_call_id: asked.id, content: WEATHER_ANSWER };
    const answer = await connect(call).chat.completions.create({ ...request, messages: [user, message, result] });
    return { name: asked.function.name, args: JSON.parse(asked.function.arguments), text: answer.choices[0].message.content };
  },

  async schema(call) {
    const response_format = zodResponseFormat(PERSON, 'person');
    const answer = await connect(call).chat.completions.parse({ model: call.model, messages: [user], response_format });
    return answer.choices[0].message.parsed;
  },

  async embed(call) {
    const { data } = await connect(call).embeddings.create({ model: call.model, input: EMBEDDED });
    return { vectors: data.map(({ embedding }) => embedding) };
  },

  async prompt(call) {
    const { choices, usage } = await connect(call).completions.create({ model: call.model, prompt: QUESTION, max_tokens: 100 });
    return { text: choices[0].text, usage: [usage.prompt_tokens, usage.completion_tokens] };
  },

  async promptStream(call, heard) {
    const stream_options = { include_usage: true };
    const stream = await connect(call).completions.create({ model: call.model, prompt: QUESTION, max_tokens: 100, stream: true, stream_options });
    let usage;
    for await (const chunk of stream) {
      if (chunk.choices[0]?.text) heard.push(chunk.choices[0].text);
      if (chunk.usage) usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
    }
    return { usage };
  },

  mistake: (call) => connect(call).chat.completions.create({ model: call.model, messages: [] }),
};

const RESPONSES_TOOL = { type: 'function', name: WEATHER.name, description: WEATHER.description, parameters: WEATHER.schema, strict: false };

const responses = {
  async complete(call) {
    const answer = await connect(call).responses.create({ model: call.model, input: QUESTION });
    const finish = answer.incomplete_details?.reason ?? answer.status;
    return { text: answer.output_text, finish, usage: [answer.usage.input_tokens, answer.usage.output_tokens] };
  },

  async stream(call, heard) {
    let usage;
    for await (const event of await connect(call).responses.create({ model: call.model, input: QUESTION, stream: true })) {
      if (event.type === 'response.output_text.delta') heard.push(event.delta);
      if (event.type === 'response.completed') usage = [event.response.usage.input_tokens, event.response.usage.output_tokens];
    }
    return { usage };
  },

  async tool(call) {
    const request = { model: call.model, input: [user], tools: [RESPONSES_TOOL] };
    const [asked] = (await connect(call).responses.stream(request).finalResponse()).output;
    const result = { type: 'function_call_output', call_id: asked.call_id, output: WEATHER_ANSWER };
    const answer = await connect(call).responses.create({ ...request, input: [user, asked, result] });
    return { name: asked.name, args: JSON.parse(asked.arguments), text: answer.output_text };
  },

  async schema(call) {
    const format = zodTextFormat(PERSON, 'person');
    return (await connect(call).responses.parse({ model: call.model, input: QUESTION, text: { format } })).output_parsed;
  },

  mistake: (call) => connect(call).responses.create({ model: call.model }),
};

export const clients = { 'openai chat': chat, 'openai responses': responses };
