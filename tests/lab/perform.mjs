// Gives one answer, soundly or as its fault says.
//
// A `turn` is everything about one call: `{ reply, dialect, request, script, fault, call, headers,
// body, memo }`. `call` has the ids of this answer, `headers` those of a good one, `fault` is null or
// due, `body` is what was asked, as a text, and `memo` belongs to the script.
// Waits count from the call's arrival: `headers_ms` for the headers, `ttft_ms` for the first content,
// and then one token each 1/`tokens_per_s` s. A body that is not streamed is ready when its last
// token would have been.
// Not here: the wire format (`dialects/`) and the deeds of faults (`strike.mjs`).

import { answerTokens, composeAnswer } from './answer.mjs';
import { remembered } from './memo.mjs';
import { INSTEAD, MIDSTREAM, replaces, reshape, UNSTREAMED } from './strike.mjs';

export async function perform(turn, labName) {
  const { reply, request, script, fault } = turn;
  if (script.headers_ms > 0) await reply.waitUntil(script.headers_ms);
  if (fault !== null && replaces(fault, request)) {
    reply.blame(fault.kind);
    return INSTEAD[fault.kind](turn);
  }
  if (fault === null && script.tokens_per_s === 0 && script.chunking === 'event') return performAtOnce(turn, labName);
  const reshaped = fault === null ? null : reshape(fault, request);
  if (reshaped !== null) reply.blame(fault.kind);
  const answer = reshaped ?? composeAnswer(request, script, labName);
  return request.stream ? performStream(turn, answer) : performWhole(turn, answer);
}

/** A sound answer without waits between tokens, in two writes at most: what benchmarks use. */
async function performAtOnce({ reply, dialect, request, script, call, headers, body, memo }, labName) {
  const [opening, rest] = remembered(memo, dialect.name, body, call, (ids) => {
    const answer = composeAnswer(request, script, labName);
    if (!request.stream) return ['', JSON.stringify(dialect.whole(request, answer, script, ids))];
    const stream = dialect.stream(request, answer, script, ids);
    const after = [...stream.steps.flat(), ...stream.finish, ...stream.usage, ...stream.end];
    return [stream.opening.join(''), after.join('')];
  });
  const isEarly = script.ttft_ms > reply.elapsedMs();
  if (request.stream && !isEarly) return reply.wholeStream(headers, opening + rest);
  if (request.stream) {
    reply.head(200, headers);
    await reply.write(reply.wire(opening));
  }
  if (isEarly) await reply.waitUntil(script.ttft_ms);
  return request.stream ? reply.end(reply.wire(rest)) : reply.whole(200, headers, rest);
}

async function performStream(turn, answer) {
  const { reply, dialect, request, script, fault, call, headers } = turn;
  const kind = fault?.kind;
  if (kind === 'wrong_type') {
    reply.blame(kind);
    return reply.whole(200, { ...headers, 'content-type': 'text/plain' }, bodyOf(turn, answer));
  }
  const stream = shortened(dialect.stream(request, answer, script, call), turn);
  reply.head(200, headers);
  const isMidstream = fault !== null && Object.hasOwn(MIDSTREAM, kind);
  const strikeAt = isMidstream ? Math.min(fault.after_tokens ?? 0, stream.steps.length) : Infinity;
  // An error at once is the first event of all, as providers that are overloaded send it.
  if (kind === 'error_event' && strikeAt === 0) {
    reply.blame(kind);
    return MIDSTREAM.error_event(turn);
  }
  await reply.send(stream.opening);
  await performSteps(turn, stream, strikeAt);
  return undefined;
}

async function performSteps(turn, stream, strikeAt) {
  const { reply, script, fault } = turn;
  for (let at = 0; at <= stream.steps.length; at += 1) {
    let step = stream.steps[at] ?? stream.finish;
    if (at === strikeAt) {
      reply.blame(fault.kind);
      step = await MIDSTREAM[fault.kind](turn, step);
      if (step === undefined) return;
    }
    const due_ms = dueMs(script, at);
    if (at < stream.steps.length && due_ms > reply.elapsedMs()) await reply.waitUntil(due_ms);
    await reply.send(step);
  }
  await reply.send([...stream.usage, ...stream.end]);
  if (fault?.kind === 'no_end' && !fault.closes) await reply.waitForever();
  reply.end();
}

/** When the token with this number (from 0) is due. */
function dueMs({ ttft_ms, tokens_per_s }, at) {
  return tokens_per_s === 0 ? ttft_ms : ttft_ms + (at * 1000) / tokens_per_s;
}

/** The stream without what the fault leaves out. */
function shortened(stream, { reply, fault }) {
  if (fault?.kind !== 'no_end' && fault?.kind !== 'no_finish') return stream;
  // Where a dialect has no end marker, there is nothing to leave out.
  if (fault.kind === 'no_end' && stream.end.length === 0 && fault.closes) return stream;
  reply.blame(fault.kind);
  return fault.kind === 'no_end' ? { ...stream, end: [] } : { ...stream, finish: [], usage: [] };
}

async function performWhole(turn, answer) {
  const { reply, script, fault, headers } = turn;
  const { tokens } = answerTokens(answer);
  const due_ms = dueMs(script, Math.max(0, tokens - 1));
  if (due_ms > reply.elapsedMs()) await reply.waitUntil(due_ms);
  if (fault?.kind === 'no_finish') {
    reply.blame(fault.kind);
    const endless = { choices: answer.choices.map((choice) => ({ ...choice, finish: null })) };
    return reply.whole(200, headers, bodyOf(turn, endless));
  }
  const body = bodyOf(turn, answer);
  if (fault !== null && Object.hasOwn(UNSTREAMED, fault.kind)) {
    reply.blame(fault.kind);
    return UNSTREAMED[fault.kind](turn, body);
  }
  return reply.whole(200, headers, body);
}

function bodyOf({ dialect, request, script, call }, answer) {
  return JSON.stringify(dialect.whole(request, answer, script, call));
}
