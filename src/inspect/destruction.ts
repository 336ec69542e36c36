/**
 * What in a stream destroyed much at once (pure): flushes, swapped dbs, renames that may have replaced a key, and keys that
 * were removed in a burst.
 *
 * Keys are removed in a burst when one command or one MULTI (a script is one) removes burstKeysLeast of them or more; or when
 * as many are removed within a second, and that is at least twice the writes in between, so that there must be fewer keys
 * afterwards, or five times what was usual in the minutes before. What follows within a pause belongs to it.
 *
 * The stream has its limits: a key that expired is removed by the primary with the same commands; whether RENAME replaced
 * anything, and who sent what, it does not say.
 */
import type { Micros } from '../core/clock.ts';
import { burstKeysLeast } from '../core/limits.ts';
import { keysOf } from '../redis/command-keys.ts';
import type { KeyArgument } from '../redis/command-keys.ts';
import { nameOf } from '../redis/command-reader.ts';
import type { StreamCommand } from '../redis/command-reader.ts';
import { Extent } from './extent.ts';
import type { Place } from './extent.ts';

export interface Destruction {
  readonly kind: 'flush' | 'swap' | 'removal' | 'rename';
  readonly extent: Extent;
  /** All of it in one MULTI, or by one command. */
  readonly isOne: boolean;
}

/** Which keys are looked at; commands that act on a whole db belong to all keys of it. */
export interface KeysMeant {
  readonly takesDb: (db: number) => boolean;
  readonly takesKey: (key: Buffer) => boolean;
}

const second: Micros = 1_000_000;
const windowMicros: Micros = second;
/** Between two parts of one burst. */
const pauseMicros: Micros = 2 * second;
const fallFactor = 2;
const unusualFactor = 5;
/** The usual is what was so over about this long. */
const usualMicros: Micros = 60 * second;

export class DestructionFinder {
  readonly #meant: KeysMeant;
  #group: Extent | undefined;
  /** Of small removals: those of a second, and the writes among them. */
  #window: Extent | undefined;
  #windowWrites = 0;
  /** Writes since the last removal. */
  #writes = 0;
  /** Removed keys a second; undefined while nothing is known. */
  #usual: number | undefined;
  #burst: { readonly extent: Extent; readonly isOne: boolean } | undefined;
  #renames: Extent | undefined;
  #found: Destruction[] = [];

  constructor(meant: KeysMeant) {
    this.#meant = meant;
  }

  /** `writes`: other commands that wrote since the last one. What is over with this one, each told once. */
  take(command: StreamCommand, stamp: Micros, writes: number): Destruction[] {
    this.#writes += writes;
    this.#endWhatPaused(stamp);
    this.#take(command, { offset: command.end, stamp });
    return this.#told();
  }

  /** Nothing follows. */
  finish(): Destruction[] {
    this.#closeWindow(undefined);
    this.#endBurst();
    this.#endRenames();
    return this.#told();
  }

