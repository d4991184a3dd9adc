// Reads a request in the dialect of Cohere's chat API, version 2.
//
// `readCohereRequest` returns what `answer.mjs` needs to know, or throws `Refused` in the words of the real API: 422 for fields that it
// does not know, at any depth, else 400. It holds tool results to the calls before them, and schemas to what the API demands of them.
// Wire format: <https://docs.cohere.com/v2/reference/chat>, <https://docs.cohere.com/v2/docs/structured-outputs>,
// <https://docs.cohere.com/reference/errors>, and the types of the `cohere` package 7.3.1 from PyPI, read on 2026-11-21. What the API
// says of an unknown field is quoted in github.com/OpenRouterTeam/openrouter-examples/issues/71.
// Not checked: keywords of schemas that are called unsupported there; whether they are refused is told nowhere. Documents.

import { isRecord } from '../check.mjs';
import { Refused } from '../refused.mjs';
import { countTokens } from './openai_request.mjs';

const FIELDS = [
  'citation_options', 'documents', 'frequency_penalty', 'k', 'logprobs', 'max_tokens', 'messages', 'model', 'p', 'presence_penalty',
  'priority', 'response_format', 'safety_mode', 'seed', 'stop_sequences', 'stream', 'strict_tools', 'temperature', 'thinking',
  'tool_choice', 'tools',
];
const MESSAGE_FIELDS = {
  system: ['role', 'content'],
  user: ['role', 'content'],
  assistant: ['role', 'content', 'tool_calls', 'tool_plan', 'citations'],
  tool: ['role', 'content', 'tool_call_id'],
};
const PART_FIELDS = { text: ['type', 'text'], image_url: ['type', 'image_url'], thinking: ['type', 'thinking'], document: ['type', 'document'] };
const STOPS_MAX = 5;
/** Numbers: the lowest and the highest that is taken. */
const RANGES = {
  temperature: [0, 1], p: [0.01, 0.99], k: [0, 500], frequency_penalty: [0, 1], presence_penalty: [0, 1], max_tokens: [1, 2 ** 31 - 1], seed: [0, 2 ** 64],
};

export function readCohereRequest(body) {
  checkFields(body, FIELDS);
  if (typeof body.model !== 'string' || body.model === '') throw bad('invalid request: model is required');
  for (const [field, range] of Object.entries(RANGES)) checkRange(field, body[field], range);
  if (body.frequency_penalty && body.presence_penalty) throw bad('invalid request: cannot specify both frequency_penalty and presence_penalty.');
  const { stop_sequences = [] } = body;
  if (stop_sequences.length > STOPS_MAX) throw bad(`invalid request: stop_sequences must have at most ${STOPS_MAX} items`);
  const messages = readMessages(body.messages);
  const tools = readTools(body.tools);
  const last = messages.at(-1);
  return {
    model: body.model,
    stream: body.stream === true,
    n: 1,
    max_tokens: body.max_tokens ?? null,
    stops: stop_sequences,
    tools,
    tool_choice: readToolChoice(body.tool_choice, tools),
    is_parallel: true,
    ...readFormat(body.response_format, tools),
    logprobs: null,
    include_usage: true,
    last_role: last.role,
    last_user_text: messages.findLast(({ role }) => role === 'user')?.text ?? '',
    // The API takes the assistant's words last, and does not go on with them.
    prefill_text: '',
    tool_result_text: last.text,
    prompt_tokens: countTokens(messages),
  };
}

function checkFields(value, known) {
  const stranger = Object.keys(value).find((field) => !known.includes(field));
  if (stranger === undefined) return;
  const message = `unknown field: parameter '${stranger}' is not a valid field. For proper usage, please refer to https://docs.cohere.com/reference/chat`;
  throw new Refused(422, message);
}

function checkRange(field, value, [low, high]) {
  if (value === undefined) return;
  if (typeof value !== 'number') throw bad(`invalid type: parameter ${field} is of type ${typeof value} but should be of type number.`);
  if (value < low || value > high) throw bad(`invalid request: ${field} must be between ${low} and ${high} inclusive.`);
}

