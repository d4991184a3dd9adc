// Writes answers and errors in Gemini's dialect, as AI Studio gives them.
//
// Callers may rely on the same members as in `openai_chat.mjs`, where they are described. A stream has no end marker and no event
// before the first token: the chunk that says why the answer ended is its `finish`. A function call comes whole, in one chunk, and the
// first of a turn is signed. How long to wait is told in the body, not in a header.
// Wire format: <https://ai.google.dev/api/generate-content>, <https://ai.google.dev/gemini-api/docs/troubleshooting> and the types of
// `@google/genai` 3.1.0, read on 2026-11-21.
// Not here: timing, and what is done to the bytes.

import { answerTokens } from '../answer.mjs';
import { readGeminiRequest, SIGNATURE } from './gemini_request.mjs';

const FINISH = { stop: 'STOP', stop_sequence: 'STOP', tool: 'STOP', length: 'MAX_TOKENS', filter: 'SAFETY' };
const BLOCKED = [{ category: 'HARM_CATEGORY_HARASSMENT', probability: 'HIGH', blocked: true }];

export const gemini = {
  name: 'gemini',
  keepalive: ': keep-alive\n\n',
  read: readGeminiRequest,
  stream,
  whole,
  requestIdHeader: null,
  idPrefix: '',
  isKeyNeeded: true,
  tellsRetryInBody: true,

  /** The key that a request carries in its header or its URL, or null. */
  keyOf: (headers, { search }) => headers['x-goog-api-key'] ?? search.get('key'),

  unauthorized: (key) => (key === null
    ? { status: 403, message: "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API." }
    : { status: 400, message: 'API key not valid. Please pass a valid API key.', code: 'API_KEY_INVALID' }),

  contextTooLong: (tokens, limit) => ({
    status: 400,
    message: `The input token count (${tokens}) exceeds the maximum number of tokens allowed (${limit}).`,
  }),

  errorBody,
  errorEvent: (failure, call) => event(errorBody(failure, call)),

  /** An event whose JSON ends too early. */
  garbledEvent: (request, call) => `${event(chunk(request, call, [candidate(0, [{ text: 'garbled' }])])).slice(0, -24)}\n\n`,

  /** An event that carries nothing, and what must have been sent before it. */
  emptyEvent: (request, call) => ({ before: [], event: event(chunk(request, call, [candidate(0, [{ text: '' }])])) }),
};

const event = (value) => `data: ${JSON.stringify(value)}\n\n`;

function candidate(index, parts, finishReason) {
  return { content: { parts, role: 'model' }, ...(finishReason === undefined ? {} : { finishReason }), index };
}

function chunk(request, call, candidates, usageMetadata) {
  const usage = usageMetadata === undefined ? {} : { usageMetadata };
  return { candidates, ...usage, modelVersion: request.model, responseId: call.id };
}

function stream(request, answer, script, call) {
  const lists = answer.choices.map((choice, index) =>
    partsOf(choice, call).map((part) => event(chunk(request, call, [candidate(index, [part])]))));
  const steps = Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, at) => lists.flatMap((list) => list[at] ?? []));
  const usage = script.usage ? usageOf(request, answer, script) : undefined;
  const last = answer.choices.map(({ finish }, index) =>
    event(chunk(request, call, [ended(finish, index, [{ text: '' }])], index === answer.choices.length - 1 ? usage : undefined)));
  return { opening: [], steps, finish: last, usage: [], end: [] };
}

function whole(request, answer, script, call) {
  const candidates = answer.choices.map((choice, index) => {
    const parts = partsOf({ ...choice, texts: joined(choice.texts), reasoning: joined(choice.reasoning) }, call);
    return ended(choice.finish, index, parts);
  });
  return chunk(request, call, candidates, script.usage ? usageOf(request, answer, script) : undefined);
}

const joined = (pieces) => (pieces.length === 0 ? [] : [pieces.join('')]);

/** What a filter stopped has no content. */
function ended(finish, index, parts) {
  if (finish === 'filter') return { finishReason: FINISH.filter, index, safetyRatings: BLOCKED };
  return candidate(index, parts, finish === null ? undefined : FINISH[finish]);
}

function partsOf({ reasoning, texts, calls }, call) {
  return [
    ...reasoning.map((text) => ({ text, thought: true })),
    ...texts.map((text) => ({ text })),
    ...calls.map(({ name, args }, nth) => {
      const part = { functionCall: { name, args, id: `fc-${call.suffix}-${nth}` } };
      return nth === 0 ? { ...part, thoughtSignature: SIGNATURE } : part;
    }),
  ];
}

/** Here thoughts are no part of what was said. */
function usageOf(request, answer, script) {
  const { tokens, reasoning } = answerTokens(answer);
  const cached = Math.min(script.cached_tokens, request.prompt_tokens);
  return {
    promptTokenCount: request.prompt_tokens,
    candidatesTokenCount: tokens - reasoning,
    totalTokenCount: request.prompt_tokens + tokens,
    ...(cached > 0 ? { cachedContentTokenCount: cached } : {}),
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: request.prompt_tokens }],
    ...(reasoning > 0 ? { thoughtsTokenCount: reasoning } : {}),
  };
}

function errorBody({ status, message, type, code, details = [], retry_after_s = null }, { model }) {
  const usual = usualError(status, model);
  const reason = code == null ? [] : [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code, domain: 'googleapis.com' }];
  const retry = retry_after_s === null ? [] : [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${retry_after_s}s` }];
  const all = [...reason, ...details, ...retry];
  const error = { code: usual.code, message: message ?? usual.message, status: type ?? usual.status };
  return { error: all.length > 0 ? { ...error, details: all } : error };
}

/** What Google says for a status. It has no 402 and no 529. */
function usualError(status, model) {
  switch (status) {
    case 401: return { code: 401, status: 'UNAUTHENTICATED', message: 'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.' };
    case 402: return { code: 400, status: 'FAILED_PRECONDITION', message: 'Please enable billing on your project in Google AI Studio.' };
    case 403: return { code: 403, status: 'PERMISSION_DENIED', message: 'Your project has been denied access. Please contact support.' };
    case 404: return { code: 404, status: 'NOT_FOUND', message: `models/${model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.` };
    case 429: return { code: 429, status: 'RESOURCE_EXHAUSTED', message: 'You exceeded your current quota, please check your plan and billing details.' };
    case 503: case 529: return { code: 503, status: 'UNAVAILABLE', message: 'The model is overloaded. Please try again later.' };
    case 504: return { code: 504, status: 'DEADLINE_EXCEEDED', message: 'Deadline expired before operation could complete.' };
    default: return status < 500
      ? { code: status, status: 'INVALID_ARGUMENT', message: 'Request contains an invalid argument.' }
      : { code: status, status: 'INTERNAL', message: 'An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting' };
  }
}
