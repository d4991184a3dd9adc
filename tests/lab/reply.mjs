// One answer on its way to one client: waiting, writing, breaking off.
//
// Callers may rely on: when the client has gone, every wait and write rejects with `GONE` and all
// timers of this answer are cleared; a write resolves only when the client keeps up; the call's log
// entry is completed, whatever happens. The outcome is 'complete' if the answer was sent to its end,
// what `blame` said if a fault struck, 'down' if the lab was taken down meanwhile, and else
// 'client_gone'.
// Not here: what is written, and why.

import { setImmediate as nextTurn } from 'node:timers/promises';

/** What waits and writes reject with once the client has gone. It is no error: there is nobody to tell. */
export const GONE = Symbol('the client has gone');

/** How many one-byte writes happen before other calls get a turn. */
const BYTES_PER_TURN = 64;

export class Reply {
  #res;
  #call;
  #started_ms;
  #is_down;
  #blame = null;
  #is_ours = false;
  #is_gone = false;
  #timer = null;
  #abandon = null;
  #format = { keepalive: null, keepalive_ms: null, line_ending: 'lf', chunking: 'event', random: null, frame: null };

  /** `call` is the entry in the log; `isDown` says whether the lab was just taken down. */
  constructor(res, call, isDown) {
    this.#res = res;
    this.#call = call;
    this.#started_ms = performance.now();
    this.#is_down = isDown;
    res.on('close', () => this.#closed());
    // A write that meets a closed socket ends in 'close' too, where it is dealt with.
    res.on('error', () => {});
  }

  /** How events are put on the wire: `{ keepalive, keepalive_ms, line_ending, chunking, random, frame }`. */
  format(format) {
    this.#format = format;
  }

  /** Names the fault that from now on answers for how this call ends. */
  blame(kind) {
    this.#blame = `fault:${kind}`;
  }

  /** Notes that this is a refusal of the lab's own, not an answer. */
  refused() {
    this.#blame = 'refused';
  }

  elapsedMs() {
    return performance.now() - this.#started_ms;
  }

  /** Sends status and headers at once, before there is a body. */
  head(status, headers) {
    this.#noteHead(status);
    this.#res.writeHead(status, headers);
    this.#res.flushHeaders();
  }

  /** Sends a whole answer and ends it. */
  whole(status, headers, body) {
    this.#noteHead(status);
    this.#res.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
    this.#res.end(body);
  }

  /** Sends a whole stream at once, in one write that is still chunked as streams are. */
  wholeStream(headers, text) {
    this.#noteHead(200);
    this.#res.writeHead(200, { ...headers, 'transfer-encoding': 'chunked' });
    this.#res.end(this.wire(text));
  }

  /** Sends the last bytes and ends the body cleanly. */
  end(bytes) {
    this.#res.end(bytes);
  }

  /** Waits until `due_ms` after the call came in. Meanwhile the client gets signs of life, if the script wants it. */
  async waitUntil(due_ms) {
    const { keepalive, keepalive_ms } = this.#format;
    let rest_ms = due_ms - this.elapsedMs();
    while (rest_ms > 0) {
      const isNoisy = keepalive !== null && keepalive_ms !== null && keepalive_ms < rest_ms && this.#res.headersSent;
      await this.#sleep(isNoisy ? keepalive_ms : rest_ms);
      if (isNoisy) await this.write(this.wire(keepalive));
      rest_ms = due_ms - this.elapsedMs();
    }
  }

  /** Stays silent (or sends only signs of life) until the client goes. Never resolves. */
  waitForever() {
    return this.waitUntil(Infinity);
  }

  /** Writes events, each as one write or cut as the script says. */
  async send(events) {
    for (const event of events) await this.#sendOne(this.wire(event));
  }

  /** Writes bytes as they are. Resolves when the client can take more. */
  async write(bytes) {
    this.#check();
    if (bytes.length > 0 && !this.#res.write(bytes)) await this.#event('drain');
  }

  /** Lets other calls have a turn. */
  async yield() {
    this.#check();
    await nextTurn();
    this.#check();
  }

  /** Resolves when what was written so far has left this process. */
  async flushed() {
    this.#check();
    const { socket } = this.#res;
    await new Promise((resolve, reject) => {
      this.#abandon = reject;
      socket.write('', () => resolve());
    });
    this.#abandon = null;
  }

  /** Ends the connection in the middle of whatever is going on. */
  destroy() {
    this.#is_ours = true;
    this.#res.socket?.destroy();
  }

  /** The same, and the client's system is told that it was no orderly end. */
  reset() {
    this.#is_ours = true;
    this.#res.socket?.resetAndDestroy();
  }

  /** Events as they go on the wire: with the line ends that the script asks for, or as binary messages. `write` takes what this gives. */
  wire(events) {
    const { frame, line_ending } = this.#format;
    if (frame !== null) return frame(events);
    return line_ending === 'crlf' ? events.replaceAll('\n', '\r\n') : events;
  }

  /** Whether events are binary messages, which no line of text can be put into. */
  get isFramed() {
    return this.#format.frame !== null;
  }

  async #sendOne(event) {
    const { chunking, random } = this.#format;
    if (chunking === 'event') return this.write(event);
    const bytes = Buffer.from(event);
    if (chunking === 'split') {
      const cut = 1 + Math.floor(random() * (bytes.length - 1));
      await this.write(bytes.subarray(0, cut));
      await this.yield();
      return this.write(bytes.subarray(cut));
    }
    for (let at = 0; at < bytes.length; at += 1) {
      await this.write(bytes.subarray(at, at + 1));
      if (at % BYTES_PER_TURN === 0) await this.yield();
    }
    return undefined;
  }

  #check() {
    if (this.#is_gone) throw GONE;
  }

  async #sleep(ms) {
    this.#check();
    await new Promise((resolve, reject) => {
      this.#abandon = reject;
      // Without a timer this ends only with the connection, which also keeps the process alive.
      if (Number.isFinite(ms)) this.#timer = setTimeout(resolve, ms);
    });
    this.#timer = null;
    this.#abandon = null;
  }

  async #event(name) {
    await new Promise((resolve, reject) => {
      this.#abandon = reject;
      this.#res.once(name, resolve);
    });
    this.#abandon = null;
  }

  #noteHead(status) {
    this.#check();
    this.#call.status = status;
    this.#call.first_byte_ms = tenths(this.elapsedMs());
  }

  #closed() {
    const isWhole = this.#res.writableFinished;
    this.#is_gone = true;
    clearTimeout(this.#timer);
    this.#abandon?.(GONE);
    const at_ms = tenths(this.elapsedMs());
    const isClients = !isWhole && !this.#is_ours && !this.#is_down();
    this.#call.ended_ms = at_ms;
    if (isClients) this.#call.client_closed_ms = at_ms;
    this.#call.outcome = this.#blame ?? (isWhole ? 'complete' : isClients ? 'client_gone' : 'down');
  }
}

const tenths = (ms) => Math.round(ms * 10) / 10;
