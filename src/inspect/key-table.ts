/**
 * What keys two datasets have, to be compared when both are known: in memory as long as that is little, then in files, by
 * parts, of which no key is in two. So no more is held than a part of both, however many keys there are.
 */
import { join } from 'node:path';
import type { Disk } from '../storage/disk.ts';

export type Side = 'before' | 'after';

export interface KeyFacts {
  readonly db: number;
  readonly key: Buffer;
  /** In ms since the epoch; 0: never. */
  readonly endsMs: number;
  readonly type: string;
  /** Of the value, 16 bytes. */
  readonly digest: Buffer;
  /** The digest is of the value itself, not only of one way to write it down. */
  readonly isExact: boolean;
}

export interface KeyPair {
  readonly before: KeyFacts | undefined;
  readonly after: KeyFacts | undefined;
}

const partCount = 256;
const heldBytesDefault = 4 * 1024 * 1024;
const partBytesLeast = 4096;
/** Made of what is held at a time: as bytes a key takes a tenth of what it takes as objects. */
const pairsTogether = 1000;
const digestBytes = 16;
/** Length of the key, db, expiry, type, whether the digest is exact, and the digest. */
const headBytes = 4 + 4 + 8 + 1 + 1 + digestBytes;
const types = ['', 'string', 'list', 'set', 'zset', 'hash', 'stream'];
const noBytes = Buffer.alloc(0);

class Part {
  fileBytes = 0;
  #bytes: Buffer = noBytes;
  #length = 0;

