/**
 * Looks after the disk while a journal is written to it: says when it is full or does not answer, once at the beginning
 * and once at the end of each spell, and forecasts when it will be full. What it knows goes into the state file.
 *
 * Neighbours: storage/watched-disk.ts and room.ts, which it asks; run.ts, which logs what it tells.
 */
import { systemClock } from '../core/clock.ts';
import type { Clock, Micros } from '../core/clock.ts';
import type { StorageError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import type { Disk } from '../storage/disk.ts';
import { localDisk } from '../storage/local-disk.ts';
import type { Reserve } from '../storage/reserve.ts';
import { Room } from '../storage/room.ts';
import type { Unanswered } from '../storage/watched-disk.ts';
import { describe } from './describe-error.ts';
import type { Logger } from './logger.ts';

export interface DiskTrouble {
  readonly code: 'disk-full' | 'disk-silent';
  readonly message: string;
  readonly hint: string | null;
  readonly since: string;
}

/** Of the file system that the journal is on. */
export interface DiskState {
  readonly freeBytes: number | null;
  /** By how much it has filled up lately, whoever did it; negative when room was made. Null at first. */
  readonly growthBytesPerSecond: number | null;
  /** At this rate; null when it does not grow. */
  readonly fullInSeconds: number | null;
  readonly trouble: DiskTrouble | null;
}

export interface FreeSample {
  readonly at: Micros;
  readonly freeBytes: number;
}

/** No answer for so long is a spell of silence. */
const silentAfterMicros: Micros = 5_000_000;
const sampleEveryMicros: Micros = 10_000_000;
/** A rate is taken over at least and at most this: long enough for segments to be written and sealed. */
const rateLeastMicros: Micros = 30_000_000;
const rateMostMicros: Micros = 600_000_000;
const intervalMs = 1000;

export interface DiskWatchOptions {
  readonly disk: Disk;
  /** Any path on the file system. */
  readonly path: string;
  readonly clock: Clock;
  readonly room: Pick<Room, 'full'>;
  readonly unanswered: () => Unanswered | undefined;
  /** A spell of silence has begun. */
  readonly silent: (trouble: DiskTrouble) => void;
  /** It is over. */
  readonly answers: () => void;
}

export class DiskWatch implements Disposable {
  readonly #options: DiskWatchOptions;
  #samples: FreeSample[] = [];
  #isSampling = false;
  #silence: DiskTrouble | undefined;
  #cancelTimer: () => void;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
    void this.#sample();
    this.#cancelTimer = this.#schedule();
  }

  get state(): DiskState {
    const freeBytes = this.#samples.at(-1)?.freeBytes ?? null;
    return { freeBytes, ...forecast(this.#samples), trouble: this.#trouble() ?? null };
  }

  [Symbol.dispose](): void {
    this.#cancelTimer();
  }

  #schedule(): () => void {
    return this.#options.clock.after(intervalMs, () => {
      this.#look();
      this.#cancelTimer = this.#schedule();
    });
  }

  #look(): void {
    const silence = this.#findSilence();
    if (silence !== undefined && this.#silence === undefined) this.#options.silent(silence);
    if (silence === undefined && this.#silence !== undefined) this.#options.answers();
    this.#silence = silence;
    const last = this.#samples.at(-1)?.at ?? -Infinity;
    if (this.#options.clock.monotonic() - last >= sampleEveryMicros) void this.#sample();
  }

  #trouble(): DiskTrouble | undefined {
    const { full } = this.#options.room;
    if (full === undefined) return this.#silence;
    const { message, hint = null } = full.error;
    return { code: 'disk-full', message: `the disk is full: ${message}`, hint, since: formatInstant(full.since) };
  }

  #findSilence(): DiskTrouble | undefined {
    const { clock, unanswered } = this.#options;
    const oldest = unanswered();
    const silent = oldest === undefined ? 0 : clock.monotonic() - oldest.since;
    if (oldest === undefined || silent < silentAfterMicros) return undefined;
    return {
      code: 'disk-silent',
      message: `the disk does not answer: ${oldest.operation} of ${oldest.path} has not returned`,
      hint: 'look for errors of the disk or its network in the log of the kernel (dmesg)',
      since: formatInstant(clock.wall() - silent),
    };
  }

  /** A disk that does not answer does not answer this either. */
  async #sample(): Promise<void> {
    if (this.#isSampling) return;
    this.#isSampling = true;
    const { disk, path, clock } = this.#options;
    try {
      const sample = { freeBytes: await disk.freeBytes(path), at: clock.monotonic() };
      const oldest = sample.at - rateMostMicros;
      this.#samples = [...this.#samples.filter(({ at }) => at >= oldest), sample];
    } catch {
      // Without it there is no forecast.
    }
    this.#isSampling = false;
  }
}

/** The watch of a daemon. */
export function loggedWatch(
  options: Pick<DiskWatchOptions, 'path' | 'room' | 'unanswered'>,
  logger: Logger,
): DiskWatch {
  return new DiskWatch({
    ...options,
    disk: localDisk,
    clock: systemClock,
    silent: ({ message, hint }) => {
      logger.error({ event: 'disk-silent', error: message, hint });
    },
    answers: () => {
      logger.info({ event: 'disk-answers' });
    },
  });
}

/** The room of a daemon; `full` is called when there is none any more. */
export function loggedRoom(reserve: Reserve, logger: Logger, signal: AbortSignal, full: () => void): Room {
  const events = {
    full: (error: StorageError): void => {
      logger.error({ event: 'disk-full', ...describe(error) });
      full();
    },
    free: (): void => {
      logger.info({ event: 'disk-has-room' });
    },
  };
  return new Room({ reserve, clock: systemClock, random: Math.random, events }, signal);
}

/** `samples`: oldest first. */
export function forecast(samples: readonly FreeSample[]): Pick<DiskState, 'growthBytesPerSecond' | 'fullInSeconds'> {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.at - first.at < rateLeastMicros) {
    return { growthBytesPerSecond: null, fullInSeconds: null };
  }
  const growth = ((first.freeBytes - last.freeBytes) * 1_000_000) / (last.at - first.at);
  return {
    growthBytesPerSecond: Math.round(growth),
    fullInSeconds: growth < 1 ? null : Math.round(last.freeBytes / growth),
  };
}
