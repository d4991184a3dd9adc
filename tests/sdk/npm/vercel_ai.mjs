// The Vercel AI SDK (`ai`), with its OpenAI-compatible and its Anthropic provider; see `openai.mjs`.
//
// It checks requests by itself, so that no `mistake` leaves it.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateText, isStepCount, Output, streamText, tool } from 'ai';

import { EMBEDDED, PERSON, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_INPUT } from './asked.mjs';

const waypost = ({ url, key }) =>
  createOpenAICompatible({ name: 'waypost', baseURL: `${url}/v1`, apiKey: key, includeUsage: true, supportsStructuredOutputs: true });
const compatible = (call) => waypost(call)(call.model);
const anthropic = ({ url, key, model }) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model);

function opsOf(connect) {
  const request = (call) => ({ model: connect(call), prompt: QUESTION, maxRetries: 0, maxOutputTokens: 1000, abortSignal: AbortSignal.timeout(20_000) });
  return {
    async complete(call) {
      const { text, finishReason, usage } = await generateText(request(call));
      return { text, finish: finishReason, usage: [usage.inputTokens, usage.outputTokens] };
    },

    async stream(call, heard) {
      const stream = streamText({ ...request(call), onError: () => {} });
      for await (const part of stream.fullStream) {
        if (part.type === 'text-delta') heard.push(part.text);
        if (part.type === 'error') throw part.error;
      }
      const usage = await stream.usage;
      return { usage: [usage.inputTokens, usage.outputTokens] };
    },

    async tool(call) {
      let args;
      const execute = async (input) => {
        args = input;
        return WEATHER_ANSWER;
      };
      const tools = { [WEATHER.name]: tool({ description: WEATHER.description, inputSchema: WEATHER_INPUT, execute }) };
      const stream = streamText({ ...request(call), tools, stopWhen: isStepCount(2) });
      const [text, steps] = [await stream.text, await stream.steps];
      return { name: steps[0].toolCalls[0].toolName, args, text };
    },

    async schema(call) {
      return (await generateText({ ...request(call), output: Output.object({ schema: PERSON }) })).output;
    },
  };
}

async function embed(call) {
  const { embeddings } = await embedMany({ model: waypost(call).embeddingModel(call.model), values: EMBEDDED, maxRetries: 0 });
  return { vectors: embeddings };
}

export const clients = { 'ai, compatible': { ...opsOf(compatible), embed }, 'ai, anthropic': opsOf(anthropic) };
