/**
 * Which commands are looked for (pure): by name, by the keys they name, by db. Every command of the stream passes by here
 * where it lies; only one that may match is made, and then decided upon for good.
 *
 * A command that acts on all keys, or of which it cannot be told which, may have touched the wanted ones: it is found as
 * `any`, never left out. What replication itself needs (PING, SELECT, MULTI …) is found only by its name.
 */
import { hashKey } from '../../journal-format/key-hash.ts';
import type { KeyHash } from '../../journal-format/key-hash.ts';
import type { Wanted } from '../log/stretches.ts';
import { keysOf, mayTouch } from '../redis/command-keys.ts';
import type { CommandGlance } from '../redis/command-glance.ts';
import type { StreamCommand } from '../redis/command-reader.ts';
import { parseDb } from '../redis/key-selection.ts';
import { glob, onlyKeyOf } from '../redis/glob.ts';
import type { Glob } from '../redis/glob.ts';

export interface FilterText {
  /** Globs; of any of them. None: every key, and no key. */
  readonly keys: readonly (string | Uint8Array)[];
  /** Globs of keys that count for nothing; a command that has another one is found with all its keys. */
  readonly exclude?: readonly (string | Uint8Array)[];
  /** Names, or globs of them, in any case. None: all, but for what replication itself needs. */
  readonly commands: readonly string[];
  readonly dbs: readonly string[];
  /** Only commands that may change such a key, not those that read it. */
  readonly isOfChanges?: boolean;
}

/** Why a command matches: all that was asked for is so; or it may have touched any key. */
export type Match = 'sure' | 'any';

const upkeep = ['PING', 'REPLCONF', 'SELECT', 'MULTI', 'EXEC', 'DISCARD'];
/** Longer names are those of no command. */
const nameBytesMost = 64;

export class CommandFilter {
  readonly #keys: readonly Glob[];
  readonly #excluded: readonly Glob[];
  readonly #names: readonly Glob[];
  readonly #isInverted: boolean;
  readonly #isOfChanges: boolean;
  /** What can be said of them to whoever knows which blocks may hold some. */
  readonly wanted: Wanted;
  readonly #dbs: ReadonlySet<number> | undefined;
  /** The name at hand, in upper case. */
  readonly #name: Buffer = Buffer.alloc(nameBytesMost);

  /** UsageError where a db is none. */
  constructor({ keys, exclude = [], commands, dbs, isOfChanges = false }: FilterText) {
    this.#isOfChanges = isOfChanges;
    this.wanted = { keys: hashesOf(keys), names: namesOf(commands) };
    this.#keys = keys.map(glob);
    this.#excluded = exclude.map(glob);
    this.#isInverted = commands.length === 0;
    this.#names = (this.#isInverted ? upkeep : commands).map((name) => glob(name.toUpperCase()));
    this.#dbs = dbs.length === 0 ? undefined : new Set(dbs.map(parseDb));
  }

  /** By its name. */
  readonly isWanted = (bytes: Buffer, at: number, length: number): boolean => {
    if (length > nameBytesMost) return true;
    for (let i = 0; i < length; i += 1) {
      const byte = bytes[at + i] ?? 0;
      this.#name[i] = byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
    }
    return this.#names.some(({ matchesAt }) => matchesAt(this.#name, 0, length)) !== this.#isInverted;
  };

  /** By its keys and db, as far as can be told where it lies: what matches is never passed over. */
  readonly isMatch = (command: CommandGlance): boolean => {
    const isInDb = this.takesDb(command.db);
    if (this.#keys.length === 0) return isInDb || mayTouch(command, never);
    return mayTouch(command, isInDb ? this.#isKey : never);
  };

  readonly #isKey = (bytes: Buffer, at: number, length: number): boolean => {
    for (const { matchesAt } of this.#excluded) if (matchesAt(bytes, at, length)) return false;
    for (const { matchesAt } of this.#keys) if (matchesAt(bytes, at, length)) return true;
    return this.#keys.length === 0;
  };

  /** Undefined: it is not one of those that are looked for. */
  match(command: StreamCommand): Match | undefined {
    const name = command.args[0];
    if (name === undefined || !this.isWanted(name, 0, name.length)) return undefined;
    const isOfAnyKey = this.#keys.length === 0;
    if (isOfAnyKey && this.#excluded.length === 0 && this.takesDb(command.db)) return 'sure';
    const { keys, others, isWrite } = keysOf(command);
    if (isOfAnyKey && keys.length === 0 && this.takesDb(command.db)) return 'sure';
    for (const { db, key, access } of keys) {
      const isMeant = !this.#isOfChanges || access !== 'ro';
      if (isMeant && this.takesDb(db) && this.takesKey(key)) return 'sure';
    }
    const mayBeAny = others === 'all' || (others === 'db' && this.takesDb(command.db));
    return mayBeAny && isWrite ? 'any' : undefined;
  }

  takesDb(db: number): boolean {
    return this.#dbs?.has(db) ?? true;
  }

  takesKey(key: Buffer): boolean {
    return this.#isKey(key, 0, key.length);
  }
}

/** Undefined: of any key. */
function hashesOf(keys: FilterText['keys']): KeyHash[] | undefined {
  const only = keys.map(onlyKeyOf).filter((key) => key !== undefined);
  return keys.length > 0 && only.length === keys.length ? only.map(hashKey) : undefined;
}

/** Undefined: of any name. */
function namesOf(commands: readonly string[]): string[] | undefined {
  const only = commands.map(onlyKeyOf).filter((name) => name !== undefined);
  if (commands.length === 0 || only.length < commands.length) return undefined;
  return only.map((name) => name.toString('latin1').replace(/[a-z]+/g, (letters) => letters.toUpperCase()));
}

function never(): boolean {
  return false;
}
