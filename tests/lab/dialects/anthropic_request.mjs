// Reads a request in Anthropic's Messages dialect.
//
// `readAnthropicRequest` returns what `answer.mjs` needs to know, or throws `Refused` in the words of
// the real API. It is as strict as that API about what routers get wrong: the version header,
// `max_tokens`, fields of other dialects, roles, block types, the shape of tools, and what a schema may hold.
// Wire format: <https://platform.claude.com/docs/en/api/messages/create> and the types of the
// `@anthropic-ai/sdk` package 1.11; the sentences are those that users quote in issue trackers.
// Versions: <https://platform.claude.com/docs/en/api/versioning>. Models since Opus 4.8 take a system
// message after a user's; the lab refuses it as the others do, because a router cannot count on it.
// Not checked: that tool results answer the calls before them, and every bound on every number.

import { isRecord } from '../check.mjs';
import { Refused } from '../refused.mjs';
import { refusedIn } from './claude_schema.mjs';
import { countTokens } from './openai_request.mjs';

const VERSIONS = ['2026-10-21', '2023-06-01', '2023-01-01'];
/** The version that took the sampling fields away, for every model and even at their defaults. */
const VERSION_WITHOUT_SAMPLING = '2026-10-21';
const SAMPLING_FIELDS = ['temperature', 'top_k', 'top_p'];

const COUNT_FIELDS = [
  'model', 'messages', 'system', 'tools', 'tool_choice', 'thinking', 'output_config', 'cache_control', 'speed',
  'user_profile_id', 'workspace_id',
];
const MESSAGE_FIELDS = [
  ...COUNT_FIELDS, 'max_tokens', 'metadata', 'stop_sequences', 'stream', 'service_tier', 'container',
  'inference_geo', 'diagnostics',
];
/** Fields that are known only to a request which names their beta. */
const BETA_FIELDS = {
  output_format: 'structured-outputs-',
  context_management: 'context-management-',
  mcp_servers: 'mcp-client-',
};
const BLOCK_TYPES = [
  'document', 'image', 'redacted_thinking', 'search_result', 'server_tool_use', 'text', 'thinking', 'tool_result',
  'tool_use', 'web_search_tool_result',
];
const CHOICE_TYPES = ['any', 'auto', 'none', 'tool'];

export function readAnthropicRequest(body, headers) {
  const isSampled = headers['anthropic-version'] !== VERSION_WITHOUT_SAMPLING;
  checkFields(body, headers, isSampled ? [...MESSAGE_FIELDS, ...SAMPLING_FIELDS] : MESSAGE_FIELDS);
  checkMaxTokens(body.max_tokens);
  const { stop_sequences = [] } = body;
  if (!Array.isArray(stop_sequences)) throw bad('stop_sequences: Input should be a valid list');
  return {
    ...readConversation(body),
    stream: body.stream === true,
    n: 1,
    max_tokens: body.max_tokens,
    stops: stop_sequences.filter((stop) => typeof stop === 'string' && stop !== ''),
    schema: readFormat(body.output_config?.format, 'output_config.format') ?? readFormat(body.output_format, 'output_format'),
    is_json_object: false,
    logprobs: null,
    include_usage: true,
  };
}

/** The same for `/v1/messages/count_tokens`, which takes fewer fields. */
export function readCountRequest(body, headers) {
  checkFields(body, headers, COUNT_FIELDS);
  return readConversation(body);
}

function readConversation(body) {
  const messages = body.messages.map(({ role, content }) => ({ role, blocks: blocksOf(content) }));
  const said = messages.map(({ role, blocks }) => ({ role, text: textOf(blocks) }));
  const system = body.system == null ? [] : [{ text: textOf(blocksOf(body.system)) }];
  const last = messages.at(-1);
  const result = last.blocks.find((block) => block.type === 'tool_result');
  const tools = readTools(body.tools);
  return {
    model: body.model,
    tools,
    ...readToolChoice(body.tool_choice, tools),
    last_role: result !== undefined ? 'tool' : last.role,
    last_user_text: said.findLast(({ role }) => role === 'user')?.text ?? '',
    prefill_text: last.role === 'assistant' ? said.at(-1).text : '',
    tool_result_text: result === undefined ? '' : textOf([result]),
    prompt_tokens: countTokens([...system, ...said]),
  };
}

