/**
 * A stream of commands on its way, some of which become something else: the part that all rewriting has in common. What
 * concerns nobody goes on, or is left out, byte for byte and looked at only, however large it is. Held back is no more than
 * the beginning of a command of which the rule says so.
 */
import type { Offset } from '../../core/position.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import type { CommandGlance } from '../../redis/command-glance.ts';
import { CommandReader } from '../../redis/command-reader.ts';
import type { CommandReaderOptions, StreamCommand } from '../../redis/command-reader.ts';
import { Assembler } from './assembler.ts';
import { ByteWindow } from './byte-window.ts';
import type { LeftOut } from './left-out.ts';

/** Writes what becomes of a command; `held` holds all of it, as it came. */
export type Rewrite = (held: ByteWindow, out: Assembler) => void;

export interface StreamRule extends CommandReaderOptions {
  /** Changes a command where it lies, without making it longer or shorter: true if that is all that becomes of it. */
  readonly edit?: (command: CommandGlance) => boolean;
  /** Of a command that lies whole in what was pushed, whether it goes on as it is, and nothing is made of it. */
  readonly passes?: (command: CommandGlance) => boolean;
  /** What becomes of commands that nothing else is said of: they go on, or they do not. */
  readonly others: 'pass' | 'drop';
  /** Of a command that the reader hands out; undefined: it is like the others. */
  readonly decide: (command: StreamCommand) => 'pass' | Rewrite | undefined;
  /** Whether a command must be held until it is decided: of what there is of it so far, the first bytes, and how many. */
  readonly holds: (start: Buffer, bytes: number) => boolean;
  /** Nothing of this goes on. */
  readonly leftOut?: LeftOut | undefined;
}

/** Count, length and name of a command, and what tells most of them apart, fit in here. */
const startBytes = 64;

export class StreamRewriter {
  readonly #rule: StreamRule;
  readonly #reader: CommandReader;
  /** Bytes that are not passed on yet: between two pushes, of a command that is held. */
  readonly #held: ByteWindow;
  #pushed: Buffer | undefined;
  /** Decided to go on up to here, and not gone: commands in a row go as one piece. */
  #passTo: Offset = 0;
  #out = new Assembler();

  /** `state` is the boundary that the first bytes follow. */
  constructor(state: ScannerState, rule: StreamRule) {
    this.#rule = rule;
    const looks = rule.edit !== undefined || rule.passes !== undefined;
    this.#reader = new CommandReader(state, { ...rule, ...(looks && { isMatch: this.#isMatch }) });
    this.#held = new ByteWindow(state.offset + 1);
  }

