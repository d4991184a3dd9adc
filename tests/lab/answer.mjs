// What the lab says: the words, the tool calls and the counts, before any wire format.
//
// An answer has one choice per `n`. A choice is `{ reasoning, texts, calls, finish, stop_sequence }`,
// where `reasoning` and `texts` are lists of pieces (one piece is one token of usage), each call is
// `{ name, args, pieces }`, and `finish` is 'stop', 'length', 'stop_sequence', 'tool' or 'filter'.
// The same request, script and lab name give the same answer.
// Not here: how a dialect writes it down, and when each piece is sent.

import { sample } from './sample.mjs';

/** How many distinct texts keep their pieces, so that a benchmark does not split the same one again. */
const TEXTS_KEPT_MAX = 1_000;
/** Long enough for a tool's arguments to come in several pieces, short enough to cut inside names. */
const JSON_PIECE_CHARS = 6;
const EXCERPT_CHARS_MAX = 60;

const FILLER = (
  'The lab answers every call with words that mean little, so that a test can count them. '
  + 'A naïve reader may still enjoy them: they come in order, they stop on time, and they repeat — always the same way. '
).match(/\S+/g);
const THOUGHTS = 'Let me think about this for a moment before I say anything about it at all. '.match(/\S+/g);

export function composeAnswer(request, script, labName) {
  const choices = [];
  for (let index = 0; index < request.n; index += 1) choices.push(composeChoice(request, script, labName, index));
  return { choices };
}

/** An answer that ends at once: `count` choices with nothing in them, for the reason given. */
export function hollowAnswer(finish, count) {
  const choice = { reasoning: [], texts: [], calls: [], finish, stop_sequence: null };
  return { choices: Array.from({ length: count }, () => choice) };
}

/** The tokens that an answer cost. */
export function answerTokens(answer) {
  let tokens = 0;
  let reasoning = 0;
  for (const choice of answer.choices) {
    reasoning += choice.reasoning.length;
    tokens += choice.reasoning.length + choice.texts.length;
    for (const call of choice.calls) tokens += call.pieces.length;
  }
  return { tokens, reasoning };
}

function composeChoice(request, script, labName, index) {
  const budget = request.max_tokens ?? Infinity;
  const reasoning = wordsOf(THOUGHTS, Math.min(script.reasoning_tokens, budget));
  const calls = toolCalls(request);
  if (calls.length > 0) return { reasoning, texts: [], calls, finish: 'tool', stop_sequence: null };
  const full = withoutPrefill(textOf(request, script, labName, index), request);
  const { text, stop_sequence } = stopped(full, request.stops);
  const pieces = script.text === null && isJson(request) ? jsonPieces(text) : textPieces(text);
  const texts = pieces.slice(0, budget - reasoning.length);
  const isCut = texts.length < pieces.length || reasoning.length < script.reasoning_tokens;
  if (isCut) return { reasoning, texts, calls, finish: 'length', stop_sequence: null };
  return { reasoning, texts, calls, finish: stop_sequence === null ? 'stop' : 'stop_sequence', stop_sequence };
}

function toolCalls(request) {
  const { tools, tool_choice } = request;
  if (tools.length === 0 || tool_choice.kind === 'none' || request.last_role === 'tool') return [];
  const forced = tools.find((tool) => tool_choice.kind === 'tool' && tool.name === tool_choice.name);
  const chosen = forced !== undefined ? [forced] : tools.slice(0, request.is_parallel ? 2 : 1);
  return chosen.map(({ name, schema }) => {
    const args = sample(schema ?? { type: 'object' });
    return { name, args, pieces: jsonPieces(JSON.stringify(args)) };
  });
}

const isJson = (request) => request.schema !== null || request.is_json_object;

function textOf(request, script, labName, index) {
  if (script.text !== null) return script.text;
  if (request.schema !== null) return JSON.stringify(sample(request.schema));
  const lead = leadOf(request, labName, index);
  if (request.is_json_object) return JSON.stringify({ answer: lead });
  const words = lead.split(' ');
  return [...words, ...wordsOf(FILLER, script.tokens - words.length).map((word) => word.trim())]
    .slice(0, script.tokens)
    .join(' ');
}

function leadOf({ model, last_role, last_user_text, tool_result_text }, labName, index) {
  const who = index === 0 ? `${labName} here, model ${model}.` : `${labName} here, model ${model}, choice ${index + 1}.`;
  if (last_role === 'tool') return `${who} The tool said: ${sentence(excerpt(tool_result_text))}`;
  return last_user_text === '' ? who : `${who} You said: ${sentence(excerpt(last_user_text))}`;
}

const sentence = (text) => (/[.!?…]$/.test(text) ? text : `${text}.`);

function excerpt(text) {
  const line = text.slice(0, 4 * EXCERPT_CHARS_MAX).replace(/\s+/g, ' ').trim();
  return line.length > EXCERPT_CHARS_MAX ? `${[...line].slice(0, EXCERPT_CHARS_MAX).join('').trimEnd()}…` : line;
}

/** `count` words of `list`, over and over, each but the first with a space before it. */
function wordsOf(list, count) {
  const words = [];
  for (let at = 0; at < count; at += 1) words.push(at === 0 ? list[0] : ` ${list[at % list.length]}`);
  return words;
}

/** A request that ends in the assistant's own words asks for the rest of them. */
function withoutPrefill(text, { last_role, prefill_text }) {
  return last_role === 'assistant' && text.startsWith(prefill_text) ? text.slice(prefill_text.length) : text;
}

function stopped(text, stops) {
  let first = { text, stop_sequence: null };
  for (const stop of stops) {
    const at = first.text.indexOf(stop);
    if (at !== -1) first = { text: first.text.slice(0, at), stop_sequence: stop };
  }
  return first;
}

const keptPieces = new Map();

/** A text's words, each with the space before it. Joined they are the text again. */
function textPieces(text) {
  let pieces = keptPieces.get(text);
  if (pieces === undefined) {
    pieces = text.match(/\s*\S+|\s+$/g) ?? [];
    if (keptPieces.size >= TEXTS_KEPT_MAX) keptPieces.clear();
    keptPieces.set(text, pieces);
  }
  return pieces;
}

/** JSON cut without regard to its meaning, as providers do, but never inside a surrogate pair. */
function jsonPieces(json) {
  const chars = [...json];
  const length = Math.min(JSON_PIECE_CHARS, Math.max(1, Math.ceil(chars.length / 2)));
  const pieces = [];
  for (let at = 0; at < chars.length; at += length) pieces.push(chars.slice(at, at + length).join(''));
  return pieces;
}
