/**
 * An export as commands that a server takes: as RESP for `redis-cli --pipe`, or as an append-only file. Each is as it was in
 * the stream, in its db: a SELECT comes first, and wherever the db changes. What belongs to one MULTI stays in one, without
 * those of its commands that were not asked for; of a MULTI with none left there is nothing. What else replication needs
 * for itself (PING, REPLCONF, the SELECTs of the stream) is left out.
 */
import type { FoundCommand } from '../../inspect/find.ts';
import type { ArgumentPart } from '../../redis/argument-parts.ts';
import { nameOf } from '../../redis/command-reader.ts';
import { encodeCommand } from '../../redis/commands-out.ts';
import { usesMultiPartAof } from '../../redis/server-version.ts';
import { sourceServer } from '../../restore/plan/plan.ts';
import type { CommandRows, Piece } from './rows.ts';

const upkeep: ReadonlySet<string> = new Set(['SELECT', 'PING', 'REPLCONF', 'MULTI', 'EXEC', 'DISCARD']);
const lineEnd = '\r\n';
const microsPerSecond = 1_000_000;

export class CommandsOut implements CommandRows {
  readonly heading = '';
  readonly #isAof: boolean;
  #db: number | undefined;
  #isInMulti = false;
  #second = 0;

  constructor(form: 'resp' | 'aof') {
    this.#isAof = form === 'aof';
  }

  get isWhole(): boolean {
    return !this.#isInMulti;
  }

  before(found: FoundCommand): Piece[] | undefined {
    const { command } = found;
    const name = nameOf(command);
    if (name === 'EXEC' && this.#isInMulti) {
      this.#isInMulti = false;
      return [encodeCommand('EXEC')];
    }
    if (upkeep.has(name)) return undefined;
    const pieces: Piece[] = [];
    if (!this.#isInMulti) pieces.push(this.#timestamp(found));
    if (this.#db !== command.db) pieces.push(encodeCommand('SELECT', String(command.db)));
    this.#db = command.db;
    if (command.inMulti && !this.#isInMulti) pieces.push(encodeCommand('MULTI'));
    this.#isInMulti = command.inMulti;
    const [called = Buffer.from(name)] = command.args;
    pieces.push(`*${command.argumentCount}${lineEnd}`, ...this.argument(wholeArgument(called)));
    return pieces;
  }

  argument({ length, from, bytes }: ArgumentPart): Piece[] {
    const head = from === 0 ? [`$${length}${lineEnd}`] : [];
    return [...head, bytes, ...(from + bytes.length === length ? [lineEnd] : [])];
  }

  behind(): Piece[] {
    return [];
  }

  notice(): undefined {}

  /** What `redis-check-aof --truncate-to-timestamp` goes by; servers before 7.0 do not load a file that has it. */
  #timestamp({ timeline, stamp }: FoundCommand): Piece {
    const server = sourceServer(timeline);
    const second = Math.floor(stamp / microsPerSecond);
    if (!this.#isAof || second === this.#second || server === undefined || !usesMultiPartAof(server)) return '';
    this.#second = second;
    return `#TS:${second}${lineEnd}`;
  }
}

function wholeArgument(bytes: Buffer): ArgumentPart {
  return { index: 0, length: bytes.length, from: 0, bytes };
}
