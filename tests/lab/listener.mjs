// An HTTP server that can be taken down and brought up again on the same port.
//
// Callers may rely on: after `down` the port refuses connections and every connection is destroyed;
// `up` listens on the port that the first `up` got; both may be called twice.
// Not here: what is served.

import { createServer } from 'node:http';

export class Listener {
  #server;
  #sockets = new Set();
  #host;
  #port;
  #is_up = false;

  constructor({ host, port, serve }) {
    this.#host = host;
    this.#port = port;
    // Silence is something the lab does on purpose: no timeout of Node's own may end it. Idle
    // connections stay, so that a benchmark's next call does not meet one that is just closing.
    this.#server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 }, serve);
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  get port() {
    return this.#port;
  }

  get url() {
    const host = this.#host.includes(':') ? `[${this.#host}]` : this.#host;
    return `http://${host}:${this.#port}`;
  }

  get isUp() {
    return this.#is_up;
  }

  async up() {
    if (this.#is_up) return;
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, this.#host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#port = this.#server.address().port;
    this.#is_up = true;
  }

  async down() {
    if (!this.#is_up) return;
    this.#is_up = false;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
