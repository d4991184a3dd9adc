// The `@google/genai` package; see `openai.mjs`.

import { GoogleGenAI } from '@google/genai';
import { z } from 'zod';

import { PERSON, QUESTION, WEATHER, WEATHER_ANSWER } from './asked.mjs';

const connect = ({ url, key }) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url, timeout: 20_000 } }).models;
const user = { role: 'user', parts: [{ text: QUESTION }] };
const usageOf = ({ usageMetadata }) => [usageMetadata.promptTokenCount, usageMetadata.candidatesTokenCount];

const ops = {
  async complete(call) {
    const answer = await connect(call).generateContent({ model: call.model, contents: QUESTION });
    return { text: answer.text, finish: answer.candidates[0].finishReason, usage: usageOf(answer) };
  },

  async stream(call, heard) {
    let usage;
    for await (const chunk of await connect(call).generateContentStream({ model: call.model, contents: QUESTION })) {
      if (chunk.text) heard.push(chunk.text);
      if (chunk.usageMetadata) usage = usageOf(chunk);
    }
    return { usage };
  },

  async tool(call) {
    const functionDeclarations = [{ name: WEATHER.name, description: WEATHER.description, parametersJsonSchema: WEATHER.schema }];
    const config = { tools: [{ functionDeclarations }] };
    const asked = await connect(call).generateContent({ model: call.model, contents: [user], config });
    const [{ id, name, args }] = asked.functionCalls;
    const result = { role: 'user', parts: [{ functionResponse: { id, name, response: { output: WEATHER_ANSWER } } }] };
    const contents = [user, asked.candidates[0].content, result];
    const answer = await connect(call).generateContent({ model: call.model, contents, config });
    return { name, args, text: answer.text };
  },

  async schema(call) {
    const config = { responseMimeType: 'application/json', responseJsonSchema: z.toJSONSchema(PERSON) };
    return JSON.parse((await connect(call).generateContent({ model: call.model, contents: QUESTION, config })).text);
  },

  mistake: (call) => connect(call).generateContent({ model: call.model, contents: [{ ...user, role: 'robot' }] }),
};

export const clients = { 'google-genai': ops };