  /** What is not in a file. */
  get held(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Returns how many bytes it takes. */
  add(facts: KeyFacts): number {
    const bytes = headBytes + facts.key.length;
    if (this.#length + bytes > this.#bytes.length) {
      const room = Buffer.allocUnsafeSlow(Math.max(partBytesLeast, 2 * this.#bytes.length, this.#length + bytes));
      this.held.copy(room);
      this.#bytes = room;
    }
    encode(facts, this.#bytes, this.#length);
    this.#length += bytes;
    return bytes;
  }

  /** What was held is in the file. */
  spilled(): void {
    this.fileBytes += this.#length;
    this.#length = 0;
  }
}

export class KeyTable {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #parts: Readonly<Record<Side, readonly Part[]>> = { before: newParts(), after: newParts() };
  readonly #heldBytesMax: number;
  #heldBytes = 0;

  /** Files are made in the directory, if any; it is the caller's. */
  constructor(disk: Disk, directory: string, heldBytesMax = heldBytesDefault) {
    this.#disk = disk;
    this.#directory = directory;
    this.#heldBytesMax = heldBytesMax;
  }

  add(side: Side, facts: KeyFacts): void {
    const part = this.#parts[side][partOf(facts.key)];
    if (part === undefined) throw new RangeError('no part for a key');
    this.#heldBytes += part.add(facts);
  }

  /** Before more is added, spill() is to be called. */
  get isFull(): boolean {
    return this.#heldBytes > this.#heldBytesMax;
  }

  /** Into files. */
  async spill(): Promise<void> {
    for (const side of ['before', 'after'] as const) {
      for (const [index, part] of this.#parts[side].entries()) {
        if (part.held.length === 0) continue;
        const path = this.#path(side, index);
        await using file = await (part.fileBytes === 0 ? this.#disk.create(path) : this.#disk.open(path, 'write'));
        await file.write([part.held], part.fileBytes);
        part.spilled();
      }
    }
    this.#heldBytes = 0;
  }

  /**
   * Each key that one of the sides has, once, some at a time: in order of dbs and keys, of all of them where they were held
   * in memory, else of each part. Then nothing more is added.
   */
  async *pairs(): AsyncGenerator<readonly KeyPair[], void, undefined> {
    const isSmall = this.#parts.before.concat(this.#parts.after).every(({ fileBytes }) => fileBytes === 0);
    const indices = [...Array(partCount).keys()];
    for (const group of isSmall ? [indices] : indices.map((i) => [i])) {
      yield* pairsOf({ before: await this.#bytes('before', group), after: await this.#bytes('after', group) });
    }
  }

  async #bytes(side: Side, indices: readonly number[]): Promise<Buffer> {
    const all: Buffer[] = [];
    for (const index of indices) {
      const part = this.#parts[side][index];
      if (part === undefined) throw new RangeError(`no part ${index}`);
      if (part.fileBytes > 0) all.push(await this.#fileBytes(side, index, part.fileBytes));
      all.push(part.held);
    }
    return Buffer.concat(all);
  }

  async #fileBytes(side: Side, index: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    await using file = await this.#disk.open(this.#path(side, index), 'read');
    const read = await file.read(bytes, 0);
    if (read < length) throw new RangeError(`${file.path} ends at ${read} of ${length} bytes`);
    return bytes;
  }

  #path(side: Side, index: number): string {
    return join(this.#directory, `${side}-${index}`);
  }
}

/** Where both sides of a key are in the bytes of theirs; −1: not there. */
type Places = Record<Side, number>;

function* pairsOf(bytes: Readonly<Record<Side, Buffer>>): Generator<readonly KeyPair[], void, undefined> {
  const found = new Map<string, Places>();
  for (const side of ['before', 'after'] as const) {
    for (let at = 0; at < bytes[side].length; at = endAt(bytes[side], at)) {
      // The db, then the key.
      const name =
        bytes[side].toString('latin1', at + 4, at + 8) +
        bytes[side].toString('latin1', at + headBytes, endAt(bytes[side], at));
      const places = found.get(name);
      if (places === undefined) found.set(name, { before: -1, after: -1, [side]: at });
      else places[side] = at;
    }
  }
  const sorted = [...found.values()].sort((a, b) => comparePlaces(bytes, a, b));
  found.clear();
  for (let from = 0; from === 0 || from < sorted.length; from += pairsTogether) {
    yield sorted.slice(from, from + pairsTogether).map(({ before, after }) => ({
      before: before < 0 ? undefined : decode(bytes.before, before),
      after: after < 0 ? undefined : decode(bytes.after, after),
    }));
  }
}

function comparePlaces({ before, after }: Readonly<Record<Side, Buffer>>, a: Places, b: Places): number {
  const [one, oneAt] = a.before < 0 ? [after, a.after] : [before, a.before];
  const [other, otherAt] = b.before < 0 ? [after, b.after] : [before, b.before];
  const byDb = one.readUInt32LE(oneAt + 4) - other.readUInt32LE(otherAt + 4);
  if (byDb !== 0) return byDb;
  return one.compare(other, otherAt + headBytes, endAt(other, otherAt), oneAt + headBytes, endAt(one, oneAt));
}

function newParts(): Part[] {
  return Array.from({ length: partCount }, () => new Part());
}

function partOf(key: Buffer): number {
  let hash = key.length;
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 13) % partCount;
}

function encode({ db, key, endsMs, type, digest, isExact }: KeyFacts, into: Buffer, at: number): void {
  into.writeUInt32LE(key.length, at);
  into.writeUInt32LE(db, at + 4);
  into.writeDoubleLE(endsMs, at + 8);
  into.writeUInt8(Math.max(0, types.indexOf(type)), at + 16);
  into.writeUInt8(isExact ? 1 : 0, at + 17);
  digest.copy(into, at + 18, 0, digestBytes);
  key.copy(into, at + headBytes);
}

function endAt(bytes: Buffer, at: number): number {
  return at + headBytes + bytes.readUInt32LE(at);
}

function decode(bytes: Buffer, at: number): KeyFacts {
  const keyAt = at + headBytes;
  return {
    db: bytes.readUInt32LE(at + 4),
    endsMs: bytes.readDoubleLE(at + 8),
    type: types[bytes.readUInt8(at + 16)] ?? '',
    isExact: bytes.readUInt8(at + 17) === 1,
    digest: bytes.subarray(at + 18, keyAt),
    key: bytes.subarray(keyAt, endAt(bytes, at)),
  };
}
