/**
 * Commands on a pipe, ready for `redis-cli --pipe`: what a running server takes. They cannot be taken back, so nothing is
 * kept out of sight; a pipe that ends early is told by the exit code.
 */
import { tmpdir } from 'node:os';
import { dumpCommands } from '../../scratch/dump-commands.ts';
import type { DumpCommand } from '../../scratch/dump-commands.ts';
import { Assembler } from '../rewrite/assembler.ts';
import { countSaved } from './filter-saved.ts';
import type { RestoreOutput, RestoreSource, Written } from './output.ts';

export type WriteBytes = (bytes: Buffer) => Promise<void>;

export class RespOutput implements RestoreOutput {
  readonly to = 'resp:-';
  readonly #send: WriteBytes;
  readonly #signal: AbortSignal;

  /** `send` resolves when more may come. */
  constructor(send: WriteBytes, signal: AbortSignal) {
    this.#send = send;
    this.#signal = signal;
  }

  get scratchParent(): string {
    return tmpdir();
  }

  async write({ disk, plan, dataset }: RestoreSource): Promise<Written> {
    if (dataset === undefined) throw new RangeError('commands come from a scratch server, and the plan has none');
    const { selection } = plan;
    // Counted first: names that collide are refused before anything has been sent.
    const picked = selection === undefined ? undefined : await countSaved(disk, await dataset.save(), selection);
    const count = { keys: 0, left: 0 };
    let bytes = 0;
    for await (const commands of dumpCommands(dataset, count, this.#signal, selection)) {
      for (const piece of encoded(commands)) {
        await this.#send(piece);
        bytes += piece.length;
      }
    }
    const left = picked === undefined ? count.left : Math.max(0, picked.taken - count.keys);
    const warnings = left === 0 ? [] : [`${left} keys whose time has passed are left out`];
    return { files: [], bytes, isBaseClone: false, warnings, picked };
  }

  async publish(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** What is large in them is not copied. */
function encoded(commands: readonly DumpCommand[]): Buffer[] {
  const out = new Assembler();
  for (const words of commands) {
    out.text(`*${words.length}\r\n`);
    for (const word of words) {
      out.text(`$${word.length}\r\n`);
      if (typeof word === 'string') out.text(word);
      else out.bytes(word);
      out.text('\r\n');
    }
  }
  return out.finish();
}
