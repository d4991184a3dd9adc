// The control server: scripts, calls, down and up, over HTTP beside the provider.
//
// It listens on a port of its own, so that it survives `POST /down`. Each answer is JSON; a request
// that is wrong gets 400 with `{ error, problems }`, where each problem names its field and, if that
// is the question, the valid ones. A wrong script changes nothing.
// Not here: any protection. It listens on loopback and belongs to whoever runs the test.

import { ScriptError } from './script.mjs';

const BODY_BYTES_MAX = 16_777_216;
const ROUTES = [
  'GET /script', 'PUT /script', 'DELETE /script', 'PUT /script/<model>', 'DELETE /script/<model>', 'GET /calls?since=N',
  'DELETE /calls', 'POST /down', 'POST /up', 'GET /healthz',
];

/** A function for `http.createServer`. `lab` is what `startLab` returns, plus `book` and `status()`. */
export function controlServer(lab) {
  return async (req, res) => {
    const url = new URL(req.url, 'http://lab');
    try {
      send(res, 200, await obey(lab, req, url));
    } catch (error) {
      if (error instanceof ScriptError) send(res, 400, { error: error.message, problems: error.problems });
      else if (error instanceof Wrong) send(res, error.status, { error: error.message, valid: error.valid });
      else send(res, 500, { error: String(error?.message ?? error) });
    }
  };
}

class Wrong extends Error {
  constructor(status, message, valid) {
    super(message);
    this.status = status;
    this.valid = valid;
  }
}

async function obey(lab, req, url) {
  const model = /^\/script\/(.+)$/.exec(url.pathname)?.[1];
  switch (`${req.method} ${model === undefined ? url.pathname : '/script/<model>'}`) {
    case 'GET /script': return lab.book;
    case 'PUT /script': {
      lab.book.replace(await readJson(req));
      return lab.book;
    }
    case 'DELETE /script': {
      lab.book.clear();
      return lab.book;
    }
    case 'PUT /script/<model>': {
      lab.book.set(decode(model), notNull(await readJson(req)));
      return lab.book;
    }
    case 'DELETE /script/<model>': {
      lab.book.set(decode(model), null);
      return lab.book;
    }
    case 'GET /calls': return lab.calls(readSince(url.searchParams));
    case 'DELETE /calls': {
      lab.clearCalls();
      return [];
    }
    case 'POST /down': {
      await lab.down();
      return lab.status();
    }
    case 'POST /up': {
      await lab.up();
      return lab.status();
    }
    case 'GET /healthz': return lab.status();
    default: throw new Wrong(404, `no such route: ${req.method} ${url.pathname}`, ROUTES);
  }
}

function readSince(params) {
  for (const name of params.keys()) {
    if (name !== 'since') throw new Wrong(400, `${name}: is not a known parameter`, ['since']);
  }
  const since = params.get('since') ?? '0';
  if (!/^\d+$/.test(since)) throw new Wrong(400, `since: expected the number of a call, got ${JSON.stringify(since)}`);
  return Number(since);
}

function decode(model) {
  try {
    return decodeURIComponent(model);
  } catch {
    throw new Wrong(400, `model: expected a URL-encoded name, got ${JSON.stringify(model)}`);
  }
}

/** Null would remove the script, which is what DELETE is for. */
function notNull(script) {
  if (script === null) throw new Wrong(400, 'script: expected an object, got null');
  return script;
}

async function readJson(req) {
  const parts = [];
  let bytes = 0;
  for await (const part of req) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) throw new Wrong(413, `body: expected at most ${BODY_BYTES_MAX} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch (error) {
    throw new Wrong(400, `body: is not JSON: ${error.message}`);
  }
}

function send(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(`${JSON.stringify(value)}\n`);
}
