/**
 * Redis 7.4 to 8.x lets HPERSIST pass over fields that have elapsed, over a replication link too, where every other command
 * finds them (measured on 8.0.2; Valkey 9.1.2 has no such exception). Replayed later than it was written, it would leave
 * the fields with the time that they had. So they are given a later one first:
 *
 *   HPERSIST k FIELDS n f…      HPEXPIREAT k <far ahead> FIELDS n f… · HPERSIST k FIELDS n f…
 *
 * All else goes through byte for byte. What is held back is only a command that may be this one.
 */
import type { Offset } from '../../core/position.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import { CommandReader, nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { hashFieldExpiryMsMax } from '../../redis/server-version.ts';
import { Assembler } from './assembler.ts';
import { ByteWindow } from './byte-window.ts';
import { bulkBytes, head } from './relative-ttl.ts';

const keepBytes = 64;
const nameBytes = 'HPERSIST'.length;
/** Count, length and name fit in here. */
const headBytes = 64;
const farAhead = `$14\r\n${hashFieldExpiryMsMax}\r\n`;

export class ReplayedHpersist {
  readonly #reader: CommandReader;
  readonly #held: ByteWindow;

  /** `state` is the boundary that the first bytes follow. */
  constructor(state: ScannerState) {
    this.#reader = new CommandReader(state, { keepBytes, isWanted });
    this.#held = new ByteWindow(state.offset + 1);
  }

  /** What the bytes come to, with what was held back before them. */
  push(bytes: Buffer): Buffer[] {
    const out = new Assembler();
    this.#held.append(bytes);
    this.#reader.push(bytes);
    for (let command = this.#reader.next(); command !== undefined; command = this.#reader.next()) {
      if (command.args[0]?.length !== nameBytes || nameOf(command) !== 'HPERSIST') continue;
      this.#pass(command.start - 1, out);
      this.#giveLaterTime(command, out);
    }
    this.#pass(this.#reader.end, out);
    if (!mayBeHpersist(this.#held.peek(headBytes))) this.#pass(this.#held.end, out);
    return out.finish();
  }

  #giveLaterTime({ start, end, args, argumentCount, shortened }: StreamCommand, out: Assembler): void {
    const key = start + head(argumentCount).length + bulkBytes(nameBytes);
    const behind = key + bulkBytes(shortened?.get(1) ?? args[1]?.length ?? 0);
    out.text(`${head(argumentCount + 1)}$10\r\nHPEXPIREAT\r\n`);
    for (const bytes of this.#held.slice(key, behind - 1)) out.bytes(bytes);
    out.text(farAhead);
    for (const bytes of this.#held.slice(behind, end)) out.bytes(bytes);
  }

  #pass(to: Offset, out: Assembler): void {
    if (to < this.#held.start) return;
    for (const bytes of this.#held.take(to)) out.bytes(bytes);
  }
}

function isWanted(_bytes: Buffer, _at: number, length: number): boolean {
  return length === nameBytes;
}

/** Judges by what there is of a command so far; nothing at all may not become one. */
function mayBeHpersist(start: Buffer): boolean {
  if (start.length === 0) return false;
  const found = /^\*\d+\r\n\$\d+\r\n([^\r]*)\r/.exec(start.toString('latin1'));
  return found === null ? start.length < headBytes : /^HPERSIST$/i.test(found[1] ?? '');
}
