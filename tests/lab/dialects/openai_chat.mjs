// Writes answers and errors in OpenAI's chat-completions dialect.
//
// Callers may rely on the same members as in `anthropic.mjs`: `read`, `stream`, `whole`, `errorBody`,
// `errorEvent` and the small odd events that faults send. Events are strings with LF line ends; a
// stream is `{ opening, steps, finish, usage, end }`, each a list of events, `steps` a list of lists
// with one entry per token.
// Wire format: <https://platform.openai.com/docs/api-reference/chat-streaming> and the types of the
// `openai` package 6.49. `delta.reasoning_content` is what DeepSeek, vLLM and others send; OpenAI's
// own API shows no reasoning here.
// Not here: timing, and what is done to the bytes.

import { answerTokens } from '../answer.mjs';
import { readOpenaiRequest } from './openai_request.mjs';

const FINISH = { stop: 'stop', stop_sequence: 'stop', length: 'length', tool: 'tool_calls', filter: 'content_filter' };

export const openaiChat = {
  name: 'openai-chat',
  keepalive: ': keep-alive\n\n',
  read: readOpenaiRequest,
  stream,
  whole,
  requestIdHeader: 'x-request-id',
  idPrefix: 'chatcmpl-',

  /** The key that a request carries, or null. */
  keyOf: (headers) => /^Bearer\s+(.+)$/i.exec(headers.authorization ?? '')?.[1] ?? null,

  unauthorized: (key) => ({
    status: 401,
    message: key === null
      ? "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth."
      : `Incorrect API key provided: ****${key.slice(-4)}. You can find your API key at https://platform.openai.com/account/api-keys.`,
    code: key === null ? null : 'invalid_api_key',
  }),

  contextTooLong: (tokens, limit) => ({
    status: 400,
    message: `This model's maximum context length is ${limit} tokens. However, your messages resulted in ${tokens} tokens. Please reduce the length of the messages.`,
    param: 'messages',
    code: 'context_length_exceeded',
  }),

  errorBody,
  errorEvent: (failure, call) => event(errorBody(failure, call)),

  /** An event whose JSON ends too early. */
  garbledEvent: (request, call) => `${event(chunk(request, call, [choice(0, { content: 'garbled' })])).slice(0, -24)}\n\n`,

  /** An event that carries nothing, and what must have been sent before it. */
  emptyEvent: (request, call) => ({ before: [], event: event(chunk(request, call, [choice(0, {})])) }),
};

const event = (value) => `data: ${JSON.stringify(value)}\n\n`;

const choice = (index, delta, finish_reason = null, logprobs = null) => ({ index, delta, logprobs, finish_reason });

function chunk(request, call, choices) {
  const head = { id: call.id, object: 'chat.completion.chunk', created: call.created, model: request.model };
  // With `include_usage` every chunk but the last says `"usage": null`.
  return request.include_usage
    ? { ...head, system_fingerprint: 'fp_lab', choices, usage: null }
    : { ...head, system_fingerprint: 'fp_lab', choices };
}

function stream(request, answer, script, call) {
  const send = writer(request, call);
  const openings = answer.choices.map(({ calls }, index) =>
    event(chunk(request, call, [choice(index, { role: 'assistant', content: calls.length > 0 ? null : '', refusal: null })])));
  const lists = answer.choices.map((each, index) => choiceSteps(each, index, request, call, send));
  const steps = Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, at) =>
    lists.flatMap((list) => list[at] ?? []));
  const isCounted = request.include_usage && script.usage;
  return {
    opening: openings,
    steps,
    finish: answer.choices.map(({ finish }, index) => event(chunk(request, call, [choice(index, {}, FINISH[finish])]))),
    usage: isCounted ? [event({ ...chunk(request, call, []), usage: usage(request, answer, script) })] : [],
    end: ['data: [DONE]\n\n'],
  };
}

/**
 * Writes one chunk around a delta's field. A stream is hundreds of chunks that differ in one string,
 * so what they share is put into JSON once.
 */
function writer(request, call) {
  const [head, tail] = event(chunk(request, call, [])).split('"choices":[]');
  return (index, field, piece, logprobs) =>
    `${head}"choices":[{"index":${index},"delta":{"${field}":${JSON.stringify(piece)}},"logprobs":${logprobs},"finish_reason":null}]${tail}`;
}

