/**
 * What happened to one key, and what it was after each step: what find tells, and behind each command (behind its EXEC, where
 * it is in a MULTI) the value, from a scratch server that the stream is applied to as far as that. First on every stretch
 * comes what the key was before.
 *
 * Invariant: the server stands at boundaries only; the value is that of the primary there.
 */
import type { Micros } from '../core/clock.ts';
import type { Offset, Position } from '../core/position.ts';
import { idAt } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import { keysOf } from '../redis/command-keys.ts';
import { nameOf } from '../redis/command-reader.ts';
import { parseDb } from '../redis/key-selection.ts';
import { stampOf } from '../restore/locate/locate-boundaries.ts';
import type { Plan } from '../restore/plan/plan.ts';
import type { Disk } from '../storage/disk.ts';
import type { CommandFilter } from './command-filter.ts';
import { find } from './find.ts';
import type { FindEvent, FoundCommand } from './find.ts';
import { absentValue } from './key-value.ts';
import type { KeyValue } from './key-value.ts';
import { KeyWatch } from './key-watch.ts';
import type { ScratchUse } from './key-watch.ts';
import type { StretchLeg } from './notices.ts';
import { plannedTimeline } from './planned-timeline.ts';
import type { Reach } from './reach.ts';
import { removedNotice } from './removed-notice.ts';
import { stateAt } from './scan.ts';

export interface ValueEvent {
  readonly kind: 'value';
  /** Before the first command of the stretch, or after those that ended here. */
  readonly when: 'before' | 'after';
  readonly timeline: Timeline;
  readonly position: Position;
  readonly stamp: Micros;
  readonly value: KeyValue;
}

export type HistoryEvent = FindEvent | ValueEvent;

export interface HistoryOptions {
  readonly key: Buffer;
  /** Of commands that may have changed it. */
  readonly filter: CommandFilter;
  /** Stop behind so many of them. */
  readonly limit: number;
  readonly keepBytes?: number | undefined;
  readonly use: ScratchUse;
  /** For a scratch server that holds the key as it was at a position. */
  readonly planAt: (position: Position) => Promise<Plan>;
}

/** What it was at the cut of a plan. */
export async function keyAt(
  disk: Disk,
  plan: Plan,
  key: Buffer,
  filter: CommandFilter,
  use: ScratchUse,
): Promise<ValueEvent[]> {
  const timeline = await plannedTimeline(disk, plan);
  const { offset, id } = plan.cut;
  const at = await stateAt(disk, timeline, offset);
  await using watch = await KeyWatch.begin(disk, plan, key, at, use);
  const dbs = (await watch.dbs()).filter((db) => filter.takesDb(db));
  const values = await watch.lookAt(at, dbs, Math.floor(plan.ttl.asOf / 1000));
  const there = values.filter(({ state }) => state !== 'absent');
  const place = { kind: 'value', when: 'after', timeline, position: { id, offset } } as const;
  const { stamp } = await stampOf(disk, timeline, offset);
  let db = 0;
  while (!filter.takesDb(db)) db += 1;
  const told = there.length > 0 ? there : [absentValue(db)];
  return told.map((value) => ({ ...place, stamp, value }));
}

export async function* keyHistory(
  disk: Disk,
  reach: Reach,
  options: HistoryOptions,
): AsyncGenerator<readonly HistoryEvent[], void, undefined> {
  let left = options.limit;
  for (const leg of reach.legs) {
    if (leg.kind === 'stretch') left = yield* historyUntilRemoved(disk, reach, leg, { ...options, limit: left });
    else yield [leg];
    if (left <= 0) return;
  }
}

/** Returns how many commands of the limit are left. */
async function* historyUntilRemoved(
  disk: Disk,
  reach: Reach,
  leg: StretchLeg,
  options: HistoryOptions,
): AsyncGenerator<readonly HistoryEvent[], number, undefined> {
  try {
    return yield* historyOn(disk, reach, leg, options);
  } catch (error) {
    yield [await removedNotice(disk, reach, leg, error)];
    return options.limit;
  }
}