function readMessages(messages) {
  if (!Array.isArray(messages) || messages.length === 0) throw bad('invalid request: messages must not be empty');
  let open = [];
  return messages.map((message, at) => {
    if (!isRecord(message) || !Object.hasOwn(MESSAGE_FIELDS, message.role)) {
      throw bad(`invalid request: Invalid role in messages at index ${at}. Role must be one of the following: system, user, assistant, tool`);
    }
    checkFields(message, MESSAGE_FIELDS[message.role]);
    if (message.role === 'tool') {
      if (!open.includes(message.tool_call_id)) throw bad(`invalid request: tool_call_id '${message.tool_call_id}' of the message at index ${at} is not one of the tool_calls before it`);
      open = open.filter((id) => id !== message.tool_call_id);
    } else if (open.length > 0) {
      throw bad(`invalid request: each tool call must be followed by a tool message with its tool_call_id: ${open.join(', ')}`);
    }
    const calls = readCalls(message.tool_calls ?? []);
    if (calls.length > 0) open = calls;
    const text = textOf(message.content, at);
    if (text === null && calls.length === 0) throw bad('message must not be empty in a turn');
    return { role: message.role, text: text ?? '' };
  });
}

function readCalls(calls) {
  return calls.map((call) => {
    checkFields(call, ['id', 'type', 'function']);
    checkFields(call.function ?? {}, ['name', 'arguments']);
    if (typeof call.id !== 'string' || typeof call.function?.name !== 'string' || !isJsonObject(call.function.arguments)) {
      throw bad('invalid request: tool_calls must have an id, a function name, and arguments that are a JSON object');
    }
    return call.id;
  });
}

function isJsonObject(text) {
  try {
    return isRecord(JSON.parse(text));
  } catch {
    return false;
  }
}

/** Null where there is nothing. */
function textOf(content, at) {
  if (content == null) return null;
  if (typeof content === 'string') return content === '' ? null : content;
  if (!Array.isArray(content)) throw bad(`invalid request: content at index ${at} must be a string or a list`);
  if (content.length === 0) return null;
  return content.map((part) => {
    if (!Object.hasOwn(PART_FIELDS, part?.type)) throw bad(`invalid request: content type '${part?.type}' at index ${at} is not supported`);
    checkFields(part, PART_FIELDS[part.type]);
    return part.text ?? '';
  }).join('');
}

function readTools(tools = []) {
  return tools.map((tool) => {
    checkFields(tool, ['type', 'function']);
    checkFields(tool.function ?? {}, ['name', 'description', 'parameters']);
    const { name, parameters } = tool.function ?? {};
    if (tool.type !== 'function' || typeof name !== 'string') throw bad('invalid request: tools must have the type function and a name');
    if (!isRecord(parameters)) throw bad(`invalid request: tool '${name}' must have parameters`);
    return { name, schema: parameters };
  });
}

function readToolChoice(choice, tools) {
  if (choice === undefined) return { kind: 'auto' };
  if (choice !== 'REQUIRED' && choice !== 'NONE') throw bad("invalid request: tool_choice must be one of 'REQUIRED', 'NONE'");
  if (tools.length === 0) throw bad('invalid request: tool_choice requires tools');
  return { kind: choice === 'NONE' ? 'none' : 'any' };
}

function readFormat(format, tools) {
  const plain = { schema: null, is_json_object: false };
  if (format === undefined) return plain;
  checkFields(format, ['type', 'json_schema', 'schema']);
  if (format.type === 'text') return plain;
  if (format.type !== 'json_object') throw bad("invalid request: response_format.type must be one of 'text', 'json_object'");
  if (tools.length > 0) throw bad('invalid request: response_format is not supported with tools.');
  const schema = format.json_schema ?? format.schema;
  if (schema === undefined) return { ...plain, is_json_object: true };
  checkSchema(schema);
  return { ...plain, schema };
}

function checkSchema(schema) {
  const wrong = (reason) => bad(`invalid request: response_format validation: invalid 'json_schema' provided: ${reason}`);
  if (schema.type === undefined) throw wrong("missing required field 'type'");
  if (schema.type !== 'object') throw wrong("the top level 'type' must be 'object'");
  const pending = [schema];
  for (const each of pending) {
    if (!isRecord(each)) continue;
    if (each.type === 'object' && !(each.required?.length > 0)) throw wrong("every object must have at least one 'required' field");
    pending.push(each.items, ...Object.values(each.properties ?? {}), ...Object.values(each.$defs ?? {}), ...(each.anyOf ?? []));
  }
}

const bad = (message) => new Refused(400, message);
