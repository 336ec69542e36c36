/**
 * Which keys are wanted, and under which names (pure): those that one of the globs matches or that are on a list (all where
 * there is neither), but none that is excluded; of some dbs, of some types. Then they are renamed.
 *
 * Functions belong to no key: they come along unless keys, dbs or types are asked for by name.
 */
import { UsageError } from '../core/errors.ts';
import { dbMax } from './control-commands.ts';
import { glob, globOf } from './glob.ts';
import type { Glob } from './glob.ts';
import type { KeyNames } from './key-names.ts';
import { parseRename } from './rename-rule.ts';

export const keyTypes = ['string', 'list', 'set', 'zset', 'hash', 'stream'] as const;
export type KeyType = (typeof keyTypes)[number];

/** As the user writes it. */
export interface SelectionText {
  readonly keys: readonly string[];
  readonly exclude: readonly string[];
  readonly db: readonly string[];
  readonly type: readonly string[];
  readonly rename: readonly string[];
}

export interface SelectionGlobs {
  readonly keys: readonly (string | Uint8Array)[];
  readonly exclude: readonly (string | Uint8Array)[];
}

export class KeySelection {
  readonly text: SelectionText;
  /** Undefined: of every type. */
  readonly types: ReadonlySet<string> | undefined;
  readonly takesFunctions: boolean;
  readonly renames: boolean;
  /** By their whole names; undefined: there is no such list. */
  readonly names: KeyNames | undefined;
  readonly #dbs: ReadonlySet<number> | undefined;
  readonly #keys: readonly Glob[];
  readonly #excluded: readonly Glob[];
  readonly #rename: (key: Buffer) => Buffer;

  /** UsageError (exit 2) where a text is not what it should be. `globs`: those of the text, where some are no text. */
  constructor(text: SelectionText, globs: SelectionGlobs = text, names?: KeyNames) {
    this.text = text;
    this.names = names;
    this.types = text.type.length === 0 ? undefined : new Set(text.type.map(parseType));
    this.#dbs = text.db.length === 0 ? undefined : new Set(text.db.map(parseDb));
    this.#keys = globs.keys.map(glob);
    this.#excluded = globs.exclude.map(glob);
    const rules = text.rename.map(parseRename);
    this.renames = rules.length > 0;
    this.#rename = (key) => rules.reduce((name, rule) => rule.rename(name), key);
    this.takesFunctions = !this.isByName && this.#dbs === undefined && this.types === undefined;
  }

  /** This key only, in every db. */
  static ofKey(key: Buffer): KeySelection {
    const only = globOf(key);
    return new KeySelection(
      { keys: [only.toString()], exclude: [], db: [], type: [], rename: [] },
      { keys: [only], exclude: [] },
    );
  }

  /** Globs or names say which; else all are wanted but those that are excluded. */
  get isByName(): boolean {
    return this.#keys.length > 0 || this.names !== undefined;
  }

  /** `type` is its code in an RDB. */
  takes(db: number, type: number, key: Buffer): boolean {
    return this.takesDb(db) && (this.types?.has(typeNames[type] ?? '') ?? true) && this.takesName(key);
  }

  takesDb(db: number): boolean {
    return this.#dbs?.has(db) ?? true;
  }

  takesName(key: Uint8Array): boolean {
    return this.takesNameAt(key, 0, key.length);
  }

  /** The same of the key in bytes[at, at + length). */
  takesNameAt(bytes: Uint8Array, at: number, length: number): boolean {
    return this.#isAskedAt(bytes, at, length) && !this.#excluded.some(({ matchesAt }) => matchesAt(bytes, at, length));
  }

  #isAskedAt(bytes: Uint8Array, at: number, length: number): boolean {
    if (!this.isByName || this.names?.hasAt(bytes, at, length) === true) return true;
    return this.#keys.some(({ matchesAt }) => matchesAt(bytes, at, length));
  }

  /** The same buffer where nothing is renamed. */
  nameOf(key: Buffer): Buffer {
    return this.renames ? this.#rename(key) : key;
  }
}

/** What is asked of each key of an RDB. */
export interface KeyChoice extends Pick<KeySelection, 'nameOf' | 'renames' | 'takesFunctions'> {
  /** `type` is its code in an RDB; `ends`: at some time, as a whole. */
  readonly takes: (db: number, type: number, key: Buffer, ends: boolean) => boolean;
}

/** Of a code in an RDB; undefined: none that we know. */
export function typeOfCode(code: number): KeyType | undefined {
  return typeNames[code];
}

const typeNames: Readonly<Record<number, KeyType>> = {
  ...{ 0: 'string', 1: 'list', 10: 'list', 14: 'list', 18: 'list', 2: 'set', 11: 'set', 20: 'set' },
  ...{ 3: 'zset', 5: 'zset', 12: 'zset', 17: 'zset', 4: 'hash', 9: 'hash', 13: 'hash', 16: 'hash' },
  ...{ 22: 'hash', 24: 'hash', 25: 'hash', 15: 'stream', 19: 'stream', 21: 'stream', 26: 'stream', 27: 'stream' },
};

/** Undefined where nothing is asked for. */
export function parseSelection(text: Partial<SelectionText>, names?: KeyNames): KeySelection | undefined {
  const { keys = [], exclude = [], db = [], type = [], rename = [] } = text;
  const isEmpty = [keys, exclude, db, type, rename].every((list) => list.length === 0);
  if (isEmpty && names === undefined) return undefined;
  const all = { keys, exclude, db, type, rename };
  return new KeySelection(all, all, names);
}

function parseType(text: string): string {
  const found = keyTypes.find((type) => type === text);
  if (found !== undefined) return found;
  throw new UsageError('bad-type', `not a type: ${JSON.stringify(text)}`, {
    hint: `the types are ${keyTypes.join(', ')}`,
  });
}

export function parseDb(text: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= dbMax) return Number(text);
  throw new UsageError('bad-db', `not a db: ${JSON.stringify(text)}`, { hint: 'write its number, such as --db 0' });
}
