/**
 * Keys that came along with those that are wanted, as these depended on them; and the commands that remove them again when
 * all else is replayed (pure). So a server that loads base, stream and these commands has the wanted keys only, and it
 * takes none to make that.
 *
 *   back      the dbs are put where they were at the base (SWAPDB), if the stream has exchanged any
 *   noted     SELECT db · UNLINK key, of each key that was seen and is not wanted; many have gone by then, or never came
 *   forth     the dbs are put where they belong; FLUSHDB of each that is not wanted; FUNCTION FLUSH
 *
 * Names are noted by the db that they would be in had no dbs been exchanged. They are written as they come, and not kept:
 * a name is noted again when too many others have been since, so memory is bounded by cameAlongBytesMax.
 */
import { cameAlongBytesMax } from '../../core/limits.ts';
import { keysOf } from '../../redis/command-keys.ts';
import { nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { encodeCommand } from '../../redis/commands-out.ts';
import type { KeySelection } from '../../redis/key-selection.ts';

/** What a name takes besides its bytes. */
const nameOverheadBytes = 64;

export class CameAlong {
  /** Whether a key of a name that is wanted was ever seen: else there is none. */
  hasWanted = false;
  readonly #selection: KeySelection;
  /** Those that were noted lately, with their dbs. */
  readonly #names = new Set<string>();
  #namesBytes = 0;
  #noted: Buffer[] = [];
  #isAnyNoted = false;
  #selected: number | undefined;
  /** Of dbs that were exchanged: which one's keys are in it. */
  readonly #homes = new Map<number, number>();
  /** Dbs that ever had a key, by where it is at home. */
  readonly #dbs = new Set<number>();
  #hasFunctions = false;

  constructor(selection: KeySelection) {
    this.#selection = selection;
  }

  /** Follows a command that is replayed. False: it is to be left out, as functions are not wanted. */
  take(command: StreamCommand): boolean {
    const { keys, others } = keysOf(command);
    for (const { db, key } of keys) this.note(db, key);
    if (keys.length > 0) return true;
    const name = nameOf(command);
    if (others === 'all' && name === 'SWAPDB') this.#exchange(dbIn(command.args[1]), dbIn(command.args[2]));
    if (name !== 'FUNCTION' || this.#selection.takesFunctions) return true;
    // Of one that is too long to be held back, a part is gone already.
    this.#hasFunctions = true;
    return false;
  }

  /** The same of a command all of whose keys are wanted. */
  takeWanted(db: number): void {
    this.hasWanted = true;
    this.#dbs.add(this.#homeOf(db));
  }

  /** A key that is there, or may come to be. */
  note(db: number, key: Buffer): void {
    const home = this.#homeOf(db);
    this.#dbs.add(home);
    if (this.#selection.takesName(key)) {
      this.hasWanted = true;
      return;
    }
    const name = `${home} ${key.toString('latin1')}`;
    if (this.#names.has(name)) return;
    this.#remember(name);
    if (home !== this.#selected) this.#noted.push(encodeCommand('SELECT', String(home)));
    this.#selected = home;
    this.#isAnyNoted = true;
    // One each: in a cluster, keys of one command would have to be of one slot.
    this.#noted.push(encodeCommand('UNLINK', key));
  }

  /** What was noted since the last time. */
  noted(): Buffer[] {
    const noted = this.#noted;
    this.#noted = [];
    return noted;
  }

  /** To be asked when all is replayed. */
  back(): Buffer[] {
    return this.#isAnyNoted ? this.#exchanges().toReversed().map(encodeExchange) : [];
  }

  /** The same. */
  forth(): Buffer[] {
    const exchanges = this.#exchanges();
    const unwanted = [...this.#dbs]
      .map((home) => exchanges.reduce((db, [a, b]) => (db === a ? b : db === b ? a : db), home))
      .filter((db) => !this.#selection.takesDb(db));
    return [
      ...(this.#isAnyNoted ? exchanges.map(encodeExchange) : []),
      ...unwanted.flatMap((db) => [encodeCommand('SELECT', String(db)), encodeCommand('FLUSHDB')]),
      ...(this.#hasFunctions ? [encodeCommand('FUNCTION', 'FLUSH')] : []),
    ];
  }

  #remember(name: string): void {
    this.#namesBytes += name.length + nameOverheadBytes;
    if (this.#namesBytes > cameAlongBytesMax) {
      this.#names.clear();
      this.#namesBytes = name.length + nameOverheadBytes;
    }
    this.#names.add(name);
  }

  #homeOf(db: number): number {
    return this.#homes.get(db) ?? db;
  }

  #exchange(a: number, b: number): void {
    const [ofA, ofB] = [this.#homeOf(a), this.#homeOf(b)];
    this.#homes.set(a, ofB).set(b, ofA);
  }

  /** What brings all dbs from home to where they are, one after the other. */
  #exchanges(): (readonly [number, number])[] {
    const homes = new Map(this.#homes);
    const exchanges: (readonly [number, number])[] = [];
    for (const db of homes.keys()) {
      for (let home = homes.get(db) ?? db; home !== db; home = homes.get(db) ?? db) {
        exchanges.push([db, home]);
        homes.set(db, homes.get(home) ?? home).set(home, home);
      }
    }
    // So far these take each home.
    return exchanges.toReversed();
  }
}

/** Of a command that a primary has replicated. */
function dbIn(argument: Buffer | undefined): number {
  return Number(argument?.toString('latin1'));
}

function encodeExchange([a, b]: readonly [number, number]): Buffer {
  return encodeCommand('SWAPDB', String(a), String(b));
}