function checkFields(body, headers, fields) {
  const version = headers['anthropic-version'];
  if (version === undefined) throw bad('anthropic-version: header is required');
  if (!VERSIONS.includes(version)) throw bad(`anthropic-version: "${version}" is not a valid version`);
  for (const field of ['model', 'messages']) {
    if (body[field] === undefined) throw bad(`${field}: Field required`);
  }
  if (typeof body.model !== 'string') throw bad('model: Input should be a valid string');
  const betas = headers['anthropic-beta'] ?? '';
  for (const field of Object.keys(body)) {
    const beta = Object.hasOwn(BETA_FIELDS, field) ? BETA_FIELDS[field] : null;
    const isKnown = fields.includes(field) || (beta !== null && betas.includes(beta));
    if (!isKnown) throw bad(`${field}: Extra inputs are not permitted`);
  }
  checkMessages(body.messages);
}

function checkMaxTokens(max_tokens) {
  if (max_tokens === undefined) throw bad('max_tokens: Field required');
  if (!Number.isInteger(max_tokens)) throw bad('max_tokens: Input should be a valid integer');
  if (max_tokens < 0) throw bad('max_tokens: must be greater than or equal to 0');
}

function checkMessages(messages) {
  if (!Array.isArray(messages)) throw bad('messages: Input should be a valid list');
  if (messages.length === 0) throw bad('messages: at least one message is required');
  messages.forEach((message, at) => {
    if (!isRecord(message)) throw bad(`messages.${at}: Input should be an object`);
    if (message.role === 'system') {
      throw bad('messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an input message role.');
    }
    if (message.role !== 'user' && message.role !== 'assistant') {
      throw bad(`messages.${at}.role: Input should be 'user' or 'assistant'`);
    }
    const isLastAssistant = message.role === 'assistant' && at === messages.length - 1;
    checkContent(message.content, `messages.${at}`, isLastAssistant);
  });
}

function checkContent(content, path, mayBeEmpty) {
  if (content === undefined) throw bad(`${path}.content: Field required`);
  if (typeof content !== 'string' && !Array.isArray(content)) throw bad(`${path}.content: Input should be a valid list`);
  if (content.length === 0 && !mayBeEmpty) {
    throw bad(`${path}: all messages must have non-empty content except for the optional final assistant message`);
  }
  if (typeof content === 'string') return;
  content.forEach((block, at) => {
    if (!BLOCK_TYPES.includes(block?.type)) throw wrongTag(`${path}.content.${at}`, block?.type, BLOCK_TYPES);
    if (block.type === 'text' && block.text === '') throw bad('messages: text content blocks must be non-empty');
  });
}

const blocksOf = (content) => (typeof content === 'string' ? [{ type: 'text', text: content }] : content);

function textOf(blocks) {
  return blocks
    .map((block) => {
      if (typeof block.text === 'string') return block.text;
      return block.type === 'tool_result' ? textOf(blocksOf(block.content ?? [])) : '';
    })
    .join('');
}

function readTools(tools) {
  if (tools == null) return [];
  if (!Array.isArray(tools)) throw bad('tools: Input should be a valid list');
  return tools.map((tool, at) => {
    const kind = tool?.type ?? 'custom';
    if (kind === 'function') throw wrongTag(`tools.${at}`, kind, ['custom']);
    if (typeof tool?.name !== 'string') throw bad(`tools.${at}.${kind}.name: Field required`);
    if (kind === 'custom' && !isRecord(tool.input_schema)) throw bad(`tools.${at}.custom.input_schema: Field required`);
    return { name: tool.name, schema: tool.input_schema ?? null };
  });
}

function readToolChoice(choice, tools) {
  if (choice == null) return { tool_choice: { kind: 'auto' }, is_parallel: false };
  if (!CHOICE_TYPES.includes(choice.type)) throw wrongTag('tool_choice', choice.type, CHOICE_TYPES);
  const is_parallel = choice.disable_parallel_tool_use === false;
  if (choice.type !== 'tool') return { tool_choice: { kind: choice.type }, is_parallel };
  if (!tools.some((tool) => tool.name === choice.name)) {
    throw bad(`Tool '${choice.name}' not found in provided tools`);
  }
  return { tool_choice: { kind: 'tool', name: choice.name }, is_parallel };
}

/** `output_config.format` is how the API takes a schema; `output_format` is how its beta did. */
function readFormat(format, path) {
  if (format == null) return null;
  if (format.type !== 'json_schema') throw wrongTag(path, format.type, ['json_schema']);
  if (!isRecord(format.schema)) throw bad(`${path}.schema: Field required`);
  const reason = refusedIn(format.schema);
  if (reason !== null) throw bad(`${path}.schema: ${reason}`);
  return format.schema;
}

function wrongTag(path, found, expected) {
  const tags = expected.map((tag) => `'${tag}'`).join(', ');
  return found === undefined
    ? bad(`${path}.type: Field required`)
    : bad(`${path}: Input tag '${found}' found using 'type' does not match any of the expected tags: ${tags}`);
}

const bad = (message) => new Refused(400, message, { type: 'invalid_request_error' });
