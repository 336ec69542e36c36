/**
 * What several commands did together, in little memory however many they are (pure): from where to where, how many keys, what
 * their names have in common, and some of them.
 */
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';

/** A command's last byte, and when it came. */
export interface Place {
  readonly offset: Offset;
  readonly stamp: Micros;
}

const examplesMost = 3;
const keyBytesMost = 256;
const namesMost = 8;
const dbsMost = 32;

export class Extent {
  readonly first: Place;
  #last: Place;
  #commands = 0;
  #keys = 0;
  #prefix: Buffer | undefined;
  readonly #examples: Buffer[] = [];
  readonly #names = new Set<string>();
  readonly #dbs = new Set<number>();

  constructor(first: Place) {
    this.first = first;
    this.#last = first;
  }

  /** Of a burst (bursts.ts) that is told by nothing but this. */
  get extent(): this {
    return this;
  }

  get last(): Place {
    return this.#last;
  }

  get commands(): number {
    return this.#commands;
  }

  /** As many as were named: one that was named twice counts twice. */
  get keys(): number {
    return this.#keys;
  }

  /** What all keys begin with, cut where keys are very long. */
  get prefix(): Buffer {
    return this.#prefix ?? Buffer.alloc(0);
  }

  get examples(): readonly Buffer[] {
    return this.#examples;
  }

  get names(): readonly string[] {
    return [...this.#names];
  }

  get dbs(): readonly number[] {
    return [...this.#dbs].sort((a, b) => a - b);
  }

  /** `more`: keys that are not among those given. */
  add(place: Place, name: string, keys: readonly { readonly key: Buffer; readonly db: number }[], more = 0): void {
    this.#last = place;
    this.#commands += 1;
    this.#keys += keys.length + more;
    if (this.#names.size < namesMost) this.#names.add(name);
    for (const { key, db } of keys) {
      if (this.#dbs.size < dbsMost) this.#dbs.add(db);
      this.#addKey(key);
    }
  }

  /** What another one did, before or behind. */
  merge(other: Extent): Extent {
    const [first, second] = this.first.offset <= other.first.offset ? [this, other] : [other, this];
    const both = new Extent(first.first);
    both.#last = first.last.offset > second.last.offset ? first.last : second.last;
    both.#commands = first.#commands + second.#commands;
    both.#keys = first.#keys + second.#keys;
    for (const one of [first, second]) {
      if (one.#prefix !== undefined) both.#prefix = commonPrefix(both.#prefix, one.#prefix);
      for (const key of one.#examples) if (both.#examples.length < examplesMost) both.#examples.push(key);
      for (const name of one.#names) if (both.#names.size < namesMost) both.#names.add(name);
      for (const db of one.#dbs) if (both.#dbs.size < dbsMost) both.#dbs.add(db);
    }
    return both;
  }

  /** Copies: what is handed in lies in memory that is not ours to hold. */
  #addKey(key: Buffer): void {
    if (this.#examples.length < examplesMost) this.#examples.push(Buffer.from(key.subarray(0, keyBytesMost)));
    if (this.#prefix === undefined || !startsWith(key, this.#prefix)) {
      this.#prefix = Buffer.from(commonPrefix(this.#prefix, key.subarray(0, keyBytesMost)));
    }
  }
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && prefix.compare(key, 0, prefix.length) === 0;
}

function commonPrefix(one: Buffer | undefined, other: Buffer): Buffer {
  if (one === undefined) return other;
  let length = 0;
  while (length < one.length && length < other.length && one[length] === other[length]) length += 1;
  return one.subarray(0, length);
}
