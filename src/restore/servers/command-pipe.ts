/**
 * Commands on their way to a server, many at once, each answer looked at: no more under way than a few megabytes (or one
 * command that is larger) or some thousand commands, and the first error ends it.
 */
import { JournalError, LinkError } from '../../core/errors.ts';
import { printable } from '../../redis/refusals.ts';

const underWayBytesMax = 16 * 1024 * 1024;
/** Each takes a kilobyte or two here, however small it is. */
const underWayCommandsMax = 4096;
const shownKeyBytes = 60;

export class CommandPipe {
  /** All that was sent. */
  bytes = 0;
  /** Commands that were done, SELECT aside. */
  answered = 0;
  readonly #write: (args: readonly Buffer[]) => Promise<unknown>;
  readonly #batches: { readonly bytes: number; readonly commands: number; readonly done: Promise<void> }[] = [];
  #bytesUnderWay = 0;
  #commandsUnderWay = 0;
  #db = '0';

  /** `write` sends a command, and rejects with an error reply, or with what that means. */
  constructor(write: (args: readonly Buffer[]) => Promise<unknown>) {
    this.#write = write;
  }

  /** Whole commands, encoded. Resolves when more may come. */
  async send(bytes: Buffer): Promise<void> {
    const commands = commandsIn(bytes).map((args) => this.#one(args));
    const done = Promise.all(commands).then(() => undefined);
    // Whoever waits for it is told.
    done.catch(() => undefined);
    this.#batches.push({ bytes: bytes.length, commands: commands.length, done });
    this.#bytesUnderWay += bytes.length;
    this.#commandsUnderWay += commands.length;
    this.bytes += bytes.length;
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

  async #one(args: readonly Buffer[]): Promise<void> {
    const name = args[0]?.toString('latin1') ?? '';
    if (name === 'SELECT') this.#db = args[1]?.toString('latin1') ?? '';
    const db = this.#db;
    try {
      await this.#write(args);
      if (name !== 'SELECT') this.answered += 1;
    } catch (error) {
      throw error instanceof JournalError ? error : refusal(name, db, args[1], error);
    }
  }
}

function refusal(name: string, db: string, key: Buffer | undefined, error: unknown): LinkError {
  const reply = printable(error instanceof Error ? error.message : String(error));
  const shown = printable(key?.toString('latin1', 0, shownKeyBytes) ?? '');
  const what = name === 'RESTORE' ? `RESTORE of the key '${shown}' of db ${db}` : name;
  const isPermission = /^NOPERM\b/.test(reply);
  return new LinkError(isPermission ? 'target-permission' : 'target-refused', `${what} failed: ${reply}`, 'never', {
    exitCode: isPermission ? 10 : 11,
    cause: error,
  });
}

/** Of arrays of bulk strings that we have made ourselves. */
function commandsIn(bytes: Buffer): Buffer[][] {
  const commands: Buffer[][] = [];
  let at = 0;
  const number = (): number => {
    const end = bytes.indexOf('\r\n', at);
    const value = Number(bytes.toString('latin1', at + 1, end));
    at = end + 2;
    return value;
  };
  while (at < bytes.length) {
    const args: Buffer[] = [];
    for (let left = number(); left > 0; left -= 1) {
      const length = number();
      args.push(bytes.subarray(at, at + length));
      at += length + 2;
    }
    commands.push(args);
  }
  return commands;
}
