// Reads a request in OpenAI's chat-completions dialect.
//
// `readOpenaiRequest` returns what `answer.mjs` needs to know, or throws `Refused` with the status,
// code, param and message that the real API uses. It is as strict as the compatible providers have
// in common; it does not know every field, because they do not either.
// Wire format: <https://platform.openai.com/docs/api-reference/chat/create>.
// Not checked: that a tool message follows the call it answers.

import { isRecord } from '../check.mjs';
import { Refused } from '../refused.mjs';

/** What each message costs beside its text, as OpenAI's own counting recipe has it. */
const MESSAGE_TOKENS = 3;
const CHOICES_MAX = 128;
const ROLES = ['system', 'assistant', 'user', 'function', 'tool', 'developer'];

export function readOpenaiRequest(body) {
  if (typeof body.model !== 'string' || body.model === '') throw wrongModel(body.model);
  checkMessages(body.messages);
  if (body.stream_options != null && body.stream !== true) {
    throw bad("The 'stream_options' parameter is only allowed when 'stream' is enabled.", 'stream_options');
  }
  const messages = body.messages.map(({ role, content }) => ({ role, text: textOf(content) }));
  const last = messages.at(-1);
  const tools = readTools(body.tools);
  return {
    model: body.model,
    stream: body.stream === true,
    n: readCount(body.n, 'n', 1, CHOICES_MAX) ?? 1,
    max_tokens: readCount(body.max_completion_tokens, 'max_completion_tokens', 1)
      ?? readCount(body.max_tokens, 'max_tokens', 1),
    stops: [body.stop ?? []].flat().filter((stop) => typeof stop === 'string' && stop !== ''),
    tools,
    tool_choice: readToolChoice(body.tool_choice, tools),
    is_parallel: body.parallel_tool_calls === true,
    ...readFormat(body.response_format),
    last_role: last.role === 'function' ? 'tool' : last.role,
    last_user_text: messages.findLast((message) => message.role === 'user')?.text ?? '',
    prefill_text: last.role === 'assistant' ? last.text : '',
    tool_result_text: last.text,
    prompt_tokens: countTokens(messages),
    logprobs: body.logprobs === true ? readCount(body.top_logprobs, 'top_logprobs', 0, 20) ?? 0 : null,
    include_usage: body.stream_options?.include_usage === true,
  };
}

export function countTokens(messages) {
  const bytes = messages.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  return Math.ceil(bytes / 4) + MESSAGE_TOKENS * messages.length;
}

function checkMessages(messages) {
  if (messages === undefined) {
    throw bad("Missing required parameter: 'messages'.", 'messages', 'missing_required_parameter');
  }
  if (!Array.isArray(messages)) throw wrongType('messages', 'an array of objects', messages);
  if (messages.length === 0) {
    throw bad(
      "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      'messages',
      'empty_array',
    );
  }
  messages.forEach((message, at) => {
    if (!isRecord(message)) throw wrongType(`messages[${at}]`, 'an object', message);
    if (!ROLES.includes(message.role)) {
      const valid = ROLES.map((role) => `'${role}'`).join(', ');
      throw bad(
        `Invalid value: ${quoted(message.role)}. Supported values are: ${valid}.`,
        `messages[${at}].role`,
        'invalid_value',
      );
    }
  });
}

function textOf(content) {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part) => (typeof part?.text === 'string' ? part.text : '')).join('');
}

function readTools(tools) {
  if (tools == null) return [];
  if (!Array.isArray(tools)) throw wrongType('tools', 'an array of objects', tools);
  return tools.map((tool, at) => {
    const name = tool?.function?.name;
    if (typeof name !== 'string') {
      throw bad(`Missing required parameter: 'tools[${at}].function.name'.`, `tools[${at}].function.name`, 'missing_required_parameter');
    }
    return { name, schema: tool.function.parameters ?? null };
  });
}

function readToolChoice(choice, tools) {
  if (choice == null || choice === 'auto') return { kind: 'auto' };
  if (choice === 'none') return { kind: 'none' };
  if (choice === 'required') return { kind: 'any' };
  const name = choice?.function?.name;
  if (typeof name !== 'string') {
    throw bad(
      `Invalid value: ${quoted(choice)}. Supported values are: 'none', 'auto', and 'required'.`,
      'tool_choice',
      'invalid_value',
    );
  }
  if (!tools.some((tool) => tool.name === name)) {
    throw bad(`Tool choice '${name}' not found in 'tools' parameter.`, 'tool_choice');
  }
  return { kind: 'tool', name };
}

function readFormat(format) {
  const plain = { schema: null, is_json_object: false };
  if (format == null || format.type === 'text') return plain;
  if (format.type === 'json_object') return { ...plain, is_json_object: true };
  if (format.type !== 'json_schema') {
    throw bad(
      `Invalid value: ${quoted(format.type)}. Supported values are: 'json_object', 'json_schema', and 'text'.`,
      'response_format.type',
      'invalid_value',
    );
  }
  if (typeof format.json_schema?.name !== 'string') {
    throw bad(
      "Missing required parameter: 'response_format.json_schema.name'.",
      'response_format.json_schema.name',
      'missing_required_parameter',
    );
  }
  return { ...plain, schema: format.json_schema.schema ?? {} };
}

/** A whole number within bounds, or null where the field is left out. */
export function readCount(value, param, min, max = Number.MAX_SAFE_INTEGER) {
  if (value == null) return null;
  if (!Number.isInteger(value)) throw wrongType(param, 'an integer', value);
  if (value < min) {
    throw bad(
      `Invalid '${param}': integer below minimum value. Expected a value >= ${min}, but got ${value} instead.`,
      param,
      'integer_below_min_value',
    );
  }
  if (value > max) {
    throw bad(
      `Invalid '${param}': integer above maximum value. Expected a value <= ${max}, but got ${value} instead.`,
      param,
      'integer_above_max_value',
    );
  }
  return value;
}

const bad = (message, param, code = null) =>
  new Refused(400, message, { type: 'invalid_request_error', param, code });

const quoted = (value) => (typeof value === 'string' ? `'${value}'` : String(JSON.stringify(value)).slice(0, 60));

function wrongModel(model) {
  return model === undefined || model === ''
    ? bad('you must provide a model parameter', null)
    : wrongType('model', 'a string', model);
}

function wrongType(param, expected, value) {
  const got = { boolean: 'a boolean', number: Number.isInteger(value) ? 'an integer' : 'a decimal number', string: 'a string' };
  const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : got[typeof value] ?? 'an object';
  return bad(`Invalid type for '${param}': expected ${expected}, but got ${kind} instead.`, param, 'invalid_type');
}
