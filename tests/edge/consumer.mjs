// The built Worker inside a module that can end its consumer in the middle of a batch.
//
// The product has no switch for this. The module hands the built Worker a database that never answers at the chosen
// moment, and ends the invocation with an exception, as the runtime does when it kills one: nothing behind that moment
// happens, and no message is acknowledged.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/project.mjs';

const BUILD = join(ROOT, 'build');

/**
 * Overrides for `startWorld`. `crashes` has a word for each of the first transactions that store records: `before` ends
 * the consumer when R2 has the lines and D1 nothing, `after` when D1 has the rows and nobody knows; any other lets it be.
 * `options` are Miniflare's.
 */
export function consumerThatEnds(crashes, options = {}) {
  const wasm = readdirSync(BUILD).filter((name) => name.endsWith('.wasm'));
  return {
    ...options,
    modules: [
      { type: 'ESModule', path: join(BUILD, 'consumer.js'), contents: source(crashes) },
      { type: 'ESModule', path: join(BUILD, 'index.js') },
      ...wasm.map((name) => ({ type: 'CompiledWasm', path: join(BUILD, name) })),
    ],
  };
}

const source = (crashes) => `
import { WorkerEntrypoint } from 'cloudflare:workers';
import Built from './index.js';
export * from './index.js';

const crashes = ${JSON.stringify(crashes)};
let transactions = 0;
let crashed = 0;
const points = [];
let mostPoints = 0;
/** Of the statements that store records. */
const STATEMENTS = 5;

export default class extends WorkerEntrypoint {
  async fetch(request) {
    if (new URL(request.url).pathname === '/crashed') return Response.json({ crashed, points, mostPoints });
    return new Built(this.ctx, this.env).fetch(request);
  }

  async scheduled(event) {
    return new Built(this.ctx, this.env).scheduled(event);
  }

  async queue(batch) {
    let end;
    const ended = new Promise((_, reject) => { end = reject; });
    const { DB } = this.env;
    const database = {
      prepare: (sql) => DB.prepare(sql),
      async batch(statements) {
        if (statements.length !== STATEMENTS) return DB.batch(statements);
        const crash = crashes[transactions++];
        if (crash !== 'before' && crash !== 'after') return DB.batch(statements);
        if (crash === 'after') await DB.batch(statements);
        crashed += 1;
        end(new Error('the consumer was ended'));
        return new Promise(() => {});
      },
    };
    let written = 0;
    const writeDataPoint = (point) => {
      points.push(point);
      mostPoints = Math.max(mostPoints, ++written);
    };
    const ANALYTICS = { writeDataPoint };
    const env = { ...this.env, DB: database, ANALYTICS };
    return Promise.race([new Built(this.ctx, env).queue(batch), ended]);
  }

  scheduled(event) {
    return new Built(this.ctx, this.env).scheduled(event);
  }
}
`;
