// OpenAI's embeddings: for each text a vector, always the same for the same text.
//
// Callers may rely on the same members as in `openai_chat.mjs`, where they are described and from where what is the same comes; nothing
// is ever streamed, and of a script the words are left out.
// Wire format: <https://platform.openai.com/docs/api-reference/embeddings/create> and the types of the `openai` package 7.57.
// Not here: vectors that mean anything, and tokens as input.

import { hash32, seeded } from '../random.mjs';
import { Refused } from '../refused.mjs';
import { openaiChat } from './openai_chat.mjs';
import { countTokens, readCount } from './openai_request.mjs';

const FIELDS = ['dimensions', 'encoding_format', 'input', 'model', 'user'];
const DIMENSIONS = 8;
const DIMENSIONS_MAX = 3072;
/** So few values that a 32-bit float holds each exactly. */
const STEPS = 256;

export const openaiEmbeddings = { ...openaiChat, name: 'openai-embeddings', idPrefix: 'emb-', read, whole };

/** The vector of a text: `dimensions` numbers from -1 up to 1. */
export function vectorOf(text, dimensions = DIMENSIONS) {
  const random = seeded(hash32(text));
  return Array.from({ length: dimensions }, () => Math.floor((random() * 2 - 1) * STEPS) / STEPS);
}

function read(body) {
  for (const field of Object.keys(body)) {
    if (!FIELDS.includes(field)) throw bad(`Unrecognized request argument supplied: ${field}`, null);
  }
  if (typeof body.model !== 'string' || body.model === '') throw bad('you must provide a model parameter', null);
  const inputs = [body.input].flat();
  if (inputs.length === 0 || !inputs.every((input) => typeof input === 'string' && input !== '')) {
    throw bad("Invalid 'input': the lab takes a string, or a list of strings, none of them empty.", 'input');
  }
  const { encoding_format = 'float' } = body;
  if (encoding_format !== 'float' && encoding_format !== 'base64') throw bad(`Invalid value: '${encoding_format}'. Supported values are: 'float' and 'base64'.`, 'encoding_format');
  const dimensions = readCount(body.dimensions, 'dimensions', 1, DIMENSIONS_MAX) ?? DIMENSIONS;
  return {
    model: body.model,
    stream: false,
    n: 1,
    max_tokens: null,
    stops: [],
    tools: [],
    schema: null,
    is_json_object: false,
    last_role: 'user',
    last_user_text: '',
    prompt_tokens: countTokens(inputs.map((text) => ({ text }))),
    embedded: inputs.map((input) => encoded(vectorOf(input, dimensions), encoding_format)),
  };
}

function encoded(vector, format) {
  return format === 'float' ? vector : Buffer.from(Float32Array.from(vector).buffer).toString('base64');
}

function whole({ model, embedded, prompt_tokens }, _answer, script) {
  const data = embedded.map((embedding, index) => ({ object: 'embedding', index, embedding }));
  const body = { object: 'list', data, model };
  return script.usage ? { ...body, usage: { prompt_tokens, total_tokens: prompt_tokens } } : body;
}

const bad = (message, param) => new Refused(400, message, { type: 'invalid_request_error', param });
