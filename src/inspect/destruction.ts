/**
 * What in a stream destroyed much at once (pure): flushes, swapped dbs, renames that may have replaced a key, keys that were
 * removed in a burst, and keys that were given little time to live in a burst.
 *
 * Keys are removed in a burst when one command or one MULTI (a script is one) removes burstKeysLeast of them or more; or when
 * as many are removed within a second, and that is at least twice the writes in between, so that there must be fewer keys
 * afterwards, or five times what was usual in the minutes before.
 *
 * Keys are doomed in a burst when as many of them, none just written, are told within a second to end within a minute, and
 * that is five times what was usual; unless they are put off again and again, as that is how keys are kept alive. That each
 * then ends is no removal of its own. bursts.ts says what belongs to one burst, doomed.ts which keys are kept alive.
 *
 * The stream has its limits: a key that expired is removed by the primary with the same commands; whether RENAME replaced
 * anything, and who sent what, it does not say.
 */
import type { Micros } from '../core/clock.ts';
import { keysOf } from '../redis/command-keys.ts';
import type { KeyArgument } from '../redis/command-keys.ts';
import { nameOf } from '../redis/command-reader.ts';
import type { StreamCommand } from '../redis/command-reader.ts';
import { Bursts, pauseMicros } from './bursts.ts';
import type { Burst } from './bursts.ts';
import { Doomed, numberOf } from './doomed.ts';
import { Extent } from './extent.ts';
import type { Place } from './extent.ts';

export interface Destruction {
  readonly kind: 'flush' | 'swap' | 'removal' | 'expiry' | 'rename';
  readonly extent: Extent;
  /** All of it in one MULTI, or by one command. */
  readonly isOne: boolean;
  /** Of flushes and swaps: what they were of; undefined: all. */
  readonly dbs?: readonly number[] | undefined;
  /** Of doomed keys: when the last of them ends. */
  readonly ends?: Micros | undefined;
  /** Of renames: what the keys were called before. */
  readonly sources?: Extent | undefined;
}

/** Which keys are looked at; commands that act on a whole db belong to all keys of it. */
export interface KeysMeant {
  readonly takesDb: (db: number) => boolean;
  readonly takesKey: (key: Buffer) => boolean;
}

/** What came before a command. */
export interface Before {
  /** Other commands that wrote since the last one. */
  readonly writes: number;
  /** Its key was just written by another command. */
  readonly isOfNew: boolean;
}

const second: Micros = 1_000_000;
const fallFactor = 2;
const unusualFactor = 5;
/** Who gives a key that long at most may mean to be rid of it. */
const soonMicros: Micros = 60 * second;
/** What goes on from the beginning for as long is usual, as far as anybody knows. */
const usualFrom: Micros = 60 * second;
/** As many bursts wait at most for what becomes of their keys. */
const waitingMost = 8;
/** Of as many bursts that were told, and that were none, it is known which keys they were of. */
const knownMost = 2;

