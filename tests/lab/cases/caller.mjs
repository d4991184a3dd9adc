// A caller that sees the wire as it is: bytes, chunk borders, and how the connection ended.
//
// `call` sends one request on a connection of its own and resolves when the connection is over or
// `until` says that enough was seen, whereupon the caller hangs up. `ending` is 'whole' (the body
// ended as its framing says), 'cut' (the connection ended first), 'reset', or 'left' (we hung up).
// Not here: any tolerance. What an SDK would forgive, a test wants to know.

import net from 'node:net';

export const DIALECTS = ['openai-chat', 'anthropic'];

const PATHS = { 'openai-chat': '/v1/chat/completions', anthropic: '/v1/messages' };

/** A request in order, in each dialect. `more` adds to it. */
export function bodyFor(dialect, more = {}) {
  const messages = [{ role: 'user', content: 'hello there' }];
  const body = { model: 'fast-1', messages, ...(dialect === 'anthropic' ? { max_tokens: 1000 } : {}), ...more };
  return body;
}

/** Sends one request. `script` goes into the header, `body` is an object or raw text. */
export function call(lab, { dialect = 'openai-chat', path = PATHS[dialect], method = 'POST', script, body, headers = {}, until } = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? bodyFor(dialect));
  const all = {
    host: 'lab',
    connection: 'close',
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(dialect === 'anthropic' ? { 'anthropic-version': '2023-06-01' } : {}),
    ...(script === undefined ? {} : { 'x-lab-script': JSON.stringify({ ttft_ms: 0, tokens_per_s: 100_000, ...script }) }),
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`);
  const request = `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${text}`;
  return new Promise((resolve) => {
    const socket = net.connect(lab.port, '127.0.0.1', () => socket.write(request));
    const parts = [];
    let error = null;
    let hasLeft = false;
    socket.on('data', (part) => {
      parts.push(part);
      if (until === undefined || !until(read(Buffer.concat(parts)))) return;
      hasLeft = true;
      socket.destroy();
    });
    socket.on('error', (cause) => { error = cause; });
    // A server that ends the connection also ends ours: what came is all there is.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      const seen = read(Buffer.concat(parts));
      const broken = error?.code === 'ECONNRESET' ? 'reset' : 'cut';
      const ending = hasLeft ? 'left' : seen.isWhole ? 'whole' : broken;
      resolve({ ...seen, ending, error: error?.code ?? null });
    });
  });
}

/** Bytes of an HTTP response, perhaps not all of them -> what they say so far. */
function read(bytes) {
  const at = bytes.indexOf('\r\n\r\n');
  if (at === -1) return { bytes: bytes.length, status: null, headers: {}, chunks: [], body: Buffer.alloc(0), isWhole: false };
  const [first, ...lines] = bytes.subarray(0, at).toString('latin1').split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  const rest = bytes.subarray(at + 4);
  const status = Number(first.split(' ')[1]);
  const framed = headers['transfer-encoding'] === 'chunked'
    ? readChunks(rest)
    : { chunks: [rest], isWhole: rest.length === Number(headers['content-length']) };
  return { bytes: bytes.length, status, headers, ...framed, body: Buffer.concat(framed.chunks) };
}

function readChunks(bytes) {
  const chunks = [];
  for (let at = 0; ;) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return { chunks, isWhole: false };
    const length = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16);
    if (length === 0) return { chunks, isWhole: true };
    const chunk = bytes.subarray(line + 2, line + 2 + length);
    if (chunk.length > 0) chunks.push(chunk);
    at = line + 2 + length + 2;
  }
}

/** The events of a body, each `{ event, data, comment }`; `data` is parsed where it is JSON. What is not yet ended by an empty line is left out. */
export function eventsOf({ body }) {
  return body.toString('utf8').split(/\r?\n\r?\n/).slice(0, -1).map((block) => {
    const found = { event: null, data: null, comment: null };
    for (const line of block.split(/\r?\n/)) {
      if (line.startsWith(':')) found.comment = line.slice(1).trim();
      else if (line.startsWith('event: ')) found.event = line.slice(7);
      else if (line.startsWith('data: ')) found.data = parsed(line.slice(6));
      else throw new Error(`a line that is no field: ${line.slice(0, 80)}`);
    }
    return found;
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What a stream said, in one shape for both dialects. */
export function saidIn(answer) {
  const events = eventsOf(answer).map(({ data }) => data).filter((data) => data !== null);
  const said = { text: '', reasoning: '', tokens: 0, finish: null, usage: null, isEnded: false, error: null, broken: 0 };
  for (const data of events) {
    if (data === '[DONE]' || data.type === 'message_stop') said.isEnded = true;
    else if (typeof data === 'string') said.broken += 1;
    else if (data.error) said.error = data.error;
    else readEvent(data, said);
  }
  return said;
}

function readEvent(data, said) {
  const delta = data.choices?.[0]?.delta ?? data.delta ?? {};
  const text = delta.content ?? delta.text ?? '';
  const thought = delta.reasoning_content ?? delta.thinking ?? '';
  said.text += text;
  said.reasoning += thought;
  if (text !== '' || thought !== '') said.tokens += 1;
  said.finish ??= data.choices?.[0]?.finish_reason ?? delta.stop_reason ?? null;
  if (data.type !== 'message_start' && data.usage) said.usage = data.usage;
}

/** Waits until something is so. Ends with the test's own time limit if it never is. */
export async function eventually(isSo) {
  for (;;) {
    const value = await isSo();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
