// KV and a queue as services of workerd speak them, so that the Worker's own calls run to their end. The entries stand
// in memory; records are counted and dropped. GET /counts, on the service's own socket, tells how many there were.

import entries from 'entries.js';

const texts = new Map(Object.entries(entries));
const counts = { kv_reads: 0, kv_writes: 0, messages: 0, records: 0 };

/** Each record has one outcome. Parsing it would cost more than what is measured. */
function recordsIn(text) {
  let found = 0;
  for (let at = text.indexOf('"outcome":{'); at >= 0; at = text.indexOf('"outcome":{', at + 1)) found += 1;
  return found;
}

async function bulkGet(request) {
  const { keys } = await request.json();
  counts.kv_reads += 1;
  return Response.json(Object.fromEntries(keys.map((key) => [key, texts.get(key) ?? null])));
}

async function takeMessage(request) {
  counts.messages += 1;
  counts.records += recordsIn(await request.text());
  return Response.json({
    metadata: { metrics: { backlogCount: 0, backlogBytes: 0, oldestMessageTimestamp: 0 } },
  });
}

async function write(key, request) {
  counts.kv_writes += 1;
  texts.set(key, await request.text());
  return new Response();
}

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const key = decodeURIComponent(pathname.slice(1));
    switch (`${request.method} ${pathname}`) {
      case 'GET /counts':
        return Response.json(counts);
      case 'POST /bulk/get':
        return bulkGet(request);
      case 'POST /message':
        return takeMessage(request);
      case 'GET /': {
        const names = [...texts.keys()].filter((name) => name.startsWith(searchParams.get('prefix') ?? ''));
        return Response.json({
          keys: names.map((name) => ({ name })),
          list_complete: true,
          cacheStatus: null,
        });
      }
      default:
        if (request.method === 'PUT') return write(key, request);
        return texts.has(key) ? new Response(texts.get(key)) : new Response('Not Found', { status: 404 });
    }
  },
};
