// The `@anthropic-ai/sdk` package; see `openai.mjs`.

import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';

import { PERSON, QUESTION, WEATHER, WEATHER_ANSWER } from './asked.mjs';

const connect = ({ url, key }) => new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, timeout: 20_000 });
const user = { role: 'user', content: QUESTION };
const request = ({ model }) => ({ model, max_tokens: 1000, messages: [user] });
const textOf = ({ content }) => content.map(({ text }) => text ?? '').join('');

const ops = {
  async complete(call) {
    const answer = await connect(call).messages.create(request(call));
    return { text: textOf(answer), finish: answer.stop_reason, usage: [answer.usage.input_tokens, answer.usage.output_tokens] };
  },

  async stream(call, heard) {
    const stream = connect(call).messages.stream(request(call)).on('text', (piece) => heard.push(piece));
    const { usage } = await stream.finalMessage();
    return { usage: [usage.input_tokens, usage.output_tokens] };
  },

  async tool(call) {
    const tools = [{ name: WEATHER.name, description: WEATHER.description, input_schema: WEATHER.schema }];
    const { content } = await connect(call).messages.stream({ ...request(call), tools }).finalMessage();
    const asked = content.find(({ type }) => type === 'tool_use');
    const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: asked.id, content: WEATHER_ANSWER }] };
    const messages = [user, { role: 'assistant', content }, result];
    const answer = await connect(call).messages.create({ ...request(call), tools, messages });
    return { name: asked.name, args: asked.input, text: textOf(answer) };
  },

  async schema(call) {
    const answer = await connect(call).messages.parse({ ...request(call), output_config: { format: zodOutputFormat(PERSON) } });
    return answer.parsed_output;
  },

  mistake: (call) => connect(call).messages.create({ ...request(call), max_tokens: undefined }),
};

export const clients = { anthropic: ops };