async function* historyOn(
  disk: Disk,
  reach: Reach,
  leg: StretchLeg,
  options: HistoryOptions,
): AsyncGenerator<readonly HistoryEvent[], number, undefined> {
  const { key, filter, use, keepBytes } = options;
  const { timeline } = leg;
  const plan = await options.planAt({ id: idAt(timeline, leg.to), offset: leg.to });
  const from = await stateAt(disk, timeline, leg.from);
  await using watch = await KeyWatch.begin(disk, plan, key, from, use);
  const steps = new Steps(watch, filter, key);
  const { stamp } = await stampOf(disk, timeline, leg.from);
  const placeOf = (offset: Offset): Pick<ValueEvent, 'timeline' | 'position'> => {
    return { timeline, position: { id: idAt(timeline, offset), offset } };
  };
  const first = await steps.begin(from, Math.floor(stamp / 1000));
  yield first.map((value) => ({ kind: 'value', when: 'before', ...placeOf(leg.from), stamp, value }));
  let left = options.limit;
  const finding = { keepBytes, withGroups: true, signal: use.signal };
  for await (const events of find(disk, { ...reach, legs: [leg] }, filter, finding)) {
    for (const event of events) {
      if (event.kind !== 'command') {
        yield [event];
        continue;
      }
      const isFound = !isGroupEnd(event) && left > 0;
      if (isFound) {
        left -= 1;
        steps.note(event);
        yield [event];
      }
      const isBoundary = !event.command.inMulti || nameOf(event.command) === 'EXEC';
      if (!isBoundary) continue;
      const { end: offset, db } = event.command;
      const values = await steps.lookAt({ offset, db }, Math.floor(event.written.to / 1000));
      yield values.map((value) => ({ kind: 'value', when: 'after', ...placeOf(offset), stamp: event.stamp, value }));
      if (left <= 0) return 0;
    }
  }
  return left;
}

function isGroupEnd({ command }: FoundCommand): boolean {
  return command.inMulti && command.argumentCount === 1 && /^(MULTI|EXEC)$/.test(nameOf(command));
}

/** Which dbs are to be looked at: those that commands named, and those where the key may be. */
class Steps {
  readonly #watch: KeyWatch;
  readonly #filter: CommandFilter;
  readonly #key: Buffer;
  /** Where it may be. */
  readonly #dbs = new Set<number>();
  /** Where it was, when it was looked at last. */
  readonly #there = new Set<number>();
  /** What the commands since named; all where one may have changed any key. */
  #named = new Set<number>();
  #isAny = false;

  constructor(watch: KeyWatch, filter: CommandFilter, key: Buffer) {
    this.#watch = watch;
    this.#filter = filter;
    this.#key = key;
  }

  async begin(at: { readonly offset: Offset; readonly db: number }, atMs: number): Promise<KeyValue[]> {
    for (const db of await this.#watch.dbs()) this.#add(db);
    const values = await this.#look(at, [...this.#dbs], atMs);
    return values.filter(({ state }) => state !== 'absent');
  }

  note({ command, match }: FoundCommand): void {
    if (match === 'any') {
      this.#isAny = true;
      this.#add(command.db);
      // Only SWAPDB moves a key that it does not name.
      if (nameOf(command) === 'SWAPDB')
        for (const db of command.args.slice(1)) this.#add(parseDb(db.toString('latin1')));
    }
    for (const { db, key } of keysOf(command).keys) {
      if (!key.equals(this.#key) || !this.#filter.takesDb(db)) continue;
      this.#named.add(db);
      this.#add(db);
    }
  }

  async lookAt(at: { readonly offset: Offset; readonly db: number }, atMs: number): Promise<KeyValue[]> {
    const [named, isAny] = [this.#named, this.#isAny];
    if (named.size === 0 && !isAny) return [];
    this.#named = new Set();
    this.#isAny = false;
    const were = new Set(this.#there);
    const values = await this.#look(at, isAny ? [...this.#dbs] : [...named], atMs);
    return values.filter(({ db, state }) => named.has(db) || state !== 'absent' || were.has(db));
  }

  async #look(
    at: { readonly offset: Offset; readonly db: number },
    dbs: readonly number[],
    atMs: number,
  ): Promise<KeyValue[]> {
    const values = await this.#watch.lookAt(
      at,
      [...dbs].sort((a, b) => a - b),
      atMs,
    );
    for (const { db, state } of values) {
      if (state === 'absent') this.#there.delete(db);
      else this.#there.add(db);
    }
    return values;
  }

  #add(db: number): void {
    if (this.#filter.takesDb(db)) this.#dbs.add(db);
  }
}