function choiceSteps({ reasoning, texts, calls }, index, request, call, send) {
  const steps = reasoning.map((piece) => [send(index, 'reasoning_content', piece, 'null')]);
  texts.forEach((piece, at) => {
    const logprobs = request.logprobs === null ? 'null' : JSON.stringify(logprobsOf([piece], request.logprobs, at));
    steps.push([send(index, 'content', piece, logprobs)]);
  });
  calls.forEach(({ name, pieces }, nth) => {
    const start = { index: nth, id: toolCallId(call, index, nth), type: 'function', function: { name, arguments: '' } };
    pieces.forEach((piece, at) => {
      const events = [event(chunk(request, call, [choice(index, { tool_calls: [{ index: nth, function: { arguments: piece } }] })]))];
      if (at === 0) events.unshift(event(chunk(request, call, [choice(index, { tool_calls: [start] })])));
      steps.push(events);
    });
  });
  return steps;
}

function whole(request, answer, script, call) {
  const body = {
    id: call.id,
    object: 'chat.completion',
    created: call.created,
    model: request.model,
    choices: answer.choices.map((each, index) => ({
      index,
      message: message(each, index, call),
      logprobs: request.logprobs === null ? null : logprobsOf(each.texts, request.logprobs, 0),
      finish_reason: each.finish === null ? null : FINISH[each.finish],
    })),
    system_fingerprint: 'fp_lab',
  };
  if (script.usage) body.usage = usage(request, answer, script);
  return body;
}

function message({ reasoning, texts, calls }, index, call) {
  const said = { role: 'assistant', content: calls.length > 0 ? null : texts.join(''), refusal: null };
  if (reasoning.length > 0) said.reasoning_content = reasoning.join('');
  if (calls.length > 0) {
    said.tool_calls = calls.map(({ name, args }, nth) => ({
      id: toolCallId(call, index, nth),
      type: 'function',
      function: { name, arguments: JSON.stringify(args) },
    }));
  }
  return said;
}

const toolCallId = (call, index, nth) => `call_${call.suffix}_${index}_${nth}`;

function usage(request, answer, script) {
  const { tokens, reasoning } = answerTokens(answer);
  return {
    prompt_tokens: request.prompt_tokens,
    completion_tokens: tokens,
    total_tokens: request.prompt_tokens + tokens,
    prompt_tokens_details: { cached_tokens: Math.min(script.cached_tokens, request.prompt_tokens), audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

/** Plausible, and the same each time: a token's chance depends on its place alone. */
function logprobsOf(pieces, alternatives, from) {
  const entry = (token, logprob) => ({ token, logprob, bytes: [...Buffer.from(token)] });
  const content = pieces.map((piece, at) => {
    const logprob = -((((from + at) * 7) % 10) + 1) / 100;
    const top_logprobs = Array.from({ length: alternatives }, (_, nth) =>
      (nth === 0 ? entry(piece, logprob) : entry(` other${nth}`, logprob - 3 * nth)));
    return { ...entry(piece, logprob), top_logprobs };
  });
  return { content, refusal: null };
}

function errorBody({ status, message, type, code, param }, { model }) {
  const usual = usualError(status, model);
  return {
    error: {
      message: message ?? usual.message,
      type: type ?? usual.type,
      param: param ?? null,
      // Null means that there is no code; undefined, that the usual one will do.
      code: code === undefined ? usual.code ?? null : code,
    },
  };
}

/** What OpenAI says for a status. 402 is DeepSeek's, which is the compatible provider that sends it. */
function usualError(status, model) {
  switch (status) {
    case 401: return { type: 'invalid_request_error', message: 'Incorrect API key provided.', code: 'invalid_api_key' };
    case 402: return { type: 'unknown_error', message: 'Insufficient Balance', code: 'invalid_request_error' };
    case 403: return { type: 'request_forbidden', message: 'Country, region, or territory not supported', code: 'unsupported_country_region_territory' };
    case 404: return { type: 'invalid_request_error', message: `The model \`${model}\` does not exist or you do not have access to it.`, code: 'model_not_found' };
    case 429: return { type: 'requests', message: `Rate limit reached for ${model} on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.`, code: 'rate_limit_exceeded' };
    case 502: return { type: 'server_error', message: 'Bad gateway.' };
    case 503: case 529: return { type: 'server_error', message: 'The engine is currently overloaded, please try again later' };
    case 504: return { type: 'server_error', message: 'Gateway timeout.' };
    default: return status < 500
      ? { type: 'invalid_request_error', message: `The request could not be accepted (status ${status}).` }
      : { type: 'server_error', message: 'The server had an error while processing your request. Sorry about that!' };
  }
}
