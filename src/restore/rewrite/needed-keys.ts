/**
 * The keys that some wanted keys depend on (pure): those that were touched by one command together with a wanted one, with
 * one of these, and so on. What happened to all of them is what the wanted ones came to be by.
 *
 * Neither dbs nor the order of commands are told apart, and keys are held as hashes, so more may count as needed than are:
 * what is needed always does. Memory is bounded by neededLinksMax.
 */
import { randomInt } from 'node:crypto';
import { neededLinksMax } from '../../core/limits.ts';
import type { CommandGlance } from '../../redis/command-glance.ts';
import { keysOf, touchesOthersOnly } from '../../redis/command-keys.ts';
import type { CommandKeys, IsKey, KeyArgument } from '../../redis/command-keys.ts';
import { nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { hashOfKey } from '../../redis/key-hash.ts';
import { KeyLinks, none } from './key-links.ts';

/** No key's hash: what is linked with this is needed. */
const needed = 0;

export class NeededKeys {
  /** As it was given: of names that others need not be needed for. */
  readonly isWanted: IsKey;
  /** Of a key that was touched together with others, one of them; none: it speaks for them all. */
  readonly #links = new KeyLinks();
  readonly #seed = randomInt(2 ** 32) | 0;

  constructor(isWanted: IsKey) {
    this.isWanted = isWanted;
  }

  /** False: there are too many links to go on. */
  link(keys: readonly KeyArgument[]): boolean {
    const [first, ...others] = keys;
    if (first === undefined) return true;
    let one = this.#find(first.key);
    for (const { key } of others) one = this.#join(one, this.#find(key));
    return this.#links.size <= neededLinksMax;
  }

  /** Whatever they were touched with. */
  need(keys: readonly KeyArgument[]): boolean {
    for (const { key } of keys) this.#join(needed, this.#find(key));
    return this.#links.size <= neededLinksMax;
  }

  has(key: Buffer): boolean {
    return this.#find(key) === needed;
  }

  /** Whether a replay for the needed keys must contain it. */
  takes(command: StreamCommand): boolean {
    const { keys } = keysOf(command);
    return keys.length === 0 || keys.some(({ key }) => this.has(key));
  }

  /** Whether it need not, where a look tells. */
  passesOver(command: CommandGlance): boolean {
    return touchesOthersOnly(command, this.#hasAt);
  }

  readonly #hasAt: IsKey = (bytes, at, length) => this.#findAt(bytes, at, length) === needed;

  #join(a: number, b: number): number {
    if (a === b) return a;
    const [child, parent] = a === needed ? [b, a] : [a, b];
    this.#links.set(child, parent);
    return parent;
  }

  /** Who speaks for the key. */
  #find(key: Buffer): number {
    return this.#findAt(key, 0, key.length);
  }

  #findAt(bytes: Buffer, at: number, length: number): number {
    if (this.isWanted(bytes, at, length)) return needed;
    const hash = hashOfKey(this.#seed, bytes, at, length);
    let found = hash;
    for (let next = this.#links.get(found); next !== none; next = this.#links.get(found)) found = next;
    // Shorter for the next time.
    if (found !== hash && this.#links.get(hash) !== found) this.#links.set(hash, found);
    return found;
  }
}

/** What a scratch server holds for some keys: what these depend on, or everything. */
export type Held = { readonly keys: NeededKeys } | { readonly keys: undefined; readonly why: string };

/** What a command means for a replay of some keys; `unknown`: any key may depend on any other. */
export type Linking = { readonly kind: 'apart' | 'together'; readonly keys: readonly KeyArgument[] } | 'unknown';

/** `apart`: what it does to each key does not depend on the others, so keys that are not there change nothing. */
export function linkingOf(command: StreamCommand): Linking {
  const touched = keysOf(command);
  if (!touched.isWrite) return { kind: 'apart', keys: touched.keys };
  if (touched.others !== 'none') return actsOnNames(command) ? { kind: 'apart', keys: [] } : 'unknown';
  return { kind: isApart(command, touched) ? 'apart' : 'together', keys: touched.keys };
}

function isApart(command: StreamCommand, { keys }: CommandKeys): boolean {
  if (keys.length < 2 || keys.every(({ access }) => access === 'rm')) return true;
  return nameOf(command) === 'MSET';
}

/** It is the same for whatever keys there are. */
function actsOnNames(command: StreamCommand): boolean {
  return /^(FLUSHALL|FLUSHDB|SWAPDB)$/.test(nameOf(command));
}
