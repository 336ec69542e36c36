/**
 * The filters of a sealed segment against what is in its blocks: nothing that is there may be excluded. That more is said
 * to be there than is costs time only, and a later rule may tell fewer keys: no finding.
 */
import type { Filters } from '../../journal-format/filters.ts';
import { mayHoldAll } from '../../journal-format/key-filter.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import { BlockContents } from './block-contents.ts';
import type { BlockContent, KnownCommands } from './block-contents.ts';
import type { SealedReader } from './segment-reader.ts';
import type { VerifyRun } from './verify-run.ts';

export interface FiltersPlace {
  readonly reader: SealedReader;
  readonly path: string;
  readonly timeline: number;
}

export class FiltersAudit {
  readonly #run: VerifyRun;
  readonly #place: FiltersPlace;
  readonly #filters: Filters;
  readonly #contents: BlockContents;
  readonly #isSameRule: boolean;
  #index = 0;
  /** One finding a segment is enough: where one filter is wrong, the program that made it was. */
  #isTold = false;

  constructor(run: VerifyRun, place: FiltersPlace, filters: Filters, known: KnownCommands) {
    const { start, db } = place.reader.header;
    this.#run = run;
    this.#place = place;
    this.#filters = filters;
    this.#isSameRule = filters.rule === known.rule;
    this.#contents = new BlockContents(known, { offset: start - 1, db }, (block) => {
      this.#check(block);
    });
  }

  push(bytes: Buffer): void {
    if (this.#isTold) return;
    try {
      this.#contents.push(bytes);
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      this.#tell(`there are filters, but the stream cannot be read: ${error.message}`);
    }
  }

  endBlock(end: Offset): void {
    if (!this.#isTold) this.#contents.endBlock(end);
  }

  /** Behind the last block. */
  end(): void {
    if (!this.#isTold && this.#index < this.#filters.blocks.length) this.#tell('the last command is cut');
  }

  #check({ first, db, inMulti, names, keys }: BlockContent): void {
    const filter = this.#filters.blocks[this.#index];
    this.#index += 1;
    if (filter === undefined || this.#isTold) return;
    const said = filter.names && new Set(filter.names.map((index) => this.#filters.names[index]));
    const isRight =
      filter.first === first &&
      filter.db === db &&
      filter.inMulti === inMulti &&
      (said === undefined || (names !== undefined && [...names].every((name) => said.has(name)))) &&
      (!this.#isSameRule || filter.keys === undefined || (keys !== undefined && mayHoldAll(filter.keys, keys)));
    if (!isRight) this.#tell(`they exclude what is in block ${this.#index - 1} (from offset ${first} on)`);
  }

  #tell(what: string): void {
    this.#isTold = true;
    const { path, timeline, reader } = this.#place;
    const position = reader.footer.filters?.position;
    this.#run.findings.add({ kind: 'corrupt', path, timeline, position, message: `the filters are wrong: ${what}` });
  }
}
