/**
 * Tells of every command in a stretch of the stream its name, the hashes of the keys that it names, and what is selected
 * behind it: what filters are made of (journal-format/filters.ts). It runs over all that is sealed, so commands are looked
 * at where they lie, and nothing is made of most. Neighbours: command-keys.ts knows where keys are; collected-command.ts
 * puts together the few commands that are cut, or have very many arguments.
 *
 * Nothing of what was pushed is kept: its memory may be used again.
 */
import { KeyHasher } from '../../journal-format/key-hash.ts';
import { commandNameBytesMax } from '../../journal-format/limits.ts';
import type { Offset } from '../core/position.ts';
import type { ScannerState } from './boundary-scanner.ts';
import { CollectedCommand } from './collected-command.ts';
import { CommandGlance } from './command-glance.ts';
import { keysOf, lastAt } from './command-keys.ts';
import type { CommandArguments, KnownCommand } from './command-keys.ts';
import { CommandNames } from './command-names.ts';
import { controlCommandAt, dbAt, DISCARD, EXEC, MULTI, ORDINARY, SELECT } from './control-commands.ts';

/** What a command's keys are is told before the command itself. */
export interface CommandSink {
  /** A key that it names; the same one may come again. */
  key(high: number, low: number): void;
  /** It may touch keys that it does not name. */
  anyKey(): void;
  /** Its last byte; what is selected behind it. The name is in upper case, undefined when it is none that can be kept. */
  command(name: string | undefined, end: Offset, db: number, inMulti: boolean): void;
}

const CR = 13;
const LF = 10;
const ASTERISK = 42;
const DOLLAR = 36;
/** Both, as a little-endian number. */
const CR_LF = 0x0a0d;
/** What is looked at of a line at once: its type, and four bytes. No line and what follows it is shorter. */
const LINE_HEAD_BYTES = 5;
/** A line with more digits is left for the closer look. */
const LINE_DIGITS = 8;
const NONE = -1;

/** For those who are handed what there is to know of commands. */
export const knownCommands = {
  /** Told in filters (SPEC.md 7): to be counted up when it is found that a known command names other keys. */
  rule: 1,
  scan: (state: ScannerState, sink: CommandSink): CommandScan => new CommandScan(state, sink),
} as const;

export class CommandScan {
  readonly #sink: CommandSink;
  readonly #hasher = new KeyHasher();
  readonly #glance = new CommandGlance();
  readonly #names = new CommandNames();
  #view: DataView = new DataView(new ArrayBuffer(0));
  readonly #collected: CollectedCommand;
  #isCollecting = false;
  /** Of the last byte before what is being pushed. */
  #base: Offset;
  #db: number;
  #inMulti = false;
  #dbBeforeMulti = 0;
  /** Of the line that #longLine() read last. */
  #value = 0;

  /** `state` is the boundary that the first pushed byte follows. */
  constructor(state: ScannerState, sink: CommandSink) {
    this.#base = state.offset;
    this.#db = state.db;
    this.#sink = sink;
    this.#collected = new CollectedCommand();
  }

  /** Takes the next bytes. IntegrityError when they are no commands. */
  push(bytes: Buffer): void {
    this.#glance.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#hasher.use(bytes);
    let at = 0;
    while (at < bytes.length) {
      if (!this.#isCollecting) at = this.#takeWhole(bytes, at);
      if (at < bytes.length) at = this.#collect(bytes, at);
    }
    this.#base += bytes.length;
  }

  /**
   * Commands that lie whole in bytes[from…]; where the first other one begins. One loop on local variables, as in the
   * boundary scanner, and for the same reason.
   */
  #takeWhole(bytes: Buffer, from: number): number {
    const glance = this.#glance;
    const { at: starts, length: lengths, argumentsMost } = glance;
    const view = this.#view;
    const lastLine = bytes.length - LINE_HEAD_BYTES;
    let command = from;
    let token = from;
    let count = 0;
    let index = 0;
    while (token <= lastLine) {
      // The four bytes behind the '*' or '$' in one load: nearly every number has one digit or two.
      const line = view.getInt32(token + 1, true);
      let value = (line & 0xff) - 48;
      let body = token;
      if ((line & 0xffff00) === CR_LF << 8 && value >>> 0 <= 9) {
        body += 4;
      } else if (line >>> 16 === CR_LF && value >>> 0 <= 9) {
        const digit = ((line >>> 8) & 0xff) - 48;
        if (digit >>> 0 > 9) break;
        value = value * 10 + digit;
        body += 5;
      } else {
        body = this.#longLine(bytes, token);
        if (body === NONE) break;
        value = this.#value;
      }
      if (index === count) {
        if (bytes[token] !== ASTERISK || value === 0 || value > argumentsMost) break;
        count = value;
        index = 0;
        token = body;
        continue;
      }
      const end = body + value;
      if (bytes[token] !== DOLLAR || end + 2 > bytes.length || view.getInt16(end, true) !== CR_LF) break;
      starts[index] = body;
      lengths[index] = value;
      token = end + 2;
      index += 1;
      if (index < count) continue;
      glance.count = count;
      this.#take(token);
      command = token;
    }
    return command;
  }

