// Writes answers and errors in the dialect of Cohere's chat API, version 2.
//
// Callers may rely on the same members as in `openai_chat.mjs`, where they are described. The last event says why the answer ended,
// counts it, and is the end marker, so `finish` has what closes the last item. What is billed is what the lab counts; the tokens that
// the model saw, told beside it, are more.
// Wire format: <https://docs.cohere.com/v2/docs/streaming>, <https://docs.cohere.com/v2/docs/tool-use-streaming>,
// <https://docs.cohere.com/reference/errors>, read on 2026-11-21. The second version of the API has no reason for an answer that a
// filter ended; the lab says the first's, as some deployments still do.
// Not here: timing, and what is done to the bytes.

import { answerTokens } from '../answer.mjs';
import { readCohereRequest } from './cohere_request.mjs';

const FINISH = { stop: 'COMPLETE', stop_sequence: 'STOP_SEQUENCE', length: 'MAX_TOKENS', tool: 'TOOL_CALL', filter: 'ERROR_TOXIC' };
/** What Cohere itself puts around a prompt, which the model sees and nobody pays. */
const PREAMBLE_TOKENS = 66;

export const cohere = {
  name: 'cohere',
  keepalive: ': keep-alive\n\n',
  read: readCohereRequest,
  stream,
  whole,
  requestIdHeader: 'x-debug-trace-id',
  idPrefix: '',
  isKeyNeeded: true,

  /** The key that a request carries, or null. */
  keyOf: (headers) => /^Bearer\s+(.+)$/i.exec(headers.authorization ?? '')?.[1] ?? null,

  unauthorized: (key) => ({ status: 401, message: key === null ? 'no api key supplied' : 'invalid api token' }),

  contextTooLong: (tokens, limit) => ({
    status: 400,
    message: `too many tokens: total number of tokens in the prompt cannot exceed ${limit} - received ${tokens}. Try using a shorter prompt, or enabling prompt truncating. See https://docs.cohere.com/reference/generate for more details.`,
  }),

  errorBody: ({ status, message }, { model, id }) => ({ id, message: message ?? usualMessage(status, model) }),

  /** A generation that went wrong ends like any other, but for its reason. */
  errorEvent: ({ status, message }, { model }) =>
    event({ type: 'message-end', delta: { finish_reason: 'ERROR', error: message ?? usualMessage(status, model) } }),

  /** An event whose JSON ends too early. */
  garbledEvent: () => `${event(contentDelta(0, 'text', 'garbled')).slice(0, -16)}\n\n`,

  /** An event that carries nothing, and what must have been sent before it. */
  emptyEvent: () => ({ before: [event(contentStart(0, 'text'))], event: event(contentDelta(0, 'text', '')) }),
};

const event = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
const contentStart = (index, type) => ({ type: 'content-start', index, delta: { message: { content: { type, [type]: '' } } } });
const contentDelta = (index, type, piece) => ({ type: 'content-delta', index, delta: { message: { content: { [type]: piece } } } });
const callDelta = (kind, index, tool_calls) => ({ type: `tool-call-${kind}`, index, delta: { message: { tool_calls } } });

function stream(request, answer, script, call) {
  const [choice] = answer.choices;
  const start = { id: call.id, type: 'message-start', delta: { message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] } } };
  const items = itemsOf(choice, call);
  const steps = items.flatMap(({ start: first, deltas }, at) => {
    const list = deltas.map((delta) => [event(delta)]);
    list[0].unshift(...(at === 0 ? [] : [event(items[at - 1].end)]), event(first));
    return list;
  });
  const delta = { finish_reason: FINISH[choice.finish] };
  if (script.usage) delta.usage = usage(request, answer, script);
  return {
    opening: [event(start)],
    steps,
    finish: items.length === 0 ? [] : [event(items.at(-1).end)],
    usage: [],
    end: [event({ type: 'message-end', delta })],
  };
}

/** Contents and calls, each with how it is streamed. They share one numbering. */
function itemsOf({ reasoning, texts, calls }, call) {
  const contents = [['thinking', reasoning], ['text', texts]].filter(([, pieces]) => pieces.length > 0);
  const items = contents.map(([type, pieces], index) => ({
    start: contentStart(index, type),
    deltas: pieces.map((piece) => contentDelta(index, type, piece)),
    end: { type: 'content-end', index },
  }));
  calls.forEach(({ name, pieces }, nth) => {
    const index = contents.length + nth;
    items.push({
      start: callDelta('start', index, { id: toolCallId(name, call, nth), type: 'function', function: { name, arguments: '' } }),
      deltas: pieces.map((piece) => callDelta('delta', index, { function: { arguments: piece } })),
      end: { type: 'tool-call-end', index },
    });
  });
  return items;
}

function whole(request, answer, script, call) {
  const [{ reasoning, texts, calls, finish }] = answer.choices;
  const content = [];
  if (reasoning.length > 0) content.push({ type: 'thinking', thinking: reasoning.join('') });
  if (texts.length > 0) content.push({ type: 'text', text: texts.join('') });
  const message = { role: 'assistant', ...(calls.length > 0 && content.length === 0 ? {} : { content }) };
  if (calls.length > 0) {
    message.tool_calls = calls.map(({ name, args }, nth) => (
      { id: toolCallId(name, call, nth), type: 'function', function: { name, arguments: JSON.stringify(args) } }));
  }
  const body = { id: call.id, finish_reason: finish === null ? null : FINISH[finish], message };
  if (script.usage) body.usage = usage(request, answer, script);
  return body;
}

const toolCallId = (name, call, nth) => `${name}_${call.suffix}${nth}`;

function usage(request, answer, script) {
  const { tokens } = answerTokens(answer);
  return {
    billed_units: { input_tokens: request.prompt_tokens, output_tokens: tokens },
    tokens: { input_tokens: request.prompt_tokens + PREAMBLE_TOKENS, output_tokens: tokens },
    cached_tokens: Math.min(script.cached_tokens, request.prompt_tokens),
  };
}

/** What Cohere says for a status. */
function usualMessage(status, model) {
  switch (status) {
    case 401: return 'invalid api token';
    case 402: return 'Please add or update your payment method at https://dashboard.cohere.com/billing?tab=payment to continue';
    case 404: return `model '${model}' not found, make sure the correct model ID was used and that you have access to the model.`;
    case 429: return 'You are using a Trial key, which is limited to 40 API calls / minute.';
    case 498: return 'invalid request: blocked input';
    case 499: return 'request cancelled';
    case 503: case 529: return 'service unavailable';
    case 504: return 'request timed out';
    default: return status < 500 ? `invalid request: it could not be accepted (status ${status}).` : 'internal server error, this has been reported to our developers.';
  }
}