  /**
   * What the bytes come to, with what was held back before them. They must stay as they are until that is used, but for
   * what `edit` changes in them: with such a rule they are the rewriter's own.
   */
  push(bytes: Buffer): Buffer[] {
    this.#pushed = bytes;
    const { leftOut, decide } = this.#rule;
    const out = new Assembler();
    this.#out = out;
    this.#held.append(bytes);
    this.#reader.push(bytes);
    this.#passTo = this.#held.start - 1;
    for (let command = this.#reader.next(); command !== undefined; command = this.#reader.next()) {
      const { start, end } = command;
      if (leftOut?.has(end) === true) continue;
      const decided = decide(command);
      // Of what was not held, the beginning has gone on, and so does the rest.
      const decision = start < this.#held.start ? 'pass' : decided;
      if (decision === undefined) continue;
      if (decision === 'pass') {
        this.#goOn(start, end);
        continue;
      }
      this.#goOn(start, start - 1);
      this.#pass(this.#passTo, out);
      decision(this.#held, out);
      this.#held.drop(end);
      this.#passTo = end;
    }
    this.#pass(this.#passTo, out);
    this.#settle(this.#reader.end, out);
    const bytesHeld = this.#held.end - this.#held.start + 1;
    if (bytesHeld > 0 && !this.#rule.holds(this.#held.peek(startBytes), bytesHeld)) this.#pass(this.#held.end, out);
    return out.finish();
  }

  /** To be called when what push() returned is taken: what was pushed may go then, and of what is held a copy is kept. */
  letGo(): void {
    this.#reader.letGo();
    this.#held.letGo();
  }

  /** Whether nothing is held back: true behind whole commands. */
  get isSettled(): boolean {
    return this.#held.end < this.#held.start;
  }

  readonly #isMatch = (command: CommandGlance): boolean => {
    const { edit, isMatch, passes } = this.#rule;
    if (isMatch?.(command) === false) return false;
    // The reader may look at a copy.
    if (edit !== undefined && command.bytes === this.#pushed && edit(command)) return false;
    if (passes?.(command) !== true) return true;
    this.#goOn(command.start, command.end);
    return false;
  };

  #goOn(from: Offset, to: Offset): void {
    if (from !== this.#passTo + 1) {
      this.#pass(this.#passTo, this.#out);
      this.#settle(from - 1, this.#out);
    }
    this.#passTo = to;
  }

  /** Nothing but the others is left up to there. */
  #settle(to: Offset, out: Assembler): void {
    if (this.#rule.others === 'pass') this.#pass(to, out);
    else this.#held.drop(to);
  }

  #pass(to: Offset, out: Assembler): void {
    const { leftOut } = this.#rule;
    if (to < this.#held.start) return;
    const kept = leftOut?.kept(this.#held.start, to) ?? [{ from: this.#held.start, to }];
    for (const stretch of kept) for (const bytes of this.#held.slice(stretch.from, stretch.to)) out.bytes(bytes);
    this.#held.drop(to);
  }
}

/** Whether a command of which no more is there may be one of those; `isOne` takes a name in upper case. */
export function mayBegin(start: Buffer, isOne: (name: string, argumentCount: number) => boolean): boolean {
  const found = /^\*(\d+)\r\n\$\d+\r\n([^\r]*)\r/.exec(start.toString('latin1'));
  if (found === null) return start.length < startBytes;
  const [, argumentCount = '', name = ''] = found;
  return isOne(name.toUpperCase(), Number(argumentCount));
}

/** An argument as it came, with its length line. */
export function takeArgument(command: StreamCommand, index: number, held: ByteWindow, out: Assembler): void {
  const from = argumentStart(command, index);
  for (const bytes of held.slice(from, from + argumentBytes(command, index) - 1)) out.bytes(bytes);
}

/** The command with other arguments in the place of some, in their order; undefined: with nothing. */
export function withArguments(
  command: StreamCommand,
  others: readonly (readonly [index: number, text: string | undefined])[],
): Rewrite {
  const gone = others.filter(([, text]) => text === undefined).length;
  return (held, out) => {
    let from = argumentStart(command, 0);
    out.text(head(command.argumentCount - gone));
    for (const [index, text] of others) {
      const at = argumentStart(command, index);
      for (const bytes of held.slice(from, at - 1)) out.bytes(bytes);
      if (text !== undefined) out.text(`$${text.length}\r\n${text}\r\n`);
      from = at + argumentBytes(command, index);
    }
    for (const bytes of held.slice(from, command.end)) out.bytes(bytes);
  };
}

/** Where the length line of an argument begins. It follows from the lengths before it, which are written in one way only. */
export function argumentStart(command: StreamCommand, index: number): Offset {
  let from = command.start + head(command.argumentCount).length;
  for (let i = 0; i < index; i += 1) from += argumentBytes(command, i);
  return from;
}

function argumentBytes({ args, shortened }: StreamCommand, index: number): number {
  return bulkBytes(shortened?.get(index) ?? args[index]?.length ?? 0);
}

/** Of an argument of that length, as it is sent. */
function bulkBytes(length: number): number {
  return String(length).length + length + 5;
}

export function head(argumentCount: number): string {
  return `*${argumentCount}\r\n`;
}
