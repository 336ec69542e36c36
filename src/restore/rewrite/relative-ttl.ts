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
 * Inside a MULTI no other is put around. All else goes through byte for byte, however large it is: what is held back is
 * only a command that may have to be changed.
 */
import { decodeReads } from '../../../journal-format/reads.ts';
import type { Reads } from '../../../journal-format/reads.ts';
import type { Micros } from '../../core/clock.ts';
import type { Offset } from '../../core/position.ts';
import type { RangeChunk } from '../../log/read-range.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import { CommandReader, nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { Assembler } from './assembler.ts';
import { ByteWindow } from './byte-window.ts';
import type { LeftOut } from './left-out.ts';
import { stampIn } from '../locate/stamp-in.ts';

/** Names, options and numbers are short; keys and values are taken from the stream itself. */
const keepBytes = 64;

export class RelativeTtl {
  readonly #reader: CommandReader;
  /** Bytes that are not passed on yet: between two pushes, of a command that may have to be changed. */
  readonly #held: ByteWindow;
  readonly #leftOut: LeftOut;
  #scripts = 0;
  #firstScript: Offset | undefined;

  /** `state` is the boundary that the first chunk follows; of `leftOut` nothing is passed on. */
  constructor(state: ScannerState, leftOut: LeftOut) {
    this.#leftOut = leftOut;
    this.#reader = new CommandReader(state, { keepBytes });
    this.#held = new ByteWindow(state.offset + 1);
  }

  /** What the chunk comes to, with what was held back before it. */
  push(chunk: RangeChunk): Buffer[] {
    const out = new Assembler();
    let end = this.#held.start - 1;
    let reads: Reads | undefined;
    this.#held.append(chunk.bytes);
    this.#reader.push(chunk.bytes);
    for (let command = this.#reader.next(); command !== undefined; command = this.#reader.next()) {
      end = command.end;
      if (this.#leftOut.has(command.end)) continue;
      this.#noteScript(command);
      const change = changeOf(command);
      if (change === undefined) continue;
      reads ??= decodeReads(chunk.frame.meta, chunk.frame.header);
      this.#pass(command.start - 1, out);
      rewrite(change, command, this.#held, stampIn(reads, command.end), out);
      this.#held.drop(command.end);
    }
    this.#pass(end, out);
    if (!mayBeChanged(this.#held.peek(headBytes))) this.#pass(this.#held.end, out);
    return out.finish();
  }

  /** To be asked when all is pushed: what could not be converted. */
  warnings(): string[] {
    if (this.#held.end >= this.#held.start) throw new RangeError('the range ends inside a command');
    if (this.#firstScript === undefined) return [];
    const which = `${this.#scripts} scripts were replicated as they are, the first at offset ${this.#firstScript}`;
    return [`${which}: relative TTLs that they set count from when the server loads them`];
  }

  #pass(to: Offset, out: Assembler): void {
    if (to < this.#held.start) return;
    for (const kept of this.#leftOut.kept(this.#held.start, to)) {
      for (const bytes of this.#held.slice(kept.from, kept.to)) out.bytes(bytes);
    }
    this.#held.drop(to);
  }

  #noteScript(command: StreamCommand): void {
    const { length } = command.args[0] ?? noBytes;
    if ((length !== 4 && length !== 7) || !/^EVAL(SHA)?$/.test(nameOf(command))) return;
    this.#scripts += 1;
    this.#firstScript ??= command.end;
  }
}

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
  if (!isCandidate(name) || (name.length === 3 && count === 3) || args.length < count) return undefined;
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

function isCandidate(name: Buffer): boolean {
  switch ((name[0] ?? 0) | 0x20) {
    case 0x65: // EXPIRE
    case 0x70: // PEXPIRE, PSETEX
    case 0x73: // SET, SETEX
    case 0x67: // GETEX
    case 0x72: // RESTORE
      return name.length >= 3 && name.length <= 14;
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

/** `held` holds the command as it came. */
function rewrite(what: Change, command: StreamCommand, held: ByteWindow, stamp: Micros, out: Assembler): void {
  const digits = String(BigInt(Math.floor(stamp / 1000)) + what.milliseconds);
  const time = `$${digits.length}\r\n${digits}\r\n`;
  const take = (index: number): void => {
    takeArgument(command, index, held, out);
  };
  switch (what.kind) {
    case 'expire':
      out.text(`${head(3 + what.kept.length)}${pexpireat}`);
      take(1);
      out.text(time);
      what.kept.forEach(take);
      return;
    case 'restore':
      out.text(head(4 + what.kept.length));
      take(0);
      take(1);
      out.text(time);
      what.kept.forEach(take);
      out.text(absTtl);
      return;
    case 'set':
      out.text(`${command.inMulti ? '' : multi}${head(1 + what.kept.length)}${set}`);
      what.kept.forEach(take);
      out.text(`${head(3)}${pexpireat}`);
      take(1);
      out.text(`${time}${command.inMulti ? '' : exec}`);
  }
}

/** An argument as it came, with its length line. */
function takeArgument(command: StreamCommand, index: number, held: ByteWindow, out: Assembler): void {
  const argument = command.args[index] ?? noBytes;
  const length = command.shortened?.get(index);
  if (length === undefined) {
    out.text(`$${argument.length}\r\n`);
    out.bytes(argument);
    out.text('\r\n');
    return;
  }
  // Where it is follows from the lengths before it, which are written in one way only.
  let from = command.start + head(command.argumentCount).length;
  for (let i = 0; i < index; i += 1) from += bulkBytes(command.shortened?.get(i) ?? command.args[i]?.length ?? 0);
  for (const bytes of held.slice(from, from + bulkBytes(length) - 1)) out.bytes(bytes);
}

/** Of an argument of that length, as it is sent. */
export function bulkBytes(length: number): number {
  return String(length).length + length + 5;
}

export function head(argumentCount: number): string {
  return `*${argumentCount}\r\n`;
}

/** Count, length and name of a command that may be changed fit in here. */
const headBytes = 64;
const changedNames = /^(P?EXPIRE|P?SETEX|SET|GETEX|RESTORE(-ASKING)?)$/i;

/** Judges by what there is of a command so far; nothing at all may not become one. */
function mayBeChanged(start: Buffer): boolean {
  if (start.length === 0) return false;
  const found = /^\*(\d+)\r\n\$(\d+)\r\n([^\r]*)\r/.exec(start.toString('latin1'));
  if (found === null) return start.length < headBytes;
  const [, argumentCount, , name = ''] = found;
  return changedNames.test(name) && !(argumentCount === '3' && /^SET$/i.test(name));
}
