// What really happened: one history of a primary, byte by byte, with the state at each boundary. The journal is judged
// by it. A promotion forks it: both sides share what is before, and go on for themselves.
// Invariant: append-only; a unit is one command, or all of a MULTI … EXEC, and ends at a boundary.
import type { Micros } from '../../src/core/clock.ts';
import type { Offset } from '../../src/core/position.ts';
import { Engine, copyOf, encode } from './dataset.ts';
import type { Command, Dataset } from './dataset.ts';

interface Unit {
  readonly end: Offset;
  /** When it was written, in the world's time. */
  readonly at: Micros;
  readonly commands: readonly Command[];
}

export class History {
  /** Offset of the state that it begins with. */
  readonly start: Offset;
  readonly #initial: Dataset;
  readonly #initialDb: number;
  readonly #units: Unit[];
  #bytes: Buffer;
  #length: number;
  readonly #now: Engine;

  constructor(
    start: Offset,
    initial: Dataset,
    initialDb = 0,
    units: readonly Unit[] = [],
    bytes: Buffer = Buffer.alloc(0),
  ) {
    this.start = start;
    this.#initial = copyOf(initial);
    this.#initialDb = initialDb;
    this.#units = [...units];
    this.#bytes = Buffer.from(bytes);
    this.#length = bytes.length;
    this.#now = this.#replay(this.#units);
  }

  get end(): Offset {
    return this.start + this.#length;
  }

  /** The state at the end. */
  get state(): Dataset {
    return this.#now.dataset;
  }

  /** A unit at once; gives its bytes. */
  append(at: Micros, ...commands: Command[]): Buffer {
    const bytes = Buffer.concat(commands.map(encode));
    if (this.#length + bytes.length > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(this.#length + bytes.length)]);
    }
    bytes.copy(this.#bytes, this.#length);
    this.#length += bytes.length;
    this.#units.push({ end: this.end, at, commands });
    for (const command of commands) this.#now.execute(command);
    return bytes;
  }

  /** Bytes `from` to `to`, both included. */
  bytes(from: Offset, to: Offset): Buffer {
    if (from <= this.start || to > this.end) throw new RangeError(`${from}–${to} is not in ${this.start}–${this.end}`);
    return this.#bytes.subarray(from - this.start - 1, to - this.start);
  }

  /** The last boundary at or before the offset. */
  boundary(offset: Offset): Offset {
    return this.#units.findLast(({ end }) => end <= offset)?.end ?? this.start;
  }

  /** The first boundary behind the offset. */
  boundaryBehind(offset: Offset): Offset | undefined {
    return this.#units.find(({ end }) => end > offset)?.end;
  }

  /** How far it had been written by then, in the world's time. */
  writtenBy(at: Micros): Offset {
    return this.#units.findLast((unit) => unit.at <= at)?.end ?? this.start;
  }

  stateAt(boundary: Offset): Dataset {
    return this.#replay(this.#units.filter(({ end }) => end <= boundary)).dataset;
  }

  /** The same up to a boundary; what comes then is its own. */
  fork(boundary: Offset): History {
    const units = this.#units.filter(({ end }) => end <= boundary);
    return new History(this.start, this.#initial, this.#initialDb, units, this.bytesUpTo(boundary));
  }

  /** Whether both are the same up to there. */
  isLike(other: History, offset: Offset): boolean {
    if (offset > this.end || offset > other.end) return false;
    const from = Math.max(this.start, other.start);
    return from >= offset || this.bytes(from + 1, offset).equals(other.bytes(from + 1, offset));
  }

  bytesUpTo(offset: Offset): Buffer {
    return this.#bytes.subarray(0, offset - this.start);
  }

  #replay(units: readonly Unit[]): Engine {
    const engine = new Engine(copyOf(this.#initial), this.#initialDb);
    for (const { commands } of units) for (const command of commands) engine.execute(command);
    return engine;
  }
}
