/**
 * Found commands as RESP, byte for byte as they are in the stream, each in its db: a SELECT comes first, and wherever the db
 * changes. What is too large to be held is read once more, piece by piece.
 */
import type { FindEvent, FoundCommand } from '../inspect/find.ts';
import type { Notice } from '../inspect/notices.ts';
import { BlockCache } from '../log/block-cache.ts';
import { readRange } from '../log/read-range.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { nameOf } from '../redis/command-reader.ts';
import { encodeCommand } from '../redis/commands-out.ts';
import { explainGone } from '../restore/locate/locate-removed.ts';
import type { Disk } from '../storage/disk.ts';
import type { TextSender } from './text-sender.ts';

export class RawCommands {
  readonly #disk: Disk;
  readonly #tree: SourceTree;
  readonly #sender: TextSender;
  readonly #tell: (notice: Notice) => void;
  /** Commands that are read once more often lie in one block. */
  readonly #blocks = new BlockCache();
  #db: number | undefined;

  constructor(disk: Disk, tree: SourceTree, sender: TextSender, tell: (notice: Notice) => void) {
    this.#disk = disk;
    this.#tree = tree;
    this.#sender = sender;
    this.#tell = tell;
  }

  /** False: nobody reads any more. */
  async print(event: FindEvent): Promise<boolean> {
    if (event.kind === 'command') return (await this.#select(event)) && (await this.#command(event));
    this.#tell(event);
    return true;
  }

  async #select({ command }: FoundCommand): Promise<boolean> {
    const { db } = command;
    const isThere = this.#db === db;
    this.#db = db;
    if (isThere || nameOf(command) === 'SELECT') return true;
    return this.#sender.send(encodeCommand('SELECT', String(db)));
  }

  async #command({ timeline, command }: FoundCommand): Promise<boolean> {
    const { args, argumentCount, shortened, start, end } = command;
    if (args.length === argumentCount && shortened === undefined) return this.#sender.send(encodeCommand(...args));
    try {
      for await (const { bytes } of readRange(this.#disk, timeline.segments, start, end, this.#blocks)) {
        if (!(await this.#sender.send(bytes))) return false;
      }
      return true;
    } catch (error) {
      throw await explainGone(this.#disk, this.#tree, [timeline.number], error);
    }
  }
}
