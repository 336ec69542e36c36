/**
 * Writes found commands in a format of export, each whole, however large it is: what a search does not hold is read once
 * more, piece by piece. Knows behind which position one can go on.
 */
import { printedArgumentBytesMax } from '../../core/limits.ts';
import type { Position } from '../../core/position.ts';
import type { FindEvent, FoundCommand } from '../../inspect/find.ts';
import { throwIfInterrupted } from '../../inspect/interruption.ts';
import { readRange } from '../../log/read-range.ts';
import { explainGone } from '../../restore/locate/locate-removed.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import { ArgumentParts } from '../../redis/argument-parts.ts';
import type { ArgumentPart } from '../../redis/argument-parts.ts';
import type { Disk } from '../../storage/disk.ts';
import type { Printer } from '../search.ts';
import type { PieceSender } from './piece-sender.ts';
import type { CommandRows } from './rows.ts';

/** Larger arguments come in parts. */
export const heldArgumentBytes = printedArgumentBytesMax;

export interface ExportOptions {
  readonly disk: Disk;
  readonly tree: SourceTree;
  readonly rows: CommandRows;
  readonly sender: PieceSender;
  /** What has no place in the format is told beside it. */
  readonly tell: (event: Exclude<FindEvent, FoundCommand>) => void;
  readonly signal: AbortSignal;
}

export class ExportPrinter implements Printer {
  readonly #options: ExportOptions;
  #isBegun = false;
  /** Of the last command that is written whole, and that everything before was taken by the reader, too. */
  #last: Position | undefined;
  #taken: Position | undefined;

  constructor(options: ExportOptions) {
    this.#options = options;
  }

  /** Up to and including this command the reader was given everything; undefined: no command yet. */
  get taken(): Position | undefined {
    return this.#taken;
  }

  async print(event: FindEvent): Promise<boolean> {
    this.#begin();
    const { sender, rows, tell } = this.#options;
    if (event.kind === 'command') return this.#command(event);
    const row = rows.notice(event);
    if (row === undefined) tell(event);
    else sender.add(row);
    return true;
  }

  async flush(): Promise<boolean> {
    this.#begin();
    const isTaken = await this.#options.sender.flush();
    if (isTaken) this.#taken = this.#last;
    return isTaken;
  }

  #begin(): void {
    if (!this.#isBegun) this.#options.sender.add(this.#options.rows.heading);
    this.#isBegun = true;
  }

  async #command(found: FoundCommand): Promise<boolean> {
    const { rows, sender } = this.#options;
    const before = rows.before(found);
    if (before === undefined) return true;
    for (const piece of before) sender.add(piece);
    const { args, argumentCount, shortened } = found.command;
    if (args.length === argumentCount && shortened === undefined) {
      for (const [index, bytes] of args.entries()) {
        if (index > 0) this.#argument({ index, length: bytes.length, from: 0, bytes });
      }
    } else if (!(await this.#argumentsOf(found))) return false;
    for (const piece of rows.behind(found)) sender.add(piece);
    if (rows.isWhole) this.#last = found.position;
    return !sender.isFull || this.flush();
  }

  async #argumentsOf({ timeline, command: { start, end } }: FoundCommand): Promise<boolean> {
    const { disk, tree, sender, signal } = this.#options;
    const parts = new ArgumentParts(heldArgumentBytes);
    try {
      for await (const { bytes } of readRange(disk, timeline.segments, start, end)) {
        throwIfInterrupted(signal);
        for (const part of parts.push(bytes)) if (part.index > 0) this.#argument(part);
        if (sender.isFull && !(await sender.flush())) return false;
      }
      return true;
    } catch (error) {
      throw await explainGone(disk, tree, [timeline.number], error);
    }
  }

  #argument(part: ArgumentPart): void {
    for (const piece of this.#options.rows.argument(part)) this.#options.sender.add(piece);
  }
}
