// A problem that the person at the keyboard can act on, and how a script ends with it.
//
// Throw `Problem` with one paragraph: what is missing, and the command that helps. `runScript` prints it
// to stderr and ends with its exit code: 1 for a problem, 2 for wrong usage. Anything else thrown is a
// bug in these scripts and shows its stack.

export class Problem extends Error {
  /** `details` are a tool's own last lines, shown below the paragraph. */
  constructor(message, { exitCode = 1, details = '' } = {}) {
    super(message);
    this.exitCode = exitCode;
    this.details = details;
  }

  toString() {
    const details = this.details.trimEnd();
    return details === '' ? this.message : `${this.message}\n\n${details.replace(/^/gm, '  | ')}`;
  }
}

/** Runs a script's `main`, whose result is the exit code (nothing means 0). */
export async function runScript(main) {
  // `npm run history | head` closes the pipe while there is more to say.
  process.stdout.on('error', (error) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    console.error(error instanceof Problem ? `\n${error}` : error);
    process.exitCode = error.exitCode ?? 1;
  }
}
