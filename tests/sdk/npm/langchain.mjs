// LangChain's ChatOpenAI, OpenAIEmbeddings and ChatAnthropic; see `openai.mjs`.

import { ChatAnthropic } from '@langchain/anthropic';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { concat } from '@langchain/core/utils/stream';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';

import { EMBEDDED, PERSON, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_INPUT } from './asked.mjs';

const COMMON = { maxRetries: 0, maxTokens: 1000 };
const openai = (useResponsesApi) => ({ url, key, model }) =>
  new ChatOpenAI({ ...COMMON, model, apiKey: key, useResponsesApi, configuration: { baseURL: `${url}/v1` } });
const anthropic = ({ url, key, model }) => new ChatAnthropic({ ...COMMON, model, apiKey: key, anthropicApiUrl: url });

const usageOf = ({ usage_metadata }) => [usage_metadata.input_tokens, usage_metadata.output_tokens];

function opsOf(connect) {
  return {
    async complete(call) {
      const answer = await connect(call).invoke(QUESTION);
      const { finish_reason, stop_reason, incomplete_details, status } = answer.response_metadata;
      return { text: answer.text, finish: finish_reason ?? stop_reason ?? incomplete_details?.reason ?? status, usage: usageOf(answer) };
    },

    async stream(call, heard) {
      let all;
      for await (const chunk of await connect(call).stream(QUESTION)) {
        if (chunk.text !== '') heard.push(chunk.text);
        all = all === undefined ? chunk : concat(all, chunk);
      }
      return { usage: usageOf(all) };
    },

    async tool(call) {
      const model = connect(call).bindTools([{ name: WEATHER.name, description: WEATHER.description, schema: WEATHER_INPUT }]);
      const question = new HumanMessage(QUESTION);
      let said;
      for await (const chunk of await model.stream([question])) said = said === undefined ? chunk : concat(said, chunk);
      const [asked] = said.tool_calls;
      const result = new ToolMessage({ tool_call_id: asked.id, content: WEATHER_ANSWER });
      const answer = await model.invoke([question, said, result]);
      return { name: asked.name, args: asked.args, text: answer.text };
    },

    schema: (call) => connect(call).withStructuredOutput(PERSON, { method: 'jsonSchema' }).invoke(QUESTION),
  };
}

async function embed({ url, key, model }) {
  const embeddings = new OpenAIEmbeddings({ model, apiKey: key, maxRetries: 0, configuration: { baseURL: `${url}/v1` } });
  return { vectors: await embeddings.embedDocuments(EMBEDDED) };
}

export const clients = {
  'langchain ChatOpenAI': { ...opsOf(openai(false)), embed },
  'langchain ChatOpenAI responses': opsOf(openai(true)),
  'langchain ChatAnthropic': opsOf(anthropic),
};
