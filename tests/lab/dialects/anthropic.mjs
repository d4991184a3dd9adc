// Writes answers and errors in Anthropic's Messages dialect.
//
// Callers may rely on the same members as in `openai_chat.mjs`, where they are described.
// Wire format: <https://platform.claude.com/docs/en/build-with-claude/streaming>,
// <https://platform.claude.com/docs/en/api/errors>, and the types of `@anthropic-ai/sdk` 1.11.
// As there, `message_start` reports one output token before there is any, and the counts in
// `message_delta` are totals: whoever adds the two up counts one token too many.
// Not here: timing, and what is done to the bytes.

import { answerTokens } from '../answer.mjs';
import { readAnthropicRequest } from './anthropic_request.mjs';

const STOP = { stop: 'end_turn', stop_sequence: 'stop_sequence', length: 'max_tokens', tool: 'tool_use', filter: 'refusal' };
const SIGNATURE = Buffer.from('a signature that only the lab would accept').toString('base64');
const PING = 'event: ping\ndata: {"type":"ping"}\n\n';

export const anthropic = {
  name: 'anthropic',
  keepalive: PING,
  read: readAnthropicRequest,
  stream,
  whole,
  requestIdHeader: 'request-id',
  idPrefix: 'msg_',

  /** The key that a request carries, or null. SDKs since October 2026 send a bearer token; the older header wins. */
  keyOf: (headers) => headers['x-api-key'] ?? /^Bearer\s+(.+)$/i.exec(headers.authorization ?? '')?.[1] ?? null,

  unauthorized: (key) => ({ status: 401, message: key === null ? 'x-api-key header is required' : 'invalid x-api-key' }),

  contextTooLong: (tokens, limit) => ({
    status: 400,
    message: `prompt is too long: ${tokens} tokens > ${limit} maximum`,
  }),

  errorBody,
  errorEvent: (failure, call) => event(errorBody(failure, call)),

  /** An event whose JSON ends too early. */
  garbledEvent: () => `${event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'garbled' } }).slice(0, -16)}\n\n`,

  /** An event that carries nothing, and what must have been sent before it. */
  emptyEvent: () => ({ before: [blockStart(0, TEXT_BLOCK)], event: delta(0, 'text_delta', 'text', '') }),
};

const TEXT_BLOCK = { type: 'text', text: '' };

const event = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
const blockStart = (index, content_block) => event({ type: 'content_block_start', index, content_block });
const blockStop = (index) => event({ type: 'content_block_stop', index });

/** One delta, written out because a stream has hundreds that differ in one string. */
const delta = (index, type, field, piece) =>
  `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":{"type":"${type}","${field}":${JSON.stringify(piece)}}}\n\n`;

function stream(request, answer, script, call) {
  const [choice] = answer.choices;
  const start = { ...messageHead(request, call), content: [], stop_reason: null, stop_sequence: null };
  if (script.usage) start.usage = { ...promptUsage(request, script), output_tokens: 1 };
  const blocks = blocksOf(choice, call);
  const steps = blocks.flatMap(blockSteps);
  // As on the real wire, the first block is followed by a ping.
  steps[0]?.splice(1, 0, PING);
  const ending = { type: 'message_delta', delta: ended(choice) };
  if (script.usage) ending.usage = usage(request, answer, script);
  return {
    opening: [event({ type: 'message_start', message: start })],
    steps,
    finish: [event(ending)],
    usage: [],
    end: [event({ type: 'message_stop' })],
  };
}

/** The answer's content blocks, each with how it is streamed: `{ start, type, field, pieces, signature? }`. */
function blocksOf({ reasoning, texts, calls }, call) {
  const blocks = [];
  if (reasoning.length > 0) {
    blocks.push({
      start: { type: 'thinking', thinking: '', signature: '' },
      type: 'thinking_delta',
      field: 'thinking',
      pieces: reasoning,
      signature: SIGNATURE,
    });
  }
  if (texts.length > 0) blocks.push({ start: TEXT_BLOCK, type: 'text_delta', field: 'text', pieces: texts });
  calls.forEach(({ name, pieces }, nth) => {
    const start = { type: 'tool_use', id: toolUseId(call, nth), name, input: {} };
    blocks.push({ start, type: 'input_json_delta', field: 'partial_json', pieces });
  });
  return blocks;
}

