/**
 * Of keys, by their hashes, which other one speaks for each: a map of numbers in 12 to 24 bytes a link, where a Map takes
 * some hundred.
 */

/** What get() returns where there is no link. */
export const none = -1;

const initialLinks = 512;

export class KeyLinks {
  /** In turns a hash, 0 where there is none, and what it is linked to. */
  #slots = new Uint32Array(2 * initialLinks);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(hash: number): number {
    const slot = this.#find(hash);
    return this.#slots[slot] === 0 ? none : (this.#slots[slot + 1] ?? none);
  }

  /** Both are 32 bits; `hash` is not 0. */
  set(hash: number, to: number): void {
    const slot = this.#find(hash);
    if (this.#slots[slot] === 0) this.#size += 1;
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = to;
    if (this.#size > this.#slots.length / 3) this.#grow();
  }

  /** Where it is, or where it belongs. */
  #find(hash: number): number {
    const mask = this.#slots.length - 1;
    let slot = (Math.imul(hash, 0x9e3779b1) >>> 7) & mask & ~1;
    while (this.#slots[slot] !== 0 && this.#slots[slot] !== hash) slot = (slot + 2) & mask;
    return slot;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(2 * old.length);
    for (let i = 0; i < old.length; i += 2) {
      const hash = old[i] ?? 0;
      if (hash === 0) continue;
      const slot = this.#find(hash);
      this.#slots[slot] = hash;
      this.#slots[slot + 1] = old[i + 1] ?? 0;
    }
  }
}
