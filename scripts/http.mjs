// One HTTP call to an API, with a deadline, and another try where that is safe and may help.
//
// 429 and 5xx are tried again after what `Retry-After` asks, or after a pause that doubles. A call that broke without
// an answer may have been carried out, so only calls that are `isRepeatable` are sent again then.

import { Problem } from './problem.mjs';

const ANSWER_MS = 30_000;
const TRIES = 4;
const PAUSE_MS = 500;
/** Cloudflare blocks a caller for five minutes; nobody waits for that at a prompt. */
const PAUSE_MS_MAX = 30_000;

/** Returns `{ status, headers, text }`. Throws a `Problem` that begins with `what` when there is no answer at all. */
export async function call(url, { what, method = 'GET', headers, body, isRepeatable = true }) {
  for (let tries = 1; ; tries += 1) {
    const answer = await fetch(url, { method, headers, body, signal: AbortSignal.timeout(ANSWER_MS) }).then(
      async (response) => ({
        status: response.status,
        headers: response.headers,
        text: await response.text(),
      }),
      (error) => ({ error }),
    );
    const isRefused = answer.status === 429 || answer.status >= 500;
    const mayTry = tries < TRIES && (isRefused || (answer.error !== undefined && isRepeatable));
    if (!mayTry && answer.error !== undefined) throw noAnswer(what, url, answer.error);
    if (!mayTry) return answer;
    await pause(pauseMs(answer.headers?.get('retry-after'), tries));
  }
}

function pauseMs(retryAfter, tries) {
  const asked = /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - Date.now();
  const ms = Number.isNaN(asked) ? PAUSE_MS * 2 ** (tries - 1) : asked;
  return Math.min(Math.max(ms, 0), PAUSE_MS_MAX);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function noAnswer(what, url, error) {
  const reason = error.name === 'TimeoutError' ? `none within ${ANSWER_MS / 1000} s` : (error.cause?.code ?? error.message);
  return new Problem(`${what}: no answer from ${new URL(url).origin} (${reason}). Check the address and the connection.`);
}
