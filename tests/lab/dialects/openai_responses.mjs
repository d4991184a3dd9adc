// Writes answers and errors in the dialect of OpenAI's Responses API.
//
// Callers may rely on the same members as in `openai_chat.mjs`, where they are described. This API has no end marker of
// its own: the event with the whole response is the end, and `finish` has what closes its items.
// Wire format: <https://platform.openai.com/docs/api-reference/responses-streaming> and the types of the `openai`
// package 7.57. An event's `sequence_number` is its place in the stream; that of an error event is 0, because
// whoever breaks off does not count.
// Not here: timing, and what is done to the bytes.

import { answerTokens } from '../answer.mjs';
import { openaiChat } from './openai_chat.mjs';
import { readResponsesRequest } from './openai_responses_request.mjs';

const INCOMPLETE = { length: 'max_output_tokens', filter: 'content_filter' };

export const openaiResponses = {
  name: 'openai-responses',
  keepalive: ': keep-alive\n\n',
  read: readResponsesRequest,
  stream,
  whole,
  requestIdHeader: 'x-request-id',
  idPrefix: 'resp_',
  keyOf: openaiChat.keyOf,
  unauthorized: openaiChat.unauthorized,

  contextTooLong: () => ({
    status: 400,
    message: 'Your input exceeds the context window of this model. Please adjust your input and try again.',
    param: 'input',
    code: 'context_length_exceeded',
  }),

  errorBody: openaiChat.errorBody,

  errorEvent(failure, call) {
    const { code, message, param } = openaiChat.errorBody(failure, call).error;
    return event(0, { type: 'error', code: code ?? 'server_error', message, param });
  },

  /** An event whose JSON ends too early. */
  garbledEvent: () => `${event(0, delta('output_text', 'garbled', { item_id: 'msg_garbled', output_index: 0, content_index: 0 })).slice(0, -16)}\n\n`,

  /** An event that carries nothing, and what must have been sent before it. */
  emptyEvent: (request, call) => {
    const item = messageItem([''], call);
    return { before: openingOf(item, 0).map((value) => event(0, value)), event: event(0, delta('output_text', '', placeOf(item, 0))) };
  },
};

const event = (sequence_number, { type, ...rest }) => `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number, ...rest })}\n\n`;

function stream(request, answer, script, call) {
  const [choice] = answer.choices;
  let sent = 0;
  const numbered = (values) => values.map((value) => {
    sent += 1;
    return event(sent - 1, value);
  });
  const begun = { ...responseHead(request, call), status: 'in_progress', output: [], usage: null };
  const opening = numbered([{ type: 'response.created', response: begun }, { type: 'response.in_progress', response: begun }]);
  const items = itemsOf(choice, call);
  const steps = [];
  items.forEach((item, index) => {
    item.pieces.forEach((piece, at) => {
      const closing = at === 0 && index > 0 ? closingOf(items[index - 1], index - 1) : [];
      const before = at === 0 ? openingOf(item, index) : [];
      steps.push(numbered([...closing, ...before, delta(item.kind, piece, placeOf(item, index))]));
    });
  });
  const finish = numbered(items.length === 0 ? [] : closingOf(items.at(-1), items.length - 1));
  const response = whole(request, answer, script, call);
  const end = numbered([{ type: response.status === 'incomplete' ? 'response.incomplete' : 'response.completed', response }]);
  return { opening, steps, finish, usage: [], end };
}

function whole(request, answer, script, call) {
  const [choice] = answer.choices;
  const reason = INCOMPLETE[choice.finish];
  const status = choice.finish === null ? 'in_progress' : reason === undefined ? 'completed' : 'incomplete';
  return {
    ...responseHead(request, call),
    status,
    incomplete_details: reason === undefined ? null : { reason },
    output: itemsOf(choice, call).map(({ done }) => done),
    usage: script.usage ? usage(request, answer, script) : null,
  };
}

