// Stands before the mock, and makes streams of its answers where a request wants one.
//
// The mock streams only to who accepts an event stream, which OpenAI's SDKs do not say; its streams are made up of empty deltas, know no
// legacy completions and have no `[DONE]`. The tests look at no stream, so that directly they pass with whatever comes; the Worker takes
// an answer like that for none. Both runs go through this, and the mock still holds every request against the specification.

import { once } from 'node:events';
import { createServer } from 'node:http';

const FRAMING = ['connection', 'content-encoding', 'content-length', 'host', 'keep-alive', 'transfer-encoding'];

/** Starts it before `url`, and returns its own `{ url, close }`. */
export async function startFront(url) {
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request));
    const init = { method: request.method, headers: unframed(request.headers), body: body.length > 0 ? body : undefined };
    const answer = await fetch(url + request.url, init);
    const [headers, said] = [unframed(Object.fromEntries(answer.headers)), Buffer.from(await answer.arrayBuffer())];
    const isStream = /"stream"\s*:\s*true/.test(body.toString('latin1'));
    if (!isStream || answer.status !== 200) return response.writeHead(answer.status, headers).end(said);
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' });
    return response.end(`data: ${JSON.stringify(chunkOf(JSON.parse(said)))}\n\ndata: [DONE]\n\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

/** A whole answer as the one event of a stream. */
function chunkOf({ usage: _, ...answer }) {
  const choice = { index: 0, finish_reason: 'stop', logprobs: null };
  return answer.object === 'text_completion'
    ? { ...answer, choices: [{ ...choice, text: 'one' }] }
    : { ...answer, object: 'chat.completion.chunk', choices: [{ ...choice, delta: { role: 'assistant', content: 'one' } }] };
}

function unframed(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !FRAMING.includes(name)));
}
