// Whether a request is signed in the form of AWS's Signature Version 4.
//
// The lab knows no secret, so it checks the form alone: the parts of the header, the day and the service, and that each header which
// is said to be signed was sent. `tests/edge/bedrock.test.mjs` computes signatures anew.
// Format: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>, read on 2026-11-21.

import { Refused } from '../refused.mjs';

const FORM = /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
/** Without them a signature could be sent again, to another place. */
const ALWAYS_SIGNED = ['host', 'x-amz-date'];

/** The id of the key that signed, an API key, or null. Throws `Refused` where a signature is not one. */
export function accessKeyOf(headers) {
  const given = headers.authorization;
  if (given === undefined) return null;
  const bearer = /^Bearer\s+(.+)$/i.exec(given);
  if (bearer !== null) return bearer[1];
  const parts = FORM.exec(given);
  if (parts === null) throw incomplete(`Authorization header is not of the form of AWS4-HMAC-SHA256. Authorization=${given.split(' ', 1)[0]}`);
  const [, id, day, , service, names] = parts;
  const date = headers['x-amz-date'] ?? '';
  if (!/^\d{8}T\d{6}Z$/.test(date)) throw incomplete(`Date must be in ISO-8601 'basic format'. Got '${date}'.`);
  if (!date.startsWith(day)) throw invalid(`Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${day}' != '${date.slice(0, 8)}'.`);
  if (service !== 'bedrock') throw invalid(`Credential should be scoped to correct service: 'bedrock'.`);
  const signed = names.split(';');
  const lacking = [...ALWAYS_SIGNED.filter((name) => !signed.includes(name)), ...signed.filter((name) => headers[name] === undefined)];
  if (lacking.length > 0) throw incomplete(`'${lacking[0]}' must be a 'SignedHeader' in the AWS Authorization and be sent.`);
  if (signed.join() !== [...signed].sort().join()) throw invalid('SignedHeaders must be sorted.');
  return id;
}

const incomplete = (message) => new Refused(403, message, { type: 'IncompleteSignatureException' });
const invalid = (message) => new Refused(403, message, { type: 'InvalidSignatureException' });
