/**
 * Reads the keys of a document body by type. Each reader states the rule of one field; a value that breaks it is
 * corrupt. `done` comes last: it refuses what a newer writer says must be understood and was not asked for.
 */
import { FormatError } from './errors.ts';
import { idEntriesMax, integerMax, uint32Max } from './limits.ts';
import { isReplicationId, isSourceName, isUnique } from './names.ts';

/** A replication id and the first offset that it is used for. */
export interface IdEntry {
  readonly id: string;
  readonly offset: number;
}

export class Fields {
  readonly #body: Record<string, unknown>;
  readonly #what: string;
  readonly #known = new Set<string>(['required']);

  constructor(body: Record<string, unknown>, what: string) {
    this.#body = body;
    this.#what = what;
  }

  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  uint(key: string, max = integerMax, min = 0): number {
    const value = this.#get(key);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) this.#fail(key);
    return value;
  }

  uint32(key: string): number {
    return this.uint(key, uint32Max);
  }

  timeline(): number {
    return this.uint('timeline', uint32Max, 1);
  }

  text(key: string): string {
    const value = this.#get(key);
    if (typeof value !== 'string') this.#fail(key);
    return value;
  }

  /** Text that passes `check`. */
  textThat(key: string, check: (text: string) => boolean): string {
    const value = this.text(key);
    if (!check(value)) this.#fail(key);
    return value;
  }

  oneOf<T extends string>(key: string, allowed: readonly T[]): T {
    const value = allowed.find((one) => one === this.#get(key));
    if (value === undefined) this.#fail(key);
    return value;
  }

  id(): string {
    return this.textThat('id', isReplicationId);
  }

  source(): string {
    return this.textThat('source', isSourceName);
  }

  unique(key: string): string {
    return this.textThat(key, isUnique);
  }

  /** A copy: what was decoded still refers to the bytes of the whole file. */
  bytes(key: string): Buffer {
    const value = this.#get(key);
    if (!(value instanceof Uint8Array)) this.#fail(key);
    return Buffer.from(value);
  }

  array(key: string): readonly unknown[] {
    const value = this.#get(key);
    if (!Array.isArray(value)) this.#fail(key);
    return value;
  }

  map(key: string): Fields {
    return new Fields(this.#object(key), `${this.#what} ${key}`);
  }

  texts(key: string): Record<string, string> {
    const texts: Record<string, string> = {};
    for (const [name, text] of Object.entries(this.#object(key))) {
      if (typeof text !== 'string') this.#fail(key);
      texts[name] = text;
    }
    return texts;
  }

  /** `ids`: [id, offset] pairs, at least one, offsets not going back. */
  ids(): IdEntry[] {
    const pairs = this.array('ids');
    if (pairs.length < 1 || pairs.length > idEntriesMax) this.#fail('ids');
    let least = 0;
    return pairs.map((pair) => {
      const [id, offset] = this.#row('ids', pair, 2);
      if (typeof id !== 'string' || !isReplicationId(id) || !isUint(offset) || offset < least) this.#fail('ids');
      least = offset;
      return { id, offset };
    });
  }

  /** `key`: an array of rows of `width` unsigned integers. */
  rows(key: string, width: number): number[][] {
    return this.array(key).map((row) => this.#uints(key, row, width));
  }

  /** `key`: one such row. */
  uints(key: string, width: number): number[] {
    return this.#uints(key, this.#get(key), width);
  }

  /** To be called when every key that this version knows has been read. */
  done(): void {
    if (!Object.hasOwn(this.#body, 'required')) return;
    for (const key of this.array('required')) {
      if (typeof key !== 'string') this.#fail('required');
      if (!this.#known.has(key)) throw new FormatError('unsupported', `${this.#what} needs ${JSON.stringify(key)}`);
    }
  }

  #get(key: string): unknown {
    this.#known.add(key);
    return Object.hasOwn(this.#body, key) ? this.#body[key] : undefined;
  }

  #object(key: string): Record<string, unknown> {
    const value = this.#get(key);
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      this.#fail(key);
    }
    return value as Record<string, unknown>;
  }

  #uints(key: string, row: unknown, width: number): number[] {
    return this.#row(key, row, width).map((value) => (isUint(value) ? value : this.#fail(key)));
  }

  #row(key: string, row: unknown, width: number): readonly unknown[] {
    if (!Array.isArray(row) || row.length !== width) this.#fail(key);
    return row;
  }

  #fail(key: string): never {
    throw new FormatError('corrupt', `${this.#what}: ${key} is missing or malformed`);
  }
}

export function isUint(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
