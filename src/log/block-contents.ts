/**
 * Which commands are in each block of a segment, and which keys they name: what its filters say (SPEC.md 7). Fed with the
 * stream bytes and with where blocks end; tells of one block after the other, in order. Neighbours: filters-maker.ts makes
 * filters of it, verify-filters.ts holds it against them.
 *
 * A command belongs to every block that has a byte of it. What it names is known when its last byte has come, so the
 * blocks that it reaches into wait for that:
 *
 *   blocks     |     head     |   middle   |   middle   |    current     |
 *   commands   … c |  d |                 straddler                | e | f …
 *
 * Only the head has commands of its own besides; those in the middle have the straddler alone, however many they are. So
 * what is held is three sets of keys, each of them bounded.
 */
import { KeySet } from '../../journal-format/key-set.ts';
import { blockNamesMax, keySetKeysMax } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';

/** Told of the commands in the stream: of each first its keys, then itself. */
export interface CommandSink {
  /** The two halves of a key's hash; the same one may come again. */
  key(high: number, low: number): void;
  /** It may touch keys that it does not name. */
  anyKey(): void;
  /** Its last byte, and what is selected behind it; the name is undefined when it cannot be kept. */
  command(name: string | undefined, end: Offset, db: number, inMulti: boolean): void;
}

/** What there is to know of commands. Handed in by the composition root: the log is one of bytes and knows none. */
export interface KnownCommands {
  /** How keys are told from other arguments; see Filters. */
  readonly rule: number;
  /** Takes stream bytes from a boundary on. IntegrityError when they are no commands. */
  scan(state: { readonly offset: Offset; readonly db: number }, sink: CommandSink): { push(bytes: Buffer): void };
}

/** Good only while it is told of. */
export interface BlockContent {
  readonly first: Offset;
  readonly db: number;
  readonly inMulti: boolean;
  /** Undefined: any. */
  readonly names: ReadonlySet<string> | undefined;
  readonly keys: KeySet | undefined;
}

export class BlockContents implements CommandSink {
  readonly #scan: { push(bytes: Buffer): void };
  readonly #tell: (block: BlockContent) => void;
  #current = new Found();
  /** The block that a command reaches out of, and the ends of those that are in the middle of it. */
  #head: Found | undefined;
  #middle: { readonly end: Offset; readonly isEmpty: boolean }[] = [];
  #straddler = new Found();
  #spare = new Found();
  /** The end of the last block, and of the last command. */
  #blockEnd: Offset;
  #end: Offset;
  #db: number;
  #inMulti = false;

  /** `state` is what a segment begins with: its first byte follows a boundary. */
  constructor(
    known: KnownCommands,
    state: { readonly offset: Offset; readonly db: number },
    tell: (block: BlockContent) => void,
  ) {
    this.#tell = tell;
    this.#blockEnd = state.offset;
    this.#end = state.offset;
    this.#db = state.db;
    this.#scan = known.scan(state, this);
    this.#beginBlock();
  }

  push(bytes: Buffer): void {
    this.#scan.push(bytes);
  }

  /** All bytes that were pushed since the last one are a block, up to `end`. The last block ends at a boundary. */
  endBlock(end: Offset): void {
    const isEmpty = end === this.#blockEnd;
    const block = this.#current;
    this.#blockEnd = end;
    block.closeAt(end);
    if (this.#head !== undefined) {
      this.#middle.push({ end, isEmpty });
    } else if (this.#end < end) {
      this.#head = block;
      this.#current = this.#spare;
    } else {
      this.#tell(block.content);
    }
    this.#beginBlock();
  }

  key(high: number, low: number): void {
    this.#target.keys.add(high, low);
  }

  anyKey(): void {
    this.#target.isAnyKey = true;
  }

  command(name: string | undefined, end: Offset, db: number, inMulti: boolean): void {
    this.#target.addName(name);
    if (this.#head !== undefined) this.#endStraddler(this.#head);
    this.#end = end;
    this.#db = db;
    this.#inMulti = inMulti;
    this.#current.beginAt(end + 1, db, inMulti);
  }

  /** What the command that is being told of belongs to. */
  get #target(): Found {
    return this.#head === undefined ? this.#current : this.#straddler;
  }

  #beginBlock(): void {
    this.#current.clear();
    if (this.#end === this.#blockEnd) this.#current.beginAt(this.#end + 1, this.#db, this.#inMulti);
  }

  #endStraddler(head: Found): void {
    const straddler = this.#straddler;
    head.addAll(straddler);
    this.#tell(head.content);
    for (const { end, isEmpty } of this.#middle) {
      head.clear();
      if (!isEmpty) head.addAll(straddler);
      head.closeAt(end);
      this.#tell(head.content);
    }
    this.#current.addAll(straddler);
    straddler.clear();
    this.#spare = head;
    this.#head = undefined;
    this.#middle = [];
  }
}

/** What was found in one block so far. */
class Found {
  readonly keys = new KeySet(keySetKeysMax);
  readonly #names = new Set<string>();
  #lastName: string | undefined;
  isAnyKey = false;
  #isAnyName = false;
  #first: Offset | undefined;
  #db = 0;
  #inMulti = false;

  get content(): BlockContent {
    return {
      first: this.#first ?? 0,
      db: this.#db,
      inMulti: this.#inMulti,
      names: this.#isAnyName ? undefined : this.#names,
      keys: this.isAnyKey || this.keys.isFull ? undefined : this.keys,
    };
  }

  clear(): void {
    this.keys.clear();
    this.#names.clear();
    this.#lastName = undefined;
    this.isAnyKey = false;
    this.#isAnyName = false;
    this.#first = undefined;
  }

  /** Where its first command begins; later ones change nothing. */
  beginAt(first: Offset, db: number, inMulti: boolean): void {
    if (this.#first !== undefined) return;
    this.#first = first;
    this.#db = db;
    this.#inMulti = inMulti;
  }

  closeAt(end: Offset): void {
    if (this.#first !== undefined && this.#first <= end) return;
    this.#first = end + 1;
    this.#db = 0;
    this.#inMulti = false;
  }

  addName(name: string | undefined): void {
    if (name !== undefined && name === this.#lastName) return;
    if (name === undefined || this.#names.size === blockNamesMax) this.#isAnyName = true;
    else this.#names.add(name);
    this.#lastName = name;
  }

  addAll(other: Found): void {
    this.keys.addAll(other.keys);
    for (const name of other.#names) this.addName(name);
    this.isAnyKey ||= other.isAnyKey || other.keys.isFull;
    this.#isAnyName ||= other.#isAnyName;
  }
}
