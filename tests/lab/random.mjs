// Numbers that look random and are the same in every run.
//
// Callers may rely on it: one seed, one sequence, on every machine. Nothing here is fit for secrets.
// Not here: `Math.random`. A test that fails once in a hundred runs must fail again when it is rerun.

/** A generator of numbers in [0, 1). This is mulberry32. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A 32-bit hash of a text (FNV-1a), to give each name its own seed. */
export function hash32(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}
