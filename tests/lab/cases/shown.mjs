// How a caller asks in the dialects that name the model in the path or always want a key, and what their streams say.
//
// Not here: the other dialects (`caller.mjs`), whose requests and streams are alike.

import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';

import { call } from './caller.mjs';

const SIGNATURE = `AWS4-HMAC-SHA256 Credential=AKIDLAB/20261122/eu-central-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=${'0a'.repeat(32)}`;

/** A key, as each API wants it shown. */
export const KEYS = {
  gemini: { 'x-goog-api-key': 'key-one' },
  cohere: { authorization: 'Bearer key-one' },
  bedrock: { authorization: SIGNATURE, 'x-amz-date': '20261122T010203Z' },
};
export const ASKED = {
  gemini: { contents: [{ role: 'user', parts: [{ text: 'hello there' }] }] },
  cohere: { model: 'fast-1', messages: [{ role: 'user', content: 'hello there' }] },
  bedrock: { messages: [{ role: 'user', content: [{ text: 'hello there' }] }] },
};

/** Sends a request in order, with `more` in it. `body` and `path` replace what would be sent. */
export function show(lab, dialect, more = {}, { stream = false, script = {}, headers = {}, path = pathOf(dialect, stream), body } = {}) {
  const whole = { ...ASKED[dialect], ...(dialect === 'cohere' && stream ? { stream } : {}), ...more };
  return call(lab, { path, script, body: body ?? whole, headers: { ...KEYS[dialect], ...headers } });
}

function pathOf(dialect, stream) {
  if (dialect === 'cohere') return '/v2/chat';
  if (dialect === 'gemini') return `/v1beta/models/fast-1:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`;
  return `/model/fast-1/${stream ? 'converse-stream' : 'converse'}`;
}

/** The messages of a binary stream as `{ type, name, data }`, every checksum verified; half a message at the end is left out. */
export function messagesOf({ body }) {
  const messages = [];
  for (let at = 0; at + 12 <= body.length && at + body.readUInt32BE(at) <= body.length;) {
    const bytes = body.subarray(at, at + body.readUInt32BE(at));
    assert.equal(bytes.readUInt32BE(8), crc32(bytes.subarray(0, 8)));
    assert.equal(bytes.readUInt32BE(bytes.length - 4), crc32(bytes.subarray(0, -4)));
    const end = 12 + bytes.readUInt32BE(4);
    const headers = headersOf(bytes.subarray(12, end));
    const text = bytes.subarray(end, -4).toString('utf8');
    messages.push({ type: headers[':message-type'], name: headers[':event-type'] ?? headers[':exception-type'], data: parsed(text) });
    at += bytes.length;
  }
  return messages;
}

function headersOf(bytes) {
  const headers = {};
  for (let at = 0; at < bytes.length;) {
    const name = bytes.subarray(at + 1, at + 1 + bytes[at]).toString();
    at += 1 + bytes[at];
    assert.equal(bytes[at], 7);
    const length = bytes.readUInt16BE(at + 1);
    headers[name] = bytes.subarray(at + 3, at + 3 + length).toString();
    at += 3 + length;
  }
  return headers;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
