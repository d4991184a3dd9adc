// Writes answers and errors of Amazon Bedrock's Converse and ConverseStream.
//
// Callers may rely on the same members as in `openai_chat.mjs`, where they are described. Events are lines of text (`NAME PAYLOAD`)
// that `frame` turns into the binary messages which go on the wire; line ends and signs of life have no meaning there, and where a
// fault sends comments, it is an event of a type that nobody knows. `finish` says why the answer ended, and the last event, which
// counts it, is the end. An error's name is in a header.
// Wire format: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html> and the service's description
// in botocore 1.44.5, read on 2026-11-21. What is said of a prompt that is too long: github.com/aaif-goose/goose/pull/7504.
// Not here: timing, and what is done to the bytes.

import { answerTokens } from '../answer.mjs';
import { readBedrockRequest, SIGNATURE } from './bedrock_request.mjs';
import { accessKeyOf } from './aws_signature.mjs';
import { framed } from './eventstream.mjs';

const STOP = { stop: 'end_turn', stop_sequence: 'stop_sequence', length: 'max_tokens', tool: 'tool_use', filter: 'content_filtered' };
const METRICS = { latencyMs: 100 };
/** What hides the length of a token from those who see the encrypted bytes: `p` has letters of a number that varies. */
const PADDING = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

export const bedrock = {
  name: 'bedrock',
  keepalive: null,
  comment: 'labComment {}\n',
  frame: framed,
  streamType: 'application/vnd.amazon.eventstream',
  read: readBedrockRequest,
  stream,
  whole,
  requestIdHeader: 'x-amzn-requestid',
  idPrefix: '',
  isKeyNeeded: true,

  /** The id of the key that signed, or an API key; null where there is neither. A signature of another form is refused. */
  keyOf: accessKeyOf,

  unauthorized: (key) => (key === null
    ? { status: 403, message: 'Missing Authentication Token', type: 'MissingAuthenticationTokenException' }
    : { status: 403, message: 'The security token included in the request is invalid.', type: 'UnrecognizedClientException' }),

  contextTooLong: () => ({ status: 400, message: 'Input is too long for requested model.' }),

  errorBody: ({ status, message }) => ({ message: message ?? usualError(status).message }),
  errorHeaders: ({ status, type }) => ({ 'x-amzn-errortype': `${type ?? usualError(status).type}:http://internal.amazon.com/coral/com.amazon.bedrock/` }),

  errorEvent(failure) {
    const { type, message } = usualError(failure.status);
    const name = failure.type ?? type;
    return `!${name[0].toLowerCase()}${name.slice(1)} ${JSON.stringify({ message: failure.message ?? message })}\n`;
  },

  /** A sound message around JSON that ends too early. */
  garbledEvent: () => 'contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"garb\n',

  /** An event that carries nothing, and what must have been sent before it. */
  emptyEvent: () => ({ before: [], event: event('contentBlockDelta', { contentBlockIndex: 0, delta: { text: '' } }) }),
};

function event(name, payload) {
  const text = JSON.stringify(payload);
  return `${name} ${text.slice(0, -1)}${text === '{}' ? '' : ','}"p":"${PADDING.slice(0, text.length % PADDING.length)}"}\n`;
}

function stream(request, answer, script, call) {
  const [choice] = answer.choices;
  const steps = blocksOf(choice, call).flatMap(({ start, deltas }, contentBlockIndex) => {
    const list = deltas.map((delta) => [event('contentBlockDelta', { contentBlockIndex, delta })]);
    if (start !== undefined) list[0].unshift(event('contentBlockStart', { contentBlockIndex, start }));
    list.at(-1).push(event('contentBlockStop', { contentBlockIndex }));
    return list;
  });
  const told = script.usage ? { usage: usage(request, answer, script), metrics: METRICS } : { metrics: METRICS };
  return {
    opening: [event('messageStart', { role: 'assistant' })],
    steps,
    finish: [event('messageStop', { stopReason: STOP[choice.finish] })],
    usage: [],
    end: [event('metadata', told)],
  };
}

/** The answer's blocks with how each is streamed. Only a call is begun by an event of its own. */
function blocksOf({ reasoning, texts, calls }, call) {
  const blocks = [];
  if (reasoning.length > 0) {
    const said = reasoning.map((text) => ({ reasoningContent: { text } }));
    blocks.push({ deltas: [...said, { reasoningContent: { signature: SIGNATURE } }] });
  }
  if (texts.length > 0) blocks.push({ deltas: texts.map((text) => ({ text })) });
  calls.forEach(({ name, pieces }, nth) => {
    const deltas = pieces.map((input) => ({ toolUse: { input } }));
    blocks.push({ start: { toolUse: { name, toolUseId: toolUseId(call, nth) } }, deltas });
  });
  return blocks;
}

function whole(request, answer, script, call) {
  const [{ reasoning, texts, calls, finish }] = answer.choices;
  const content = [];
  if (reasoning.length > 0) content.push({ reasoningContent: { reasoningText: { text: reasoning.join(''), signature: SIGNATURE } } });
  if (texts.length > 0) content.push({ text: texts.join('') });
  calls.forEach(({ name, args }, nth) => content.push({ toolUse: { toolUseId: toolUseId(call, nth), name, input: args } }));
  const body = { metrics: METRICS, output: { message: { content, role: 'assistant' } }, stopReason: finish === null ? null : STOP[finish] };
  if (script.usage) body.usage = usage(request, answer, script);
  return body;
}

const toolUseId = (call, nth) => `tooluse_${call.suffix}_${nth}`;

/** As with Anthropic, the input tokens do not include those read from the cache. */
function usage(request, answer, script) {
  const { tokens } = answerTokens(answer);
  const cached = Math.min(script.cached_tokens, request.prompt_tokens);
  return {
    inputTokens: request.prompt_tokens - cached,
    outputTokens: tokens,
    totalTokens: request.prompt_tokens + tokens,
    cacheReadInputTokens: cached,
    cacheWriteInputTokens: 0,
  };
}

/** What AWS calls a status, and what it says. */
function usualError(status) {
  switch (status) {
    case 403: return { type: 'AccessDeniedException', message: "You don't have access to the model with the specified model ID." };
    case 404: return { type: 'ResourceNotFoundException', message: 'The provided model identifier is invalid.' };
    case 408: case 504: return { type: 'ModelTimeoutException', message: 'The request took too long to process. Processing time exceeded the model timeout length.' };
    case 424: return { type: 'ModelErrorException', message: 'The request failed due to an error while processing the model.' };
    case 429: return { type: 'ThrottlingException', message: 'Too many requests, please wait before trying again.' };
    case 503: case 529: return { type: 'ServiceUnavailableException', message: 'Bedrock is unable to process your request.' };
    default: return status < 500
      ? { type: 'ValidationException', message: `The request could not be accepted (status ${status}).` }
      : { type: 'InternalServerException', message: 'The system encountered an unexpected error during processing. Try your request again.' };
  }
}
