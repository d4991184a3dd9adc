// The entries of a running Worker, over its admin API.
//
// The Worker checks each entry against what is live and compares revisions itself, so a push in between is never
// overwritten. Of several entries some may be written when one is refused; which ones is said.

import { call } from '../http.mjs';
import { Problem } from '../problem.mjs';
import { movedProblem } from './entries.mjs';

/** Reads under way at once. */
const READS_AT_ONCE = 8;

export function adminStore(url, key) {
  const root = `${url.replace(/\/+$/, '')}/admin/api/config`;
  const path = (entry) => `/${encodeURIComponent(entry)}`;

  async function ask(tail, { method, headers, body, accept = [] } = {}) {
    const answer = await call(root + tail, {
      what: 'The admin API',
      method,
      headers: { authorization: `Bearer ${key}`, ...headers },
      body,
      isRepeatable: method === undefined,
    });
    if (answer.status < 300 || accept.includes(answer.status)) return answer;
    throw refused(answer);
  }

  function refused({ status, text }) {
    const error = parse(text)?.error;
    if (status === 401) {
      return new Problem(
        `${url} refused the admin key. Set WAYPOST_ADMIN_KEY to the one that the Worker has; "npm start" has wp-admin.`,
      );
    }
    if (error === undefined) {
      return new Problem(`${url} answered ${status} and not as a Waypost does. Is that the address of the Worker?`);
    }
    return new Problem(`${url} answered ${status}: ${error.message}`, { details: problemLines(error).join('\n') });
  }

  async function put({ entry, text, was }, { note, by }) {
    const headers = { 'content-type': 'application/json' };
    if (was === undefined) headers['if-none-match'] = '*';
    else headers['if-match'] = `"${was}"`;
    if (note !== undefined) headers['x-waypost-note'] = encodeURIComponent(note);
    if (by !== undefined) headers['x-waypost-by'] = encodeURIComponent(by);
    const accept = [412, 422];
    if (text === null) return ask(path(entry), { method: 'DELETE', headers, accept });
    return ask(path(entry), { method: 'PUT', headers, body: text, accept });
  }

  async function revert({ entry, was }, revision, { note, by }) {
    const headers = { 'content-type': 'application/json' };
    if (was !== undefined) headers['if-match'] = `"${was}"`;
    if (note !== undefined) headers['x-waypost-note'] = encodeURIComponent(note);
    if (by !== undefined) headers['x-waypost-by'] = encodeURIComponent(by);
    const body = JSON.stringify({ revision });
    return ask(`${path(entry)}/rollback`, { method: 'POST', headers, body, accept: [412, 422] });
  }

  return {
    where: `the Worker at ${url}`,
    close() {},

    async list() {
      const { entries } = parse((await ask('')).text);
      return entries.map(({ entry }) => entry);
    },

    async read(entries) {
      const found = new Map();
      const left = [...entries];
      const reader = async () => {
        for (let entry = left.pop(); entry !== undefined; entry = left.pop()) {
          const { status, text } = await ask(path(entry), { accept: [404] });
          if (status === 200) found.set(entry, text);
        }
      };
      await Promise.all(Array.from({ length: READS_AT_ONCE }, reader));
      return found;
    },

    async history(entry) {
      return parse((await ask(`${path(entry)}/history`)).text).changes;
    },

    async revisionText(entry, revision) {
      const { status, text } = await ask(`${path(entry)}/revisions/${revision}`, { accept: [404] });
      return status === 200 ? text : undefined;
    },

    /** A route may lead to another of the same push, so what is refused is tried again after the others. */
    async write(changes, change) {
      let left = [...changes].sort((a, b) => rank(a.entry) - rank(b.entry));
      const written = [];
      for (;;) {
        const refusals = [];
        for (const one of left) {
          const answer =
            change.action === 'rollback' && one.revision !== undefined
              ? await revert(one, one.revision, change)
              : await put(one, change);
          if (answer.status === 412) throw withWritten(movedProblem([one.entry]), written);
          if (answer.status === 422) refusals.push({ one, error: parse(answer.text).error });
          else written.push(one.entry);
        }
        if (refusals.length === 0) return;
        if (refusals.length === left.length) throw withWritten(refusalProblem(refusals), written);
        left = refusals.map(({ one }) => one);
      }
    },
  };
}

function rank(entry) {
  return entry === 'providers' ? 0 : entry.startsWith('route:') ? 2 : 1;
}

function refusalProblem(refusals) {
  const lines = refusals.flatMap(({ one, error }) => problemLines(error).map((line) => `${one.entry}: ${line}`));
  return new Problem('The Worker refused what it was given:', { details: lines.join('\n') });
}

function withWritten(problem, written) {
  if (written.length > 0) problem.message += ` Written before that: ${written.join(', ')}.`;
  return problem;
}

function problemLines({ problems = [] }) {
  return problems.map(
    ({ path, expected, got, nearest }) =>
      `${path || '(entry)'}: expected ${expected}, got ${got}${nearest === undefined ? '' : `; did you mean \`${nearest}\`?`}`,
  );
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
