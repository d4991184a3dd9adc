// OpenAI's legacy completions: a prompt that is a text, and an answer that is one.
//
// Callers may rely on the same members as in `openai_chat.mjs`, where they are described and from where what is the same comes.
// Wire format: <https://platform.openai.com/docs/api-reference/completions> and the types of the `openai` package 7.57.
// Not here: tokens as a prompt, several prompts, `suffix`, `best_of` and `logprobs`; they are refused.

import { answerTokens } from '../answer.mjs';
import { Refused } from '../refused.mjs';
import { openaiChat } from './openai_chat.mjs';
import { countTokens, readCount } from './openai_request.mjs';

const FIELDS = ['echo', 'frequency_penalty', 'max_tokens', 'model', 'n', 'presence_penalty', 'prompt', 'seed', 'stop', 'stream', 'stream_options', 'temperature', 'top_p', 'user'];
const FINISH = { stop: 'stop', stop_sequence: 'stop', length: 'length', filter: 'content_filter' };
/** The API's default. */
const TOKENS = 16;

export const openaiCompletions = {
  ...openaiChat,
  name: 'openai-completions',
  idPrefix: 'cmpl-',
  read,
  stream,
  whole,

  /** An event whose JSON ends too early. */
  garbledEvent: (request, call) => `${event(chunk(request, call, [choice('garbled', 0, null)])).slice(0, -24)}\n\n`,

  /** An event that carries nothing, and what must have been sent before it. */
  emptyEvent: (request, call) => ({ before: [], event: event(chunk(request, call, [choice('', 0, null)])) }),
};

function read(body) {
  for (const field of Object.keys(body)) {
    if (!FIELDS.includes(field)) throw bad(`Unrecognized request argument supplied: ${field}`, null);
  }
  if (typeof body.model !== 'string' || body.model === '') throw bad('you must provide a model parameter', null);
  if (typeof body.prompt !== 'string') throw bad("Invalid type for 'prompt': the lab takes a string alone.", 'prompt');
  return {
    model: body.model,
    stream: body.stream === true,
    n: readCount(body.n, 'n', 1, 128) ?? 1,
    max_tokens: readCount(body.max_tokens, 'max_tokens', 0) ?? TOKENS,
    stops: [body.stop ?? []].flat(),
    tools: [],
    tool_choice: { kind: 'auto' },
    is_parallel: false,
    schema: null,
    is_json_object: false,
    logprobs: null,
    include_usage: body.stream_options?.include_usage === true,
    last_role: 'user',
    last_user_text: body.prompt,
    prefill_text: '',
    tool_result_text: '',
    prompt_tokens: countTokens([{ text: body.prompt }]),
  };
}

const event = (value) => `data: ${JSON.stringify(value)}\n\n`;
const choice = (text, index, finish_reason) => ({ text, index, logprobs: null, finish_reason });
const chunk = ({ model }, { id, created }, choices) => ({ id, object: 'text_completion', created, model, choices });

function stream(request, answer, script, call) {
  const lists = answer.choices.map(({ texts }, index) => texts.map((text) => event(chunk(request, call, [choice(text, index, null)]))));
  const steps = Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, at) => lists.flatMap((list) => list[at] ?? []));
  const isCounted = request.include_usage && script.usage;
  return {
    opening: [],
    steps,
    finish: answer.choices.map(({ finish }, index) => event(chunk(request, call, [choice('', index, FINISH[finish])]))),
    usage: isCounted ? [event({ ...chunk(request, call, []), usage: usage(request, answer) })] : [],
    end: ['data: [DONE]\n\n'],
  };
}

function whole(request, answer, script, call) {
  const choices = answer.choices.map(({ texts, finish }, index) => choice(texts.join(''), index, finish === null ? null : FINISH[finish]));
  const body = chunk(request, call, choices);
  return script.usage ? { ...body, usage: usage(request, answer) } : body;
}

function usage({ prompt_tokens }, answer) {
  const { tokens } = answerTokens(answer);
  return { prompt_tokens, completion_tokens: tokens, total_tokens: prompt_tokens + tokens };
}

const bad = (message, param) => new Refused(400, message, { type: 'invalid_request_error', param });
