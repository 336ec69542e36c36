/**
 * What a restore leaves out, found before anything is made: the stretches of the stream, and which later commands may come
 * to something else without them. The restore itself then only skips bytes.
 *
 * A position names the command that holds its byte; on the MULTI or EXEC of a transaction it names the transaction, as
 * --before does. Whatever is left out of a transaction, the transaction stays, and so does every SELECT.
 */
import { decodeReads } from '../../../journal-format/reads.ts';
import { CoverageError, UsageError } from '../../core/errors.ts';
import { undoStretchesMax, undoToldMax } from '../../core/limits.ts';
import { formatPosition } from '../../core/position.ts';
import type { Offset } from '../../core/position.ts';
import { idAt } from '../../log/catalog.ts';
import type { Timeline } from '../../log/catalog.ts';
import { readRange } from '../../log/read-range.ts';
import type { RangeChunk } from '../../log/read-range.ts';
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import { keysOf } from '../../redis/command-keys.ts';
import { CommandReader, nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import type { Disk } from '../../storage/disk.ts';
import { throwIfInterrupted } from '../interruption.ts';
import { LaterCommands } from './later-commands.ts';
import type { Stretch } from '../rewrite/left-out.ts';
import { boundariesAround, knownBoundary } from '../locate/locate-boundaries.ts';
import type { Plan } from './plan.ts';
import { stampIn } from '../locate/stamp-in.ts';
import { fixed, isFixed } from './undo.ts';
import type { ToldCommand, UndoPlan, UndoRequest, WantedPosition } from './undo.ts';

/** The command or transaction that a position lies in. */
interface Wanted extends WantedPosition {
  readonly whole: Stretch;
}

const execBytes = '*1\r\n$4\r\nEXEC\r\n'.length;
const nameShown = 64;
const keyShownBytes = 100;
const scriptName = /^(EVAL|EVALSHA|FCALL)$/;

export async function planUndo(
  disk: Disk,
  timeline: Timeline,
  plan: Plan,
  request: UndoRequest,
  signal: AbortSignal | undefined,
): Promise<UndoPlan> {
  const wanted: Wanted[] = [];
  for (const position of request.positions) wanted.push(await findWhole(disk, timeline, plan, position));
  const before = await boundaryBefore(disk, timeline, request, wanted);
  const search = new UndoSearch(timeline, request, wanted, before);
  for await (const chunk of readRange(disk, plan.ranges, before.offset + 1, plan.cut.offset)) {
    throwIfInterrupted(signal);
    search.push(chunk);
  }
  return search.finish(plan);
}

async function findWhole(disk: Disk, timeline: Timeline, plan: Plan, wanted: WantedPosition): Promise<Wanted> {
  const { offset, idPrefix, text } = wanted;
  const { base, cut } = plan;
  const isThere = offset > base.record.offset && offset <= cut.offset && idAt(timeline, offset).startsWith(idPrefix);
  if (!isThere) {
    const id = idAt(timeline, base.record.offset + 1);
    const range = `${formatPosition({ id, offset: base.record.offset + 1 })} to ${formatPosition(cut)}`;
    throw new CoverageError('undo-not-in-stream', `${text} is not among the commands that this restore replays`, {
      hint:
        `they are ${range}; what the base holds already cannot be left out, and what is behind the target is not applied; ` +
        '--at a position of an older timeline replays from an older base (journal ls)',
    });
  }
  const { last, next } = await boundariesAround(disk, timeline, { by: 'offset', offset: offset - 1 });
  return { ...wanted, whole: { from: last.offset + 1, to: next?.offset ?? cut.offset } };
}

/** What lies before the first command that is left out need not be looked at, unless commands are named. */
async function boundaryBefore(
  disk: Disk,
  timeline: Timeline,
  { names }: UndoRequest,
  wanted: readonly Wanted[],
): Promise<ScannerState> {
  if (names.length > 0) return timeline.base.record;
  const first = Math.min(...wanted.map(({ whole }) => whole.from));
  return knownBoundary(disk, timeline, { by: 'offset', offset: first - 1 });
}

class UndoSearch {
  readonly #timeline: Timeline;
  readonly #request: UndoRequest;
  readonly #reader: CommandReader;
  readonly #later = new LaterCommands();
  /** By offset, and the next one that is not found yet. */
  readonly #wanted: readonly Wanted[];
  #nextWanted = 0;
  /** How many there were of each name. */
  readonly #byName = new Map<string, number>();
  #isGroupOut = false;

  readonly #stretches: { from: Offset; to: Offset }[] = [];
  readonly #told: ToldCommand[] = [];
  #commands = 0;
  #bytes = 0;
  readonly #laterTold: ToldCommand[] = [];
  #laterCommands = 0;
  #couldBeAny = false;
  #scripts = 0;

  /** What is pushed follows the boundary `from`. */
  constructor(timeline: Timeline, request: UndoRequest, wanted: readonly Wanted[], from: ScannerState) {
    this.#timeline = timeline;
    this.#request = request;
    this.#reader = new CommandReader(from, { isWanted: (bytes, at, length) => this.#isOfInterest(bytes, at, length) });
    this.#wanted = wanted.toSorted((a, b) => a.offset - b.offset);
    for (const name of request.names) this.#byName.set(name, 0);
  }

  push(chunk: RangeChunk): void {
    this.#reader.push(chunk.bytes);
    for (let command = this.#reader.next(); command !== undefined; command = this.#reader.next()) {
      if (this.#isLeftOut(command)) this.#leaveOut(command, chunk);
      else this.#keep(command, chunk);
    }
  }

  finish(plan: Plan): UndoPlan {
    for (const [name, count] of this.#byName) if (count === 0) throw noneOf(name, plan);
    return {
      request: this.#request,
      stretches: this.#stretches,
      ...{ commands: this.#commands, bytes: this.#bytes, told: this.#told },
      later: { isAnyKey: this.#couldBeAny, commands: this.#laterCommands, told: this.#laterTold },
      warnings: this.#scripts === 0 ? [] : [scriptWarning(this.#scripts)],
    };
  }

  #isLeftOut(command: StreamCommand): boolean {
    const name = command.args[0] ?? noBytes;
    const isStaying = isFixed(name);
    if (isStaying) this.#followGroup(command, nameOf(command));
    const isWanted = this.#takeWanted(command);
    if (isStaying) {
      if (isWanted && !this.#isGroupOut) throw fixed(nameOf(command), ` at offset ${command.end}`);
      if (isEnd(nameOf(command))) this.#isGroupOut = false;
      return false;
    }
    return this.#isNamed(command, name) || isWanted || this.#isGroupOut;
  }

  /** At its MULTI it must be known whether the whole transaction goes: EXEC is told by where it lies. */
  #followGroup({ start, end }: StreamCommand, name: string): void {
    if (name !== 'MULTI') return;
    this.#isGroupOut = this.#wanted.some(
      ({ offset, whole }) => whole.from === start && (offset <= end || offset > whole.to - execBytes),
    );
  }

  #takeWanted({ end }: StreamCommand): boolean {
    let isWanted = false;
    for (; (this.#wanted[this.#nextWanted]?.offset ?? Infinity) <= end; this.#nextWanted += 1) isWanted = true;
    return isWanted;
  }

  /** Before the first one is left out, only names matter, and scripts. */
  #isOfInterest(bytes: Buffer, at: number, length: number): boolean {
    if (this.#wanted.length > 0 || this.#commands > 0) return true;
    return this.#hasNameOf(length) || mayBeScript(bytes, at, length);
  }

  #hasNameOf(bytes: number): boolean {
    return this.#request.names.some(({ length }) => length === bytes);
  }

  #isNamed(command: StreamCommand, name: Buffer): boolean {
    if (!this.#hasNameOf(name.length)) return false;
    const upper = nameOf(command);
    const count = this.#byName.get(upper);
    if (count === undefined) return false;
    this.#byName.set(upper, count + 1);
    return true;
  }

  #leaveOut(command: StreamCommand, chunk: RangeChunk): void {
    const { start, end } = command;
    const last = this.#stretches.at(-1);
    if (last?.to === start - 1) last.to = end;
    else this.#stretches.push({ from: start, to: end });
    if (this.#stretches.length > undoStretchesMax) throw tooMany();
    this.#commands += 1;
    this.#bytes += end + 1 - start;
    if (this.#told.length < undoToldMax) this.#told.push(this.#tell(command, chunk));
    this.#later.leaveOut(command);
    this.#couldBeAny ||= this.#later.isAnyKey;
  }

  #keep(command: StreamCommand, chunk: RangeChunk): void {
    const name = command.args[0] ?? noBytes;
    const isConcerned = this.#byName.size > 0 || this.#commands > 0;
    if (isConcerned && mayBeScript(name, 0, name.length) && scriptName.test(nameOf(command))) this.#scripts += 1;
    if (!this.#later.take(command)) return;
    this.#couldBeAny ||= this.#later.isAnyKey;
    this.#laterCommands += 1;
    if (this.#laterTold.length < undoToldMax) this.#laterTold.push(this.#tell(command, chunk));
  }

  /** The chunk holds the last byte of the command. */
  #tell(command: StreamCommand, { frame }: RangeChunk): ToldCommand {
    const { end: offset, db } = command;
    const stamp = stampIn(decodeReads(frame.meta, frame.header), offset);
    const position = { id: idAt(this.#timeline, offset), offset };
    return { position, stamp, name: nameOf(command).slice(0, nameShown), db, key: shown(keysOf(command).keys[0]?.key) };
  }
}

const noBytes: Buffer = Buffer.alloc(0);

/** By its length and first letter. */
function mayBeScript(bytes: Buffer, at: number, length: number): boolean {
  if (length < 4 || length > 7) return false;
  const first = (bytes[at] ?? 0) | 0x20;
  return first === 0x65 || first === 0x66;
}

function isEnd(name: string): boolean {
  return name === 'EXEC' || name === 'DISCARD';
}

function shown(key: Buffer | undefined): string | undefined {
  if (key === undefined) return undefined;
  const text = key.toString('utf8', 0, keyShownBytes);
  return key.length > keyShownBytes ? `${text}…` : text;
}

function noneOf(name: string, { base, cut }: Plan): CoverageError {
  const range = `offset ${base.record.offset + 1} to ${cut.offset}`;
  return new CoverageError('nothing-to-leave-out', `there is no ${name} among the commands replayed, ${range}`, {
    hint:
      'it may have another name (FLUSHDB, UNLINK, a script), lie before the base of this timeline (journal ls shows ' +
      'others), or behind the target',
  });
}

function tooMany(): UsageError {
  return new UsageError('undo-too-much', `more than ${undoStretchesMax} stretches of the stream would be left out`, {
    hint: 'leave out less, or restore a moment before (--before)',
  });
}

function scriptWarning(scripts: number): string {
  return `${scripts} scripts were replicated as they are: of what they run, nothing is left out or told`;
}
