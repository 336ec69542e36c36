/**
 * Which commands may come to something else because others before them are left out: those that touch a key that these
 * had written, or one that such a command wrote in turn. Told rather too many than too few.
 *
 * Invariant: what it holds is bounded; beyond that every key counts as touched.
 */
import { undoKeysMax } from '../../core/limits.ts';
import { keysOf, mayWrite } from '../../redis/command-keys.ts';
import type { CommandKeys, KeyArgument } from '../../redis/command-keys.ts';
import { nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { NameSet } from '../../redis/name-set.ts';

const flushAll = 'FLUSHALL';

export class LaterCommands {
  readonly #keys = new NameSet();
  #isAnyKey = false;
  #hasBegun = false;

  /** Any key may be another now: what was left out could have touched all. */
  get isAnyKey(): boolean {
    return this.#isAnyKey;
  }

  leaveOut(command: StreamCommand): void {
    this.#hasBegun = true;
    this.#note(keysOf(command));
  }

  /** Whether this one may come to something else. */
  take(command: StreamCommand): boolean {
    if (!this.#hasBegun) return false;
    if (!mayWrite(command)) return false;
    // Whatever there was, nothing is left of it.
    if (command.args[0]?.length === flushAll.length && nameOf(command) === flushAll) {
      this.#forget();
      return false;
    }
    if (this.#isAnyKey) return true;
    if (this.#keys.size === 0) return false;
    const touched = keysOf(command);
    const mayDiffer = touched.others !== 'none' || touched.keys.some((key) => this.#has(key));
    if (mayDiffer) this.#note(touched);
    return mayDiffer;
  }

  #has({ db, key }: KeyArgument): boolean {
    return this.#keys.has(db, key);
  }

  #note({ keys, others }: CommandKeys): void {
    if (others === 'all' || others === 'db') this.#isAnyKey = true;
    for (const { db, key, access } of keys) {
      if (this.#isAnyKey) break;
      if (access === 'ro') continue;
      this.#keys.add(db, key);
      if (this.#keys.size > undoKeysMax) this.#isAnyKey = true;
    }
    if (this.#isAnyKey) this.#keys.clear();
  }

  #forget(): void {
    this.#keys.clear();
    this.#isAnyKey = false;
  }
}
