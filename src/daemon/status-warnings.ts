/**
 * What status warns of beside damage (pure): a writer that ended badly, a disk that fills up, a command that does not
 * end, clocks that differ.
 * Neighbour: status.ts.
 */
import { freeBytesLow } from '../core/limits.ts';
import type { Catalog } from '../log/catalog.ts';
import type { Holder } from '../storage/writer-lock.ts';
import type { RunState } from './state-file.ts';
import type { StatusClock } from './status-time.ts';
import type { UnendedCommand } from './unended-command.ts';

/** Clocks that differ by more are worth a warning. */
const clockErrorSeconds = 1;

export function warningsOf(
  writer: Holder | undefined,
  words: RunState | undefined,
  catalog: Catalog,
  freeBytes: number | null,
): string[] {
  const warnings: string[] = [];
  if (writer === undefined && words !== undefined && words.state !== 'stopping') {
    warnings.push(
      `the last writer (process ${words.pid}) ended without stopping in good order, at ${words.updatedAt} or later`,
    );
  }
  if (writer === undefined && catalog.unfinished.length > 0) warnings.push('a full sync was begun and never finished');
  if (freeBytes !== null && freeBytes < freeBytesLow) {
    warnings.push(`only ${Math.floor(freeBytes / (1024 * 1024))} MiB are free on the file system of the journal`);
  }
  return warnings;
}

export function unendedWarnings(unended: UnendedCommand | null): string[] {
  if (unended === null) return [];
  const { behind, since, bytes } = unended;
  return [
    `a command or MULTI that has not ended has been coming in since ${since}, behind offset ${behind}: ` +
      `${Math.floor(bytes / (1024 * 1024))} MiB so far, which no restore reaches until it ends`,
  ];
}

export function ackWarnings(live: RunState | undefined): string[] {
  if (live?.ack !== 'remote') return [];
  if (live.replicas.some(({ isJournal, state }) => isJournal && state === 'online')) return [];
  return ['--ack remote: no journal follows this one, so nothing more is acknowledged to the primary (WAIT waits)'];
}

export function clockWarnings(clock: StatusClock | undefined): string[] {
  const warnings: string[] = [];
  const { skew = null, wallError = null } = clock ?? {};
  if (skew !== null && Math.abs(skew) > clockErrorSeconds) {
    const direction = skew < 0 ? 'ahead of' : 'behind';
    warnings.push(
      `the primary's clock is ${Math.abs(skew).toFixed(1)} s ${direction} ours; targets of restores are times of the primary`,
    );
  }
  if (wallError !== null && Math.abs(wallError) > clockErrorSeconds) {
    warnings.push(
      `the wall clock of this machine was set by ${wallError.toFixed(1)} s; stamps follow it slowly, or in a minute`,
    );
  }
  return warnings;
}
