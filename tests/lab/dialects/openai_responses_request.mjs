// Reads a request in the dialect of OpenAI's Responses API.
//
// `readResponsesRequest` returns what `answer.mjs` needs to know, or throws `Refused` with the status, code, param and
// message that the real API uses. It knows the API's fields and refuses every other, as the API does: what routers
// get wrong here is a field of chat completions that they left in.
// Wire format: <https://platform.openai.com/docs/api-reference/responses/create> and the types of the `openai`
// package 7.57.
// Not here: what OpenAI keeps or runs (conversations, its own tools). They are taken, and do nothing.

import { isRecord } from '../check.mjs';
import { Refused } from '../refused.mjs';
import { countTokens, readCount } from './openai_request.mjs';

const FIELDS = [
  'access_programs', 'background', 'context_management', 'conversation', 'image', 'include', 'input', 'instructions',
  'max_output_tokens', 'max_tool_calls', 'metadata', 'model', 'moderation', 'parallel_tool_calls',
  'previous_response_id', 'prompt', 'prompt_cache_key', 'prompt_cache_options', 'prompt_cache_retention', 'reasoning',
  'safety_identifier', 'service_tier', 'store', 'stream', 'stream_options', 'temperature', 'text', 'tool_choice',
  'tools', 'top_logprobs', 'top_p', 'truncation', 'user',
];
const ROLES = ['assistant', 'system', 'developer', 'user'];
const PART_TYPES = ['input_text', 'input_image', 'input_file', 'output_text', 'refusal', 'summary_text'];
const FORMATS = ['json_object', 'json_schema', 'text'];

export function readResponsesRequest(body) {
  for (const field of Object.keys(body)) {
    if (!FIELDS.includes(field)) throw bad(`Unknown parameter: '${field}'.`, field, 'unknown_parameter');
  }
  if (typeof body.model !== 'string' || body.model === '') throw missing('model');
  const turns = readInput(body.input);
  const system = typeof body.instructions === 'string' ? [{ text: body.instructions }] : [];
  const last = turns.at(-1);
  const tools = readTools(body.tools);
  return {
    model: body.model,
    stream: body.stream === true,
    n: 1,
    max_tokens: readCount(body.max_output_tokens, 'max_output_tokens', 1),
    stops: [],
    tools,
    tool_choice: readToolChoice(body.tool_choice, tools),
    is_parallel: body.parallel_tool_calls === true,
    ...readFormat(body.text?.format),
    last_role: last.role,
    last_user_text: turns.findLast(({ role }) => role === 'user')?.text ?? '',
    prefill_text: last.role === 'assistant' ? last.text : '',
    tool_result_text: last.text,
    prompt_tokens: countTokens([...system, ...turns]),
    logprobs: null,
    include_usage: true,
    echoed: echoOf(body),
  };
}

/** What a response repeats of its request. */
function echoOf(body) {
  return {
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: { type: 'text' }, ...body.text },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: body.top_p ?? 1,
  };
}

/** The turns of the conversation as `{ role, text }`, where a tool's result has the role 'tool'. */
function readInput(input) {
  if (input == null) throw missing('input');
  if (typeof input === 'string') return [{ role: 'user', text: input }];
  if (!Array.isArray(input)) throw wrongType('input', 'a string or an array of items');
  if (input.length === 0) throw bad("Invalid 'input': empty array. Expected an array with minimum length 1.", 'input', 'empty_array');
  return input.map((item, at) => readItem(item, `input[${at}]`));
}

function readItem(item, path) {
  if (!isRecord(item)) throw wrongType(path, 'an object');
  switch (item.type ?? 'message') {
    case 'message': return readMessage(item, path);
    case 'function_call':
      for (const field of ['call_id', 'name', 'arguments']) {
        if (typeof item[field] !== 'string') throw missing(`${path}.${field}`);
      }
      return { role: 'assistant', text: '' };
    case 'function_call_output':
      if (typeof item.call_id !== 'string') throw missing(`${path}.call_id`);
      return { role: 'tool', text: textOf(item.output, `${path}.output`) };
    default: return { role: 'assistant', text: '' };
  }
}

function readMessage({ role, content }, path) {
  if (!ROLES.includes(role)) throw wrongValue(`${path}.role`, role, ROLES);
  return { role, text: textOf(content, `${path}.content`) };
}

function textOf(content, path) {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw wrongType(path, 'a string or an array of parts');
  return content
    .map((part, at) => {
      if (!PART_TYPES.includes(part?.type)) throw wrongValue(`${path}[${at}].type`, part?.type, PART_TYPES);
      return typeof part.text === 'string' ? part.text : '';
    })
    .join('');
}

/** The functions. Tools that OpenAI runs itself are known by their type and called by nobody here. */
function readTools(tools) {
  if (tools == null) return [];
  if (!Array.isArray(tools)) throw wrongType('tools', 'an array of objects');
  tools.forEach((tool, at) => {
    if (typeof tool?.type !== 'string') throw missing(`tools[${at}].type`);
    if (tool.type === 'function' && typeof tool.name !== 'string') throw missing(`tools[${at}].name`);
  });
  return tools.filter(({ type }) => type === 'function').map(({ name, parameters }) => ({ name, schema: parameters ?? null }));
}

function readToolChoice(choice, tools) {
  if (choice == null || choice === 'auto') return { kind: 'auto' };
  if (choice === 'none') return { kind: 'none' };
  if (choice === 'required') return { kind: 'any' };
  if (typeof choice?.name !== 'string') throw wrongValue('tool_choice', choice, ['none', 'auto', 'required']);
  if (!tools.some(({ name }) => name === choice.name)) {
    throw bad(`Tool choice '${choice.name}' not found in 'tools' parameter.`, 'tool_choice');
  }
  return { kind: 'tool', name: choice.name };
}

function readFormat(format) {
  const plain = { schema: null, is_json_object: false };
  if (format == null) return plain;
  if (!FORMATS.includes(format.type)) throw wrongValue('text.format.type', format.type, FORMATS);
  if (format.type === 'text') return plain;
  if (format.type === 'json_object') return { ...plain, is_json_object: true };
  if (typeof format.name !== 'string') throw missing('text.format.name');
  if (!isRecord(format.schema)) throw missing('text.format.schema');
  return { ...plain, schema: format.schema };
}

const bad = (message, param, code = null) => new Refused(400, message, { type: 'invalid_request_error', param, code });
const missing = (param) => bad(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter');
const wrongType = (param, expected) => bad(`Invalid type for '${param}': expected ${expected}.`, param, 'invalid_type');

function wrongValue(param, value, expected) {
  const valid = expected.map((each) => `'${each}'`).join(', ');
  return bad(`Invalid value: ${String(JSON.stringify(value)).slice(0, 60)}. Supported values are: ${valid}.`, param, 'invalid_value');
}
