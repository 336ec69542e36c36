/**
 * What a delayed copy that is paused must not forget: that it is, where, and under which history, so that after a restart its
 * replicas go on by a partial resync and are sent nothing more. Written durably before it is true, gone once it follows again.
 *
 * Invariant: a file that cannot be read is never taken for none: a copy would run on that was stopped on a bad day.
 */
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Micros } from '../core/clock.ts';
import { IntegrityError, StorageError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import type { ReplicationId } from '../core/position.ts';
import type { PingRun } from '../downstream/history.ts';
import type { StampedBoundary } from '../log/due-boundary.ts';
import { isNotFound } from '../log/source-tree.ts';
import type { Disk } from '../storage/disk.ts';
import { publish, readSmall } from '../storage/publish.ts';

export interface PausedAt {
  readonly timeline: number;
  /** Of our own history. */
  readonly id: ReplicationId;
  readonly pings: readonly PingRun[];
  /** What expires does so that much later than in the journal. */
  readonly laterByMs: number;
  /** In the numbers of the journal. */
  readonly reached: StampedBoundary;
  readonly since: Micros;
  /** The dataset is the one of this instant. */
  readonly instant: Micros;
}

const whole = z.int().min(0);

const schema = z.object({
  version: z.literal(1),
  timeline: whole,
  id: z.string().regex(/^[0-9a-f]{40}$/),
  pings: z.array(z.object({ behind: whole, count: whole.min(1) })),
  laterByMs: whole,
  reached: z.object({ offset: whole, stamp: whole }),
  since: whole,
  instant: whole,
});

export class PauseFile {
  readonly path: string;
  readonly #disk: Disk;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.path = path;
  }

  /** Undefined: it was not paused. */
  async read(): Promise<PausedAt | undefined> {
    try {
      const value: unknown = JSON.parse((await readSmall(this.#disk, this.path)).toString('utf8'));
      return schema.parse(value);
    } catch (cause) {
      if (isNotFound(cause)) return undefined;
      if (cause instanceof StorageError) throw cause;
      throw new IntegrityError(
        'pause-unreadable',
        `${this.path} says that the copy was paused, and cannot be understood`,
        {
          hint: 'nothing is served, lest it run on; to go on with what is due, remove that file',
          cause,
        },
      );
    }
  }

  /** Durable on return. `note` is for people. */
  async write(paused: PausedAt): Promise<void> {
    const note = `paused since ${formatInstant(paused.since)}; journal serve resume ends it`;
    const text = JSON.stringify({ version: 1, note, ...paused }, undefined, 2);
    await this.#orHint(() => publish(this.#disk, this.path, Buffer.from(`${text}\n`)));
  }

  /** Durable on return. */
  async clear(): Promise<void> {
    await this.#orHint(async () => {
      await this.#disk.remove(this.path);
      await this.#disk.syncDirectory(dirname(this.path));
    });
  }

  async #orHint(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      throw new StorageError(error.code, `the pause cannot be remembered: ${error.message}`, {
        hint: error.hint ?? '--control PATH puts the socket, and this file beside it, where this process may write',
        exitCode: error.exitCode,
        cause: error,
      });
    }
  }
}
