/**
 * A hash of a key in 32 bits, as it lies among other bytes, seeded anew in each process so that nobody can make keys that
 * fall together. Keys that differ may share one: whoever must be exact compares the keys, too.
 */

/** Never 0, which may stand for none. */
export function hashOfKey(seed: number, bytes: Uint8Array, at: number, length: number): number {
  let hash = seed ^ length;
  for (let i = at; i < at + length; i += 1) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x5bd1e995) ^ (hash >>> 15);
  return hash >>> 0 || 1;
}
