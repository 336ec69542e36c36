/**
 * Makes the filters of a segment while it is sealed (SPEC.md 7), out of what block-contents.ts tells of its blocks.
 *
 * Invariant: where anything is in doubt, a filter says that it may be there, or there is none.
 */
import type { BlockFilter, Filters } from '../../journal-format/filters.ts';
import { KeyFilterMaker } from '../../journal-format/key-filter.ts';
import { commandNamesMax } from '../../journal-format/limits.ts';
import { IntegrityError } from '../core/errors.ts';
import { filtersBytesMax } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import { BlockContents } from './block-contents.ts';
import type { BlockContent, KnownCommands } from './block-contents.ts';

/** Each thread makes one filter at a time; the memory for it is kept from segment to segment. */
const keyFilters = new KeyFilterMaker();

export class FiltersMaker {
  readonly #contents: BlockContents;
  readonly #rule: number;
  readonly #blocks: BlockFilter[] = [];
  /** Indexes by name. */
  readonly #names = new Map<string, number>();
  #bytes = 0;
  #ended = 0;
  /** The stream could not be read as commands. */
  #isBroken = false;

  /** `state` is what the segment begins with. */
  constructor(known: KnownCommands, state: { readonly offset: Offset; readonly db: number }) {
    this.#rule = known.rule;
    this.#contents = new BlockContents(known, state, (block) => {
      this.#add(block);
    });
  }

  push(bytes: Buffer): void {
    if (this.#isBroken) return;
    try {
      this.#contents.push(bytes);
    } catch (error) {
      // Whoever looks for something reads every block then, and is told.
      if (!(error instanceof IntegrityError)) throw error;
      this.#isBroken = true;
    }
  }

  endBlock(end: Offset): void {
    this.#ended += 1;
    if (!this.#isBroken) this.#contents.endBlock(end);
  }

  /** Undefined where there can be none: also when the last command did not end with the last block. */
  finish(): Filters | undefined {
    if (this.#isBroken || this.#blocks.length < this.#ended) return undefined;
    return { rule: this.#rule, names: [...this.#names.keys()], blocks: this.#blocks };
  }

  #add({ first, db, inMulti, names, keys }: BlockContent): void {
    const filter = keys === undefined ? undefined : keyFilters.make(keys);
    const fits = this.#bytes + (filter?.length ?? 0) <= filtersBytesMax;
    if (fits) this.#bytes += filter?.length ?? 0;
    this.#blocks.push({ first, db, inMulti, names: names && this.#indexesOf(names), keys: fits ? filter : undefined });
  }

  #indexesOf(names: ReadonlySet<string>): readonly number[] | undefined {
    const indexes: number[] = [];
    for (const name of names) {
      let index = this.#names.get(name);
      if (index === undefined) {
        index = this.#names.size;
        if (index === commandNamesMax) return undefined;
        this.#names.set(name, index);
      }
      indexes.push(index);
    }
    return indexes.sort((a, b) => a - b);
  }
}