  /** Index behind the line, its number in #value; or NONE. */
  #longLine(bytes: Buffer, from: number): number {
    let at = from + 1;
    let value = 0;
    for (let byte = bytes[at]!; byte !== CR; byte = bytes[++at]!) {
      const digit = byte - 48;
      // Behind the end there is no byte, and so no digit.
      if (!(digit >= 0 && digit <= 9) || at > from + LINE_DIGITS) return NONE;
      value = value * 10 + digit;
    }
    if (at === from + 1 || bytes[at + 1] !== LF) return NONE;
    this.#value = value;
    return at + 2;
  }

  /** The command in #glance, which ends before `end`. */
  #take(end: number): void {
    const { bytes, at, length } = this.#glance;
    const { known, control } = this.#names.at(bytes, this.#view, at[0]!, length[0]!);
    if (known === undefined) this.#sink.anyKey();
    else if (known.isPlain) this.#takePlainKeys(known);
    else this.#takeKeys(this.#arguments());
    if (control !== ORDINARY) this.#follow(control, bytes, at[1]!, length[1]!);
    const name = known === undefined ? nameAt(bytes, at[0]!, length[0]!) : known.name;
    this.#sink.command(name, this.#base + end, this.#db, this.#inMulti);
  }

  #takePlainKeys({ places }: KnownCommand): void {
    const { at, length, count } = this.#glance;
    const hasher = this.#hasher;
    for (const place of places) {
      const last = lastAt(place, count);
      for (let i = place.begin; i <= last; i += place.step) {
        hasher.hash(at[i]!, length[i]!);
        this.#sink.key(hasher.high, hasher.low);
      }
    }
  }

  #arguments(): Omit<CommandArguments, 'db'> {
    const { bytes, at, length, count } = this.#glance;
    const args = Array.from({ length: count }, (_, i) => bytes.subarray(at[i], at[i]! + length[i]!));
    return { args, argumentCount: count, shortened: undefined };
  }

  #takeKeys(command: Omit<CommandArguments, 'db'>): void {
    const { args, argumentCount, shortened } = command;
    const { keys, others } = keysOf({ args, argumentCount, shortened, db: this.#db });
    const hasher = this.#hasher;
    for (const { key } of keys) {
      hasher.use(key);
      hasher.hash(0, key.length);
      this.#sink.key(hasher.high, hasher.low);
    }
    hasher.use(this.#glance.bytes);
    if (others !== 'none') this.#sink.anyKey();
  }

  /** Goes on with a command that is cut, or begins one; where it ends. */
  #collect(bytes: Buffer, from: number): number {
    const command = this.#collected;
    if (!this.#isCollecting) command.begin(this.#base + from);
    const end = command.take(bytes, from);
    this.#isCollecting = end === undefined;
    if (end === undefined) return bytes.length;
    this.#takeKeys(command);
    const [name, first] = command.args;
    const control = name === undefined ? ORDINARY : controlCommandAt(name, 0, name.length);
    if (control !== ORDINARY) this.#follow(control, first, 0, first?.length ?? 0);
    const kept = name === undefined || command.shortened?.has(0) === true ? undefined : nameAt(name, 0, name.length);
    this.#sink.command(kept, this.#base + end, this.#db, this.#inMulti);
    return end;
  }

  #follow(control: number, bytes: Buffer | undefined, at: number, length: number): void {
    if (control === SELECT && bytes !== undefined) this.#db = dbAt(bytes, at, length) ?? this.#db;
    if (control === DISCARD) this.#db = this.#dbBeforeMulti;
    if (control === MULTI) this.#dbBeforeMulti = this.#db;
    if (control === MULTI) this.#inMulti = true;
    if (control === EXEC || control === DISCARD) this.#inMulti = false;
  }
}

function nameAt(bytes: Buffer, at: number, length: number): string | undefined {
  if (length < 1 || length > commandNameBytesMax) return undefined;
  return bytes.toString('latin1', at, at + length).replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}
