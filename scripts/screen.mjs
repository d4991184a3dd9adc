// What the scripts say to the person watching, and the clock beside a job that takes long.
//
// On a terminal a running job is one line that counts its seconds; elsewhere (CI, a file) it is a plain
// line at the start, one every half minute, and one at the end. Errors do not come here but to stderr.

const STILL_RUNNING_MS = 30_000;

let stream = process.stdout;
let isQuiet = false;

/** Sends everything to stderr, for commands whose stdout a machine reads. */
export function leaveStdoutAlone() {
  stream = process.stderr;
}

/** Says nothing from now on, except for errors. */
export function beQuiet() {
  isQuiet = true;
}

export function say(line = '') {
  if (!isQuiet) stream.write(`${line}\n`);
}

/** Shows a job while it runs, with how long it `takes`; call `end` with the mark that it earned. */
export function startJob(title, takes) {
  if (isQuiet) return { end() {} };
  const startMs = Date.now();
  const seconds = () => Math.round((Date.now() - startMs) / 1000);
  const line = `… ${title}${takes === undefined ? '' : ` (${takes})`}`;
  const timer = stream.isTTY
    ? setInterval(() => stream.write(`\r\x1b[K${line}, ${seconds()} s`), 1000)
    : setInterval(() => stream.write(`  still running after ${seconds()} s\n`), STILL_RUNNING_MS);
  timer.unref();
  stream.write(stream.isTTY ? line : `${line}\n`);
  return {
    end(mark) {
      clearInterval(timer);
      if (stream.isTTY) stream.write('\r\x1b[K');
      stream.write(`${mark} ${title} (${seconds()} s)\n`);
    },
  };
}
