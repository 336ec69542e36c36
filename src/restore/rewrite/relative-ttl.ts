/**
 * Makes relative TTLs absolute. Redis up to 6.2 replicates `EXPIRE key 60` as it was given; loaded later, it would count
 * from the loading. What it did count from is, but for the transit time, the stamp of the read that held the command's
 * last byte.
 *
 *   EXPIRE k s · PEXPIRE k ms              PEXPIREAT k t
 *   SETEX k s v · PSETEX k ms v            MULTI · SET k v · PEXPIREAT k t · EXEC         (6.0 knows no SET … PXAT)
 *   SET k v … EX s · PX ms                 the same, with the other options of SET
 *   GETEX k EX s · PX ms                   PEXPIREAT k t
 *   RESTORE k ttl payload …                RESTORE k t payload … ABSTTL
 *
 * Inside a MULTI no other is put around. All else goes through byte for byte.
 */
import { decodeReads } from '../../../journal-format/reads.ts';
import type { Micros } from '../../core/clock.ts';
import type { Offset } from '../../core/position.ts';
import type { RangeChunk } from '../../log/read-range.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import type { CommandGlance } from '../../redis/command-glance.ts';
import { nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import type { LeftOut } from './left-out.ts';
import { stampIn } from '../locate/stamp-in.ts';
import { head, mayBegin, StreamRewriter, takeArgument } from './stream-rewriter.ts';
import type { Rewrite } from './stream-rewriter.ts';

/** Names, options and numbers are short; keys and values are taken from the stream itself. */
const keepBytes = 64;

export class RelativeTtl {
  readonly #rewriter: StreamRewriter;
  /** Of the offset of a command that ends in the chunk that was pushed last. */
  #stampOf: (offset: Offset) => Micros = () => 0;
  #scripts = 0;
  #firstScript: Offset | undefined;

  /** `state` is the boundary that the first chunk follows; of `leftOut` nothing is passed on. */
  constructor(state: ScannerState, leftOut: LeftOut) {
    this.#rewriter = new StreamRewriter(state, {
      ...{ keepBytes, isMatch, leftOut },
      others: 'pass',
      decide: (command) => this.#decide(command),
      holds: (start) => mayBegin(start, isChanged),
    });
  }

  /** What the chunk comes to, with what was held back before it. */
  push({ bytes, frame }: RangeChunk): Buffer[] {
    let reads: ReturnType<typeof decodeReads> | undefined;
    this.#stampOf = (offset) => stampIn((reads ??= decodeReads(frame.meta, frame.header)), offset);
    return this.#rewriter.push(bytes);
  }

  /** To be called when what push() returned is taken: the chunk may go then. */
  letGo(): void {
    this.#rewriter.letGo();
  }

  /** To be asked when all is pushed: what could not be converted. */
  warnings(): string[] {
    if (!this.#rewriter.isSettled) throw new RangeError('the range ends inside a command');
    if (this.#firstScript === undefined) return [];
    const which = `${this.#scripts} scripts were replicated as they are, the first at offset ${this.#firstScript}`;
    return [`${which}: relative TTLs that they set count from when the server loads them`];
  }

  #decide(command: StreamCommand): Rewrite | undefined {
    this.#noteScript(command);
    const change = changeOf(command);
    return change && rewriteOf(change, command, this.#stampOf(command.end));
  }

  #noteScript(command: StreamCommand): void {
    const { length } = command.args[0] ?? noBytes;
    if ((length !== 4 && length !== 7) || !/^EVAL(SHA)?$/.test(nameOf(command))) return;
    this.#scripts += 1;
    this.#firstScript ??= command.end;
  }
}

function isMatch({ bytes, count, at, length }: CommandGlance): boolean {
  const nameBytes = length[0] ?? 0;
  return isCandidate(bytes[at[0] ?? 0] ?? 0, nameBytes) && !(nameBytes === 3 && count === 3);
}

/** Of a command that has that name, whether it may be changed. */
function isChanged(name: string, argumentCount: number): boolean {
  return changedNames.test(name) && !(name === 'SET' && argumentCount === 3);
}

const changedNames = /^(P?EXPIRE|P?SETEX|SET|GETEX|RESTORE(-ASKING)?)$/;
const noBytes: Buffer = Buffer.alloc(0);

/** A relative time, and how the command is written with an absolute one. */
interface Change {
  readonly kind: 'expire' | 'set' | 'restore';
  /** From the command's stamp on. */
  readonly milliseconds: bigint;
  /** The arguments that stay, by index: those of SET, or those behind the key and the time. */
  readonly kept: readonly number[];
}

