/**
 * What is done about a full disk: the reserve is given up, and whoever needs room waits until there is so much that the
 * reserve can be made again. That it can is the proof, also under a quota that no figure tells of. Once we are told to
 * stop nobody waits any more: what is still to be written has the room of the reserve.
 *
 * Neighbour: watched-disk.ts, which asks here when an operation found no room.
 */
import type { Clock, Micros } from '../core/clock.ts';
import type { StorageError } from '../core/errors.ts';
import { retryDelayMs } from '../core/retry.ts';
import type { Reserve } from './reserve.ts';

export interface RoomEvents {
  /** Told once a spell. */
  full(error: StorageError): void;
  free(): void;
}

export interface RoomOptions {
  readonly reserve: Reserve;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly events: RoomEvents;
}

export class Room {
  readonly #options: RoomOptions;
  /** We are told to stop. */
  readonly #signal: AbortSignal;
  #spell: Promise<void> | undefined;
  #full: { readonly since: Micros; readonly error: StorageError } | undefined;
  #isGivenUp = false;

  constructor(options: RoomOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** The disk is full since then, as this error says; undefined while it is not. */
  get full(): { readonly since: Micros; readonly error: StorageError } | undefined {
    return this.#full;
  }

  /** An operation found no room: resolves when it may be tried again; throws its error when there is nothing to wait for. */
  async wait(error: StorageError): Promise<void> {
    if (this.#signal.aborted && this.#isGivenUp) throw error;
    this.#spell ??= this.#sitOut(error).finally(() => {
      this.#spell = undefined;
    });
    await this.#spell;
  }

  async #sitOut(error: StorageError): Promise<void> {
    const { reserve, clock, random, events } = this.#options;
    this.#full = { since: clock.wall(), error };
    events.full(error);
    this.#isGivenUp = true;
    // Without it there is less room for the last words, which is no reason to give them up.
    await reserve.giveUp().catch(() => undefined);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await clock.sleep(retryDelayMs('soon', attempt, random()), this.#signal);
      } catch {
        return;
      }
      if (await reserve.make().catch(() => false)) {
        this.#isGivenUp = false;
        this.#full = undefined;
        events.free();
        return;
      }
    }
  }
}
