/**
 * Commands on their way to a server, many at once, each answer looked at: no more under way than a few megabytes (or one
 * command that is larger) or some thousand commands, and the first error ends it.
 */
import { JournalError, LinkError } from '../../core/errors.ts';
import { printable } from '../../redis/refusals.ts';
import type { DumpCommand } from '../../scratch/dump-commands.ts';

const underWayBytesMax = 16 * 1024 * 1024;
/** Each takes a kilobyte or two here, however small it is. */
const underWayCommandsMax = 4096;
const shownKeyBytes = 60;

export class CommandPipe {
  /** All that was sent. */
  bytes = 0;
  /** Commands that were done, SELECT aside. */
  answered = 0;
  readonly #write: (words: DumpCommand) => Promise<unknown>;
  readonly #batches: { readonly bytes: number; readonly commands: number; readonly done: Promise<void> }[] = [];
  #bytesUnderWay = 0;
  #commandsUnderWay = 0;
  #db = '0';

  /** `write` sends a command, and rejects with an error reply, or with what that means. */
  constructor(write: (words: DumpCommand) => Promise<unknown>) {
    this.#write = write;
  }

  /** Resolves when more may come. */
  async send(commands: readonly DumpCommand[]): Promise<void> {
    const bytes = commands.reduce((sum, words) => sum + bytesOf(words), 0);
    const done = Promise.all(commands.map((words) => this.#one(words))).then(() => undefined);
    // Whoever waits for it is told.
    done.catch(() => undefined);
    this.#batches.push({ bytes, commands: commands.length, done });
    this.#bytesUnderWay += bytes;
    this.#commandsUnderWay += commands.length;
    this.bytes += bytes;
    while (this.#bytesUnderWay > underWayBytesMax || this.#commandsUnderWay > underWayCommandsMax) await this.#oldest();
  }

  /** Resolves when all were answered. */
  async finish(): Promise<void> {
    while (this.#batches.length > 0) await this.#oldest();
  }

  async #oldest(): Promise<void> {
    const batch = this.#batches.shift();
    if (batch === undefined) return;
    await batch.done;
    this.#bytesUnderWay -= batch.bytes;
    this.#commandsUnderWay -= batch.commands;
  }

  async #one(words: DumpCommand): Promise<void> {
    const [name = '', key = ''] = words;
    if (name === 'SELECT') this.#db = String(key);
    const db = this.#db;
    try {
      await this.#write(words);
      if (name !== 'SELECT') this.answered += 1;
    } catch (error) {
      throw error instanceof JournalError ? error : refusal(String(name), db, key, error);
    }
  }
}

function refusal(name: string, db: string, key: string | Buffer, error: unknown): LinkError {
  const reply = printable(error instanceof Error ? error.message : String(error));
  const shown = printable(Buffer.from(key).toString('latin1', 0, shownKeyBytes));
  const what = name === 'RESTORE' ? `RESTORE of the key '${shown}' of db ${db}` : name;
  const isPermission = /^NOPERM\b/.test(reply);
  return new LinkError(isPermission ? 'target-permission' : 'target-refused', `${what} failed: ${reply}`, 'never', {
    exitCode: isPermission ? 10 : 11,
    cause: error,
  });
}

/** As a RESP array. */
function bytesOf(words: DumpCommand): number {
  const framed = (length: number): number => String(length).length + length + 5;
  return words.reduce((sum, { length }) => sum + framed(length), String(words.length).length + 3);
}
