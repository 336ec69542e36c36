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
const heldBytesDefault = 32 * 1024 * 1024;
const digestBytes = 16;
/** Length of the key, db, expiry, type, whether the digest is exact, and the digest. */
const headBytes = 4 + 4 + 8 + 1 + 1 + digestBytes;
const types = ['', 'string', 'list', 'set', 'zset', 'hash', 'stream'];

class Part {
  held: Buffer[] = [];
  heldBytes = 0;
  fileBytes = 0;
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

  async add(side: Side, facts: KeyFacts): Promise<void> {
    const bytes = encode(facts);
    const part = this.#parts[side][partOf(facts.key)];
    if (part === undefined) throw new RangeError('no part for a key');
    part.held.push(bytes);
    part.heldBytes += bytes.length;
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > this.#heldBytesMax) await this.#spill();
  }

  /** Each key that one of the sides has, once; in order of dbs and keys within each part. */
  async *pairs(): AsyncGenerator<readonly KeyPair[], void, undefined> {
    const isSmall = this.#parts.before.concat(this.#parts.after).every(({ fileBytes }) => fileBytes === 0);
    const groups = isSmall ? [[...Array(partCount).keys()]] : [...Array(partCount).keys()].map((i) => [i]);
    for (const indices of groups) {
      const found = new Map<string, { before: KeyFacts | undefined; after: KeyFacts | undefined }>();
      for (const side of ['before', 'after'] as const) {
        for (const index of indices) {
          for (const facts of decode(await this.#bytes(side, index))) {
            const name = `${facts.db} ${facts.key.toString('latin1')}`;
            const pair = found.get(name) ?? { before: undefined, after: undefined };
            pair[side] = facts;
            found.set(name, pair);
          }
        }
      }
      yield [...found.values()].sort(comparePairs);
    }
  }

  async #spill(): Promise<void> {
    for (const side of ['before', 'after'] as const) {
      for (const [index, part] of this.#parts[side].entries()) {
        if (part.held.length === 0) continue;
        const path = this.#path(side, index);
        await using file = await (part.fileBytes === 0 ? this.#disk.create(path) : this.#disk.open(path, 'write'));
        await file.write(part.held.splice(0), part.fileBytes);
        part.fileBytes += part.heldBytes;
        part.heldBytes = 0;
      }
    }
    this.#heldBytes = 0;
  }

  async #bytes(side: Side, index: number): Promise<Buffer> {
    const part = this.#parts[side][index];
    if (part === undefined) throw new RangeError(`no part ${index}`);
    const bytes = Buffer.allocUnsafe(part.fileBytes);
    if (part.fileBytes > 0) {
      await using file = await this.#disk.open(this.#path(side, index), 'read');
      const read = await file.read(bytes, 0);
      if (read < bytes.length) throw new RangeError(`${file.path} ends at ${read} of ${bytes.length} bytes`);
    }
    return Buffer.concat([bytes, ...part.held.splice(0)]);
  }

  #path(side: Side, index: number): string {
    return join(this.#directory, `${side}-${index}`);
  }
}

function newParts(): Part[] {
  return Array.from({ length: partCount }, () => new Part());
}

function partOf(key: Buffer): number {
  let hash = key.length;
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 13) % partCount;
}

function encode({ db, key, endsMs, type, digest, isExact }: KeyFacts): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + key.length);
  bytes.writeUInt32LE(key.length, 0);
  bytes.writeUInt32LE(db, 4);
  bytes.writeDoubleLE(endsMs, 8);
  bytes.writeUInt8(Math.max(0, types.indexOf(type)), 16);
  bytes.writeUInt8(isExact ? 1 : 0, 17);
  digest.copy(bytes, 18, 0, digestBytes);
  key.copy(bytes, headBytes);
  return bytes;
}

function* decode(bytes: Buffer): Generator<KeyFacts, void, undefined> {
  for (let at = 0; at < bytes.length;) {
    const keyAt = at + headBytes;
    const end = keyAt + bytes.readUInt32LE(at);
    yield {
      db: bytes.readUInt32LE(at + 4),
      endsMs: bytes.readDoubleLE(at + 8),
      type: types[bytes.readUInt8(at + 16)] ?? '',
      isExact: bytes.readUInt8(at + 17) === 1,
      digest: bytes.subarray(at + 18, keyAt),
      key: bytes.subarray(keyAt, end),
    };
    at = end;
  }
}

function comparePairs(a: KeyPair, b: KeyPair): number {
  const [one, other] = [a.before ?? a.after, b.before ?? b.after];
  if (one === undefined || other === undefined) throw new RangeError('a pair of nothing');
  return one.db - other.db || Buffer.compare(one.key, other.key);
}