function blockSteps({ start, type, field, pieces, signature }, index) {
  const steps = pieces.map((piece) => [delta(index, type, field, piece)]);
  steps[0].unshift(blockStart(index, start));
  // A real tool call's first piece is empty.
  if (field === 'partial_json') steps[0].splice(1, 0, delta(index, type, field, ''));
  if (signature !== undefined) steps.at(-1).push(delta(index, 'signature_delta', 'signature', signature));
  steps.at(-1).push(blockStop(index));
  return steps;
}

function whole(request, answer, script, call) {
  const [choice] = answer.choices;
  const body = { ...messageHead(request, call), content: content(choice, call), ...ended(choice) };
  if (script.usage) body.usage = usage(request, answer, script);
  return body;
}

function content({ reasoning, texts, calls }, call) {
  const blocks = [];
  if (reasoning.length > 0) blocks.push({ type: 'thinking', thinking: reasoning.join(''), signature: SIGNATURE });
  if (texts.length > 0) blocks.push({ type: 'text', text: texts.join('') });
  calls.forEach(({ name, args }, nth) => blocks.push({ type: 'tool_use', id: toolUseId(call, nth), name, input: args }));
  return blocks;
}

const messageHead = (request, call) => ({ id: call.id, type: 'message', role: 'assistant', model: request.model });
const toolUseId = (call, nth) => `toolu_${call.suffix}_${nth}`;

function ended({ finish, stop_sequence }) {
  const end = { stop_reason: finish === null ? null : STOP[finish], stop_sequence };
  if (finish === 'filter') end.stop_details = { type: 'refusal', category: null, explanation: null };
  return end;
}

/** Here, unlike in OpenAI's dialect, the input tokens do not include those read from the cache. */
function promptUsage(request, script) {
  const cached = Math.min(script.cached_tokens, request.prompt_tokens);
  return {
    input_tokens: request.prompt_tokens - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
  };
}

function usage(request, answer, script) {
  const { tokens, reasoning } = answerTokens(answer);
  const counted = { ...promptUsage(request, script), output_tokens: tokens };
  if (reasoning > 0) counted.output_tokens_details = { thinking_tokens: reasoning };
  return counted;
}

function errorBody({ status, message, type }, { model, request_id }) {
  const usual = usualError(status, model);
  return {
    type: 'error',
    error: { type: type ?? usual.type, message: message ?? usual.message },
    request_id,
  };
}

/** What Anthropic says for a status. */
function usualError(status, model) {
  switch (status) {
    case 401: return { type: 'authentication_error', message: 'invalid x-api-key' };
    case 402: return { type: 'billing_error', message: 'There is an issue with your billing or payment information.' };
    case 403: return { type: 'permission_error', message: 'Your API key does not have permission to use the specified resource.' };
    case 404: return { type: 'not_found_error', message: `model: ${model}` };
    case 409: return { type: 'conflict_error', message: 'The request conflicts with the current state of a resource.' };
    case 413: return { type: 'request_too_large', message: 'Request exceeds the maximum size' };
    case 429: return { type: 'rate_limit_error', message: "This request would exceed your organization's rate limit of 3 requests per minute." };
    case 503: return { type: 'api_error', message: 'Service unavailable' };
    case 504: return { type: 'timeout_error', message: 'Request timeout' };
    case 529: return { type: 'overloaded_error', message: 'Overloaded' };
    default: return status < 500
      ? { type: 'invalid_request_error', message: `The request could not be accepted (status ${status}).` }
      : { type: 'api_error', message: 'Internal server error' };
  }
}