function responseHead({ model, echoed }, { id, created }) {
  return {
    id,
    object: 'response',
    created_at: created,
    status: 'completed',
    error: null,
    incomplete_details: null,
    model,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    truncation: 'disabled',
    user: null,
    metadata: {},
    ...echoed,
  };
}

/** The answer's output items, each with how it is streamed: `{ kind, pieces, start, done }`. */
function itemsOf({ reasoning, texts, calls }, call) {
  const items = [];
  if (reasoning.length > 0) items.push(reasoningItem(reasoning, call));
  if (texts.length > 0) items.push(messageItem(texts, call));
  calls.forEach(({ name, args, pieces }, nth) => {
    const item = { type: 'function_call', id: `fc_${call.suffix}_${nth}`, call_id: `call_${call.suffix}_${nth}`, name };
    items.push({
      kind: 'function_call_arguments',
      pieces,
      start: { ...item, arguments: '', status: 'in_progress' },
      done: { ...item, arguments: JSON.stringify(args), status: 'completed' },
    });
  });
  return items;
}

function reasoningItem(pieces, { suffix }) {
  const item = { type: 'reasoning', id: `rs_${suffix}` };
  const summary = [{ type: 'summary_text', text: pieces.join('') }];
  return { kind: 'reasoning_summary_text', pieces, start: { ...item, summary: [] }, done: { ...item, summary } };
}

function messageItem(pieces, { suffix }) {
  const item = { type: 'message', id: `msg_${suffix}`, role: 'assistant' };
  const content = [{ type: 'output_text', text: pieces.join(''), annotations: [], logprobs: [] }];
  return {
    kind: 'output_text',
    pieces,
    start: { ...item, status: 'in_progress', content: [] },
    done: { ...item, status: 'completed', content },
  };
}

/** What each event of an item says about where it belongs. */
function placeOf({ kind, start }, output_index) {
  const place = { item_id: start.id, output_index };
  if (kind === 'output_text') return { ...place, content_index: 0 };
  return kind === 'reasoning_summary_text' ? { ...place, summary_index: 0 } : place;
}

function delta(kind, piece, place) {
  const value = { type: `response.${kind}.delta`, ...place, delta: piece };
  return kind === 'output_text' ? { ...value, logprobs: [] } : value;
}

/** The part of an item that grows, or undefined where the item has none. */
function partOf({ kind, done }) {
  if (kind === 'output_text') return { name: 'content_part', empty: { ...done.content[0], text: '' }, full: done.content[0] };
  return kind === 'reasoning_summary_text'
    ? { name: 'reasoning_summary_part', empty: { ...done.summary[0], text: '' }, full: done.summary[0] }
    : undefined;
}

function openingOf(item, output_index) {
  const added = { type: 'response.output_item.added', output_index, item: item.start };
  const part = partOf(item);
  if (part === undefined) return [added];
  return [added, { type: `response.${part.name}.added`, ...placeOf(item, output_index), part: part.empty }];
}

function closingOf(item, output_index) {
  const place = placeOf(item, output_index);
  const part = partOf(item);
  const done = { type: 'response.output_item.done', output_index, item: item.done };
  const type = `response.${item.kind}.done`;
  if (part === undefined) return [{ type, ...place, name: item.done.name, arguments: item.done.arguments }, done];
  const text = item.kind === 'output_text' ? { text: part.full.text, logprobs: [] } : { text: part.full.text };
  return [{ type, ...place, ...text }, { type: `response.${part.name}.done`, ...place, part: part.full }, done];
}

function usage(request, answer, script) {
  const { tokens, reasoning } = answerTokens(answer);
  return {
    input_tokens: request.prompt_tokens,
    input_tokens_details: { cached_tokens: Math.min(script.cached_tokens, request.prompt_tokens) },
    output_tokens: tokens,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: request.prompt_tokens + tokens,
  };
}
