// Writes messages of `application/vnd.amazon.eventstream`, the binary format in which AWS streams.
//
// The lab's streams are texts until they are sent, so that a stream can be remembered and counted like any other: one line per
// message, its name and its payload. `!` before the name makes it an exception, `!!` an error, whose payload is its words.
// Format: <https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html>, read on 2026-11-21: the length of all, the length
// of the headers, a checksum of both, headers, payload, a checksum of all.
// Not here: what the messages say (`bedrock.mjs`).

import { crc32 } from 'node:zlib';

/** Two lengths and two checksums. */
const FRAME_BYTES = 16;
const STRING = 7;

/** Lines of `NAME PAYLOAD` as the messages that they stand for. */
export function framed(lines) {
  return Buffer.concat(lines.split('\n').filter((line) => line !== '').map(messageOf));
}

function messageOf(line) {
  const space = line.indexOf(' ');
  const [name, payload] = [line.slice(0, space), line.slice(space + 1)];
  if (name.startsWith('!!')) {
    return message({ ':message-type': 'error', ':error-code': name.slice(2), ':error-message': payload }, '');
  }
  const json = { ':content-type': 'application/json' };
  return name.startsWith('!')
    ? message({ ':exception-type': name.slice(1), ...json, ':message-type': 'exception' }, payload)
    : message({ ':event-type': name, ...json, ':message-type': 'event' }, payload);
}

function message(headers, payload) {
  const head = Buffer.concat(Object.entries(headers).map(([name, value]) => header(name, value)));
  const body = Buffer.from(payload);
  const lengths = Buffer.concat([uint32(FRAME_BYTES + head.length + body.length), uint32(head.length)]);
  const all = Buffer.concat([lengths, uint32(crc32(lengths)), head, body]);
  return Buffer.concat([all, uint32(crc32(all))]);
}

function header(name, value) {
  const bytes = Buffer.from(value);
  const start = Buffer.from([name.length, ...Buffer.from(name), STRING, bytes.length >> 8, bytes.length & 255]);
  return Buffer.concat([start, bytes]);
}

function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
