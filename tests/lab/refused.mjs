// A request that the lab turns down, in words that each dialect can put into its error body.
//
// Thrown by whatever reads a request; caught once, in `provider.mjs`. A message or type left null
// is the one that the dialect's own API uses for that status; `details` are Google's.
// Not here: faults. A refusal is the caller's mistake, a fault is the script's wish.

export class Refused extends Error {
  constructor(status, message = null, { type = null, code = null, param = null, details = [] } = {}) {
    super(message ?? `status ${status}`);
    this.name = 'Refused';
    this.failure = { status, message, type, code, param, details };
  }
}