/** Undefined: the command says nothing relative. */
export function changeOf(command: StreamCommand): Change | undefined {
  const { args, argumentCount: count } = command;
  const name = args[0] ?? noBytes;
  // Most commands are told by their first letter, and a plain SET by its size, without decoding a name.
  if (!isCandidate(name[0] ?? 0, name.length) || (name.length === 3 && count === 3) || args.length < count)
    return undefined;
  switch (nameOf(command)) {
    case 'EXPIRE':
      return change('expire', args[2], 1000n, indexes(3, count));
    case 'PEXPIRE':
      return change('expire', args[2], 1n, indexes(3, count));
    case 'SETEX':
      return change('set', args[2], 1000n, [1, 3]);
    case 'PSETEX':
      return change('set', args[2], 1n, [1, 3]);
    case 'SET':
      return changeOfSet(args);
    case 'GETEX':
      return changeOfGetex(args);
    case 'RESTORE':
    case 'RESTORE-ASKING':
      return changeOfRestore(args);
    default:
      return undefined;
  }
}

function isCandidate(first: number, nameBytes: number): boolean {
  switch (first | 0x20) {
    case 0x65: // EXPIRE; EVAL, which is counted
    case 0x70: // PEXPIRE, PSETEX
    case 0x73: // SET, SETEX
    case 0x67: // GETEX
    case 0x72: // RESTORE
      return nameBytes >= 3 && nameBytes <= 14;
    default:
      return false;
  }
}

function changeOfSet(args: readonly Buffer[]): Change | undefined {
  for (let i = 3; i < args.length; i += 1) {
    const unit = unitOf(args[i]);
    if (unit === undefined) continue;
    const kept = indexes(1, args.length).filter((index) => index !== i && index !== i + 1);
    return change('set', args[i + 1], unit, kept);
  }
  return undefined;
}

function changeOfGetex(args: readonly Buffer[]): Change | undefined {
  const unit = unitOf(args[2]);
  return unit === undefined ? undefined : change('expire', args[3], unit, []);
}

/** A time of 0 is none. */
function changeOfRestore(args: readonly Buffer[]): Change | undefined {
  if (args.slice(4).some((arg) => upperCase(arg) === 'ABSTTL')) return undefined;
  const found = change('restore', args[2], 1n, indexes(3, args.length));
  return found?.milliseconds === 0n ? undefined : found;
}

function change(
  kind: Change['kind'],
  argument: Buffer | undefined,
  unit: bigint,
  kept: readonly number[],
): Change | undefined {
  const text = argument?.toString('latin1') ?? '';
  return /^-?\d{1,19}$/.test(text) ? { kind, milliseconds: BigInt(text) * unit, kept } : undefined;
}

function unitOf(option: Buffer | undefined): bigint | undefined {
  if (option?.length !== 2) return undefined;
  const text = upperCase(option);
  return text === 'EX' ? 1000n : text === 'PX' ? 1n : undefined;
}

function upperCase(argument: Buffer): string {
  return argument.toString('latin1').toUpperCase();
}

const none: readonly number[] = [];

function indexes(from: number, to: number): readonly number[] {
  if (from >= to) return none;
  return Array.from({ length: to - from }, (_, i) => from + i);
}

const multi = '*1\r\n$5\r\nMULTI\r\n';
const exec = '*1\r\n$4\r\nEXEC\r\n';
const set = '$3\r\nSET\r\n';
const pexpireat = '$9\r\nPEXPIREAT\r\n';
const absTtl = '$6\r\nABSTTL\r\n';

function rewriteOf({ kind, milliseconds, kept }: Change, command: StreamCommand, stamp: Micros): Rewrite {
  const digits = String(BigInt(Math.floor(stamp / 1000)) + milliseconds);
  const time = `$${digits.length}\r\n${digits}\r\n`;
  return (held, out) => {
    const take = (index: number): void => {
      takeArgument(command, index, held, out);
    };
    switch (kind) {
      case 'expire':
        out.text(`${head(3 + kept.length)}${pexpireat}`);
        take(1);
        out.text(time);
        kept.forEach(take);
        return;
      case 'restore':
        out.text(head(4 + kept.length));
        take(0);
        take(1);
        out.text(time);
        kept.forEach(take);
        out.text(absTtl);
        return;
      case 'set':
        out.text(`${command.inMulti ? '' : multi}${head(1 + kept.length)}${set}`);
        kept.forEach(take);
        out.text(`${head(3)}${pexpireat}`);
        take(1);
        out.text(`${time}${command.inMulti ? '' : exec}`);
    }
  };
}
