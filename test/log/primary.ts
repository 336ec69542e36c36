// A primary's stream as the log sees it: bytes with boundaries and selected dbs, each a function of the offset, so that
// what was lost can be asked for again, and what is read back can be compared without having been kept.
// Invariant: the same seed gives the same stream, however it is cut into reads.
import { Random } from '../support/random.ts';

interface Command {
  /** Offset of its last byte: a boundary. */
  readonly end: number;
  /** The db selected there. */
  readonly db: number;
}

export class Primary {
  readonly base: number;
  readonly #commands: Command[];
  readonly #random: Random;
  readonly #largest: number;

  /** The stream begins behind offset `base`; commands have up to `largest` bytes, a few of them ten times as many. */
  constructor(base: number, seed: number, largest = 60) {
    this.base = base;
    this.#commands = [{ end: base, db: 0 }];
    this.#random = new Random(seed);
    this.#largest = largest;
  }

  /** Bytes `from` to `to`, both included. */
  bytes(from: number, to: number): Buffer {
    return Buffer.from(Array.from({ length: to - from + 1 }, (_, i) => byteAt(from + i)));
  }

  /** The last boundary at or before `offset`, as the boundary scanner would tell it. */
  markAt(offset: number): { readonly boundary: number; readonly boundaryDb: number } {
    this.#reach(offset);
    const { end, db } = this.#commands.findLast((command) => command.end <= offset) ?? { end: this.base, db: 0 };
    return { boundary: end, boundaryDb: db };
  }

  isBoundary(offset: number): boolean {
    return this.markAt(offset).boundary === offset;
  }

  /** The first boundary behind `offset`. */
  nextBoundary(offset: number): number {
    this.#reach(offset + 1);
    const next = this.#commands.find(({ end }) => end > offset);
    if (next === undefined) throw new Error('the stream was not made that far');
    return next.end;
  }

  #reach(offset: number): void {
    let last = this.#commands.at(-1) ?? { end: this.base, db: 0 };
    while (last.end <= offset) {
      const length = this.#random.between(1, this.#largest) * (this.#random.chance(0.05) ? 10 : 1);
      last = { end: last.end + length, db: this.#random.chance(0.1) ? this.#random.below(16) : last.db };
      this.#commands.push(last);
    }
  }
}

function byteAt(offset: number): number {
  return (Math.imul(offset, 2_654_435_761) >>> 24) & 0xff;
}