export class DestructionFinder {
  readonly #meant: KeysMeant;
  readonly #removals = new Bursts<Extent>(
    ({ keys, writes, usual = Infinity }) => keys >= fallFactor * writes || keys >= unusualFactor * usual,
  );
  readonly #expiries = new Bursts<Doomed>(({ keys, usual = 0 }) => keys >= unusualFactor * usual);
  /** Of the MULTI at hand. */
  #removed: Extent | undefined;
  #doomed: Doomed | undefined;
  /** Bursts that are over, with keys that may yet be put off. */
  #waiting: Burst<Doomed>[] = [];
  /** Those that were told, with the keys that have not ended yet. */
  #gone: Doomed[] = [];
  /** Those that were none. */
  #alive: Doomed[] = [];
  #renames: { readonly extent: Extent; readonly sources: Extent } | undefined;
  #begun: Micros | undefined;
  #found: Destruction[] = [];

  constructor(meant: KeysMeant) {
    this.#meant = meant;
  }

  /** What is over with this one, each told once. */
  take(command: StreamCommand, stamp: Micros, before: Before): Destruction[] {
    this.#begun ??= stamp;
    this.#endWhatPaused(stamp, before.writes);
    this.#take(command, { offset: command.end, stamp }, before.isOfNew);
    return this.#told();
  }

  /** Nothing follows. */
  finish(): Destruction[] {
    this.#endAll();
    this.#endWaiting(Infinity);
    return this.#told();
  }

  #told(): Destruction[] {
    const found = this.#found;
    if (found.length > 0) this.#found = [];
    return found.sort((a, b) => a.extent.first.offset - b.extent.first.offset);
  }

  #endWhatPaused(stamp: Micros, writes: number): void {
    this.#removals.pass(stamp, writes, this.#removed?.first.stamp);
    this.#expiries.pass(stamp, writes, this.#doomed?.extent.first.stamp);
    const doomed = this.#expiries.current?.part;
    if (doomed?.isKeptAlive === true || (doomed !== undefined && this.#isOfOld(doomed))) this.#expiries.takeAsUsual();
    this.#takeEnded();
    this.#endWaiting(stamp);
    if (this.#renames !== undefined && stamp - this.#renames.extent.last.stamp > pauseMicros) this.#endRenames();
  }

  #isOfOld({ extent: { first, last } }: Doomed): boolean {
    return first.stamp - (this.#begun ?? 0) <= pauseMicros && last.stamp - first.stamp > usualFrom;
  }

  #takeEnded(): void {
    for (const { part, isOne } of this.#removals.ended()) this.#tell('removal', part, isOne);
    this.#waiting.push(...this.#expiries.ended());
  }

  /** Behind its end nothing is put off any more. */
  #endWaiting(stamp: Micros): void {
    for (const burst of this.#waiting) {
      const { part, isOne } = burst;
      if (stamp <= part.ends && this.#waiting.length <= waitingMost) continue;
      this.#waiting = this.#waiting.filter((other) => other !== burst);
      if (part.isKeptAlive || this.#alive.some((alive) => part.isMostlyOf(alive))) {
        this.#alive = [...this.#alive, part].slice(-knownMost);
        continue;
      }
      this.#tell('expiry', part.extent, isOne, part.ends);
      this.#gone = [...this.#gone, part].slice(-knownMost);
    }
  }

  #tell(kind: Destruction['kind'], extent: Extent, isOne: boolean, ends?: Micros): void {
    this.#found.push({ kind, extent, isOne, ends });
  }

  #take(command: StreamCommand, place: Place, isOfNew: boolean): void {
    const name = nameOf(command);
    if (name === 'EXEC') this.#endGroup();
    else if (name === 'FLUSHALL' || name === 'FLUSHDB') this.#whole('flush', command, place, name);
    else if (name === 'SWAPDB') this.#whole('swap', command, place, name);
    else if (name === 'RENAME') this.#rename(command, place);
    else if (name.includes('EXPIRE') || name === 'PERSIST') this.#expiry(command, place, name, isOfNew);
    else this.#removal(command, place, name);
  }

  #whole(kind: 'flush' | 'swap', command: StreamCommand, place: Place, name: string): void {
    const dbs = dbsOf(command, name);
    if (dbs?.some((db) => this.#meant.takesDb(db)) === false) return;
    // What was removed before it is over with it.
    this.#endAll();
    const extent = new Extent(place);
    extent.add(place, name, []);
    this.#found.push({ kind, extent, isOne: true, dbs });
  }

  #endAll(): void {
    this.#removals.finish();
    this.#expiries.finish();
    this.#takeEnded();
    this.#endRenames();
  }

  #rename(command: StreamCommand, place: Place): void {
    const { keys } = keysOf(command);
    const replaced = this.#ofThoseMeant(keys.filter(({ access }) => access === 'ow'));
    if (replaced.length === 0) return;
    this.#renames ??= { extent: new Extent(place), sources: new Extent(place) };
    this.#renames.extent.add(place, 'RENAME', replaced);
    const sources = keys.filter(({ access }) => access !== 'ow');
    this.#renames.sources.add(place, 'RENAME', sources);
  }

  #endRenames(): void {
    const renames = this.#renames;
    this.#renames = undefined;
    if (renames !== undefined) this.#found.push({ kind: 'rename', isOne: renames.extent.commands === 1, ...renames });
  }

  #removal(command: StreamCommand, place: Place, name: string): void {
    const { keys } = keysOf(command);
    if (!keys.every(({ access }) => access === 'rm')) return;
    const meant = this.#ofThoseMeant(keys).filter((key) => !this.#isEndOfDoomed(key));
    const more = keys.length > 0 ? Math.max(0, command.argumentCount - command.args.length) : 0;
    if (meant.length + more === 0) return;
    const extent = command.inMulti ? (this.#removed ??= new Extent(place)) : new Extent(place);
    extent.add(place, name, meant, more);
    if (!command.inMulti) this.#removals.add(extent);
  }

  #ofThoseMeant(keys: readonly KeyArgument[]): readonly KeyArgument[] {
    return keys.filter(({ key, db }) => this.#meant.takesDb(db) && this.#meant.takesKey(key));
  }

  /** It was told, or is to be, with what doomed it. */
  #isEndOfDoomed(removed: KeyArgument): boolean {
    const key = numberOf(removed.key, removed.db);
    return this.#undecided().some((part) => part.has(key)) || this.#gone.some((part) => part.take(key));
  }

  #undecided(): readonly Doomed[] {
    const parts = this.#waiting.map(({ part }) => part);
    const current = this.#expiries.current;
    return current === undefined ? parts : [current.part, ...parts];
  }

  #expiry(command: StreamCommand, place: Place, name: string, isOfNew: boolean): void {
    const [key] = this.#ofThoseMeant(keysOf(command).keys);
    if (key === undefined) return;
    const ends = endOf(command, name, place.stamp);
    const isDoomed = !isOfNew && ends !== undefined && ends - place.stamp <= soonMicros;
    const number = numberOf(key.key, key.db);
    // What a burst that goes on has of it, it counts itself.
    const parts = isDoomed ? this.#waiting.map(({ part }) => part) : this.#undecided();
    for (const part of parts) part.putOff(number, !isDoomed && !isOfNew);
    if (!isDoomed) return;
    const doomed = Doomed.key(place, name, key, ends);
    if (!command.inMulti) this.#expiries.add(doomed);
    else this.#doomed = this.#doomed?.merge(doomed) ?? doomed;
  }

  #endGroup(): void {
    if (this.#removed !== undefined) this.#removals.add(this.#removed);
    if (this.#doomed !== undefined) this.#expiries.add(this.#doomed);
    this.#removed = undefined;
    this.#doomed = undefined;
  }
}

/** Undefined: all. */
function dbsOf({ db, args }: StreamCommand, name: string): readonly number[] | undefined {
  if (name === 'FLUSHDB') return [db];
  return name === 'SWAPDB' ? args.slice(1).map((text) => Number(text.toString('latin1'))) : undefined;
}

/** When the key is to end; undefined where it is not to, or that cannot be told. */
function endOf({ args }: StreamCommand, name: string, stamp: Micros): Micros | undefined {
  const text = args[2]?.toString('latin1') ?? '';
  if (!/^-?\d{1,19}$/.test(text)) return undefined;
  const micros = Number(text) * (name.startsWith('P') ? 1000 : second);
  return name.endsWith('AT') ? micros : stamp + micros;
}