  #told(): Destruction[] {
    const found = this.#found;
    if (found.length > 0) this.#found = [];
    return found.sort((a, b) => a.extent.first.offset - b.extent.first.offset);
  }

  #endWhatPaused(stamp: Micros): void {
    if (this.#window !== undefined && stamp - this.#window.first.stamp >= windowMicros) this.#closeWindow(stamp);
    // What is not decided yet may belong to it.
    const next = Math.min(stamp, this.#group?.first.stamp ?? Infinity, this.#window?.first.stamp ?? Infinity);
    if (this.#burst !== undefined && next - this.#burst.extent.last.stamp > pauseMicros) this.#endBurst();
    if (this.#renames !== undefined && stamp - this.#renames.last.stamp > pauseMicros) this.#endRenames();
  }

  #take(command: StreamCommand, place: Place): void {
    const name = nameOf(command);
    if (name === 'EXEC') this.#endGroup();
    else if (name === 'FLUSHALL' || name === 'FLUSHDB') this.#whole('flush', command, place, name);
    else if (name === 'SWAPDB') this.#whole('swap', command, place, name);
    else if (name === 'RENAME') this.#rename(command, place);
    else this.#removal(command, place, name);
  }

  #whole(kind: 'flush' | 'swap', command: StreamCommand, place: Place, name: string): void {
    const dbs = dbsOf(command, name);
    if (dbs?.some((db) => this.#meant.takesDb(db)) === false) return;
    // What was removed before it is over with it.
    this.#closeWindow(undefined);
    this.#endBurst();
    this.#endRenames();
    const extent = new Extent(place);
    extent.add(place, name, []);
    this.#found.push({ kind, extent, isOne: true });
  }

  #rename(command: StreamCommand, place: Place): void {
    const keys = this.#ofThoseMeant(keysOf(command).keys.filter(({ access }) => access === 'ow'));
    if (keys.length === 0) return;
    this.#renames ??= new Extent(place);
    this.#renames.add(place, 'RENAME', keys);
  }

  #endRenames(): void {
    const extent = this.#renames;
    this.#renames = undefined;
    if (extent !== undefined) this.#found.push({ kind: 'rename', extent, isOne: extent.commands === 1 });
  }

  #removal(command: StreamCommand, place: Place, name: string): void {
    const { keys, more } = this.#removed(command, name, place.stamp);
    if (keys.length + more === 0) return;
    const extent = command.inMulti ? (this.#group ??= new Extent(place)) : new Extent(place);
    extent.add(place, name, keys, more);
    if (!command.inMulti) this.#unit(extent);
  }

  /** What it removed of the keys that are meant; `more`: those that are not here any more. */
  #removed(command: StreamCommand, name: string, stamp: Micros): { keys: readonly KeyArgument[]; more: number } {
    const { keys } = keysOf(command);
    const isRemoval = keys.length > 0 && keys.every(({ access }) => access === 'rm');
    if (!isRemoval && !endsInThePast(command, name, stamp)) return { keys: [], more: 0 };
    const more = isRemoval ? Math.max(0, command.argumentCount - command.args.length) : 0;
    return { keys: this.#ofThoseMeant(keys), more };
  }

  #ofThoseMeant(keys: readonly KeyArgument[]): readonly KeyArgument[] {
    return keys.filter(({ key, db }) => this.#meant.takesDb(db) && this.#meant.takesKey(key));
  }

  #endGroup(): void {
    const group = this.#group;
    this.#group = undefined;
    if (group !== undefined) this.#unit(group);
  }

  /** What one command, or one MULTI, removed. */
  #unit(unit: Extent): void {
    if (unit.keys >= burstKeysLeast) {
      this.#extendBurst(unit, true);
      return;
    }
    if (this.#window !== undefined) this.#windowWrites += this.#writes;
    this.#writes = 0;
    this.#window = this.#window?.merge(unit) ?? unit;
  }

  #closeWindow(nextStamp: Micros | undefined): void {
    const window = this.#window;
    if (window === undefined) return;
    if (this.#isBurst(window)) this.#extendBurst(window, false);
    else if (nextStamp !== undefined) this.#learn(window.keys, nextStamp - window.first.stamp);
    this.#window = undefined;
    this.#windowWrites = 0;
  }

  #isBurst({ keys }: Extent): boolean {
    if (keys < burstKeysLeast) return false;
    return keys >= fallFactor * this.#windowWrites || keys >= unusualFactor * (this.#usual ?? Infinity);
  }

  #learn(keys: number, micros: Micros): void {
    const rate = keys / (micros / second);
    const weight = 1 - Math.exp(-micros / usualMicros);
    this.#usual = this.#usual === undefined ? rate : this.#usual + (rate - this.#usual) * weight;
  }

  #extendBurst(part: Extent, isOne: boolean): void {
    const burst = this.#burst;
    if (burst !== undefined && part.first.stamp - burst.extent.last.stamp > pauseMicros) this.#endBurst();
    this.#burst =
      this.#burst === undefined ? { extent: part, isOne } : { extent: this.#burst.extent.merge(part), isOne: false };
  }

  #endBurst(): void {
    const burst = this.#burst;
    this.#burst = undefined;
    if (burst !== undefined) this.#found.push({ kind: 'removal', ...burst });
  }
}

/** Undefined: all. */
function dbsOf({ db, args }: StreamCommand, name: string): readonly number[] | undefined {
  if (name === 'FLUSHDB') return [db];
  return name === 'SWAPDB' ? args.slice(1).map((text) => Number(text.toString('latin1'))) : undefined;
}

/** Servers make a DEL of it, where they can; scripts and old ones do not always. */
function endsInThePast({ args }: StreamCommand, name: string, stamp: Micros): boolean {
  const text = args[2]?.toString('latin1') ?? '';
  if (!/^-?\d{1,19}$/.test(text)) return false;
  const number = Number(text);
  switch (name) {
    case 'EXPIRE':
    case 'PEXPIRE':
      return number <= 0;
    case 'EXPIREAT':
      return number * second <= stamp;
    case 'PEXPIREAT':
      return number * 1000 <= stamp;
    default:
      return false;
  }
}
