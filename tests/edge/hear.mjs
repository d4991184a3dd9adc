// What a client hears of a streamed answer.
//
// `hear` reads a stream of the npm SDK, as a caller's loop would, and keeps the error that ended it. `tape` keeps
// the bytes that the SDK was given, and `eventsOf` takes bytes apart into events.
// Not here: any knowledge of Waypost.

/** Reads to the end or to the error; never throws. */
export async function hear(stream) {
  const heard = { chunks: [], text: '', calls: [], finishes: [], usages: [], error: null };
  try {
    for await (const chunk of stream) note(heard, chunk);
  } catch (error) {
    heard.error = error;
  }
  return heard;
}

function note(heard, chunk) {
  heard.chunks.push(chunk);
  if (chunk.usage) heard.usages.push(chunk.usage);
  for (const { delta, finish_reason } of chunk.choices ?? []) {
    heard.text += delta.content ?? '';
    for (const piece of delta.tool_calls ?? []) addPiece(heard.calls, piece);
    if (finish_reason) heard.finishes.push(finish_reason);
  }
}

/** A call's first piece has its id and name, each further one more of the arguments. */
function addPiece(calls, { index, id, function: { name, arguments: more = '' } = {} }) {
  calls[index] ??= { id, name, arguments: '', pieces: 0 };
  calls[index].arguments += more;
  calls[index].pieces += 1;
}

/** A `fetch` for the SDK, and what came through it so far. */
export function tape() {
  let bytes = Buffer.alloc(0);
  return {
    text: () => bytes.toString('utf8'),
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      const keep = new TransformStream({
        transform(chunk, controller) {
          bytes = Buffer.concat([bytes, chunk]);
          controller.enqueue(chunk);
        },
      });
      return new Response(response.body.pipeThrough(keep), { status: response.status, headers: response.headers });
    },
  };
}

/** A whole stream as `[{ event, data }]`; `event` is undefined where the block has no name. */
export function eventsOf(text) {
  const blocks = text.split(/\r?\n\r?\n/).filter((block) => block.trim() !== '');
  return blocks.map((block) => {
    const lines = block.split(/\r?\n/);
    const field = (name) => lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1).trim();
    return { event: field('event'), data: field('data') };
  });
}
