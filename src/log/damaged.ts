/**
 * What is still known of a timeline that cannot be listed: a document, a header or a segment of it is damaged or missing.
 * Others stay usable as long as nobody takes what this one covered for "not covered", so its bounds are read from what
 * is whole: they may be too wide, never too narrow.
 *
 * Neighbours: catalog.ts finds the damage; restore/locate-damaged.ts refuses what may be in there.
 */
import { join } from 'node:path';
import { decodeBase } from '../../journal-format/base.ts';
import { decodeGap } from '../../journal-format/gap.ts';
import type { GapRecord } from '../../journal-format/gap.ts';
import { fileNames, parseTimelineEntry } from '../../journal-format/names.ts';
import { decodeTimeline } from '../../journal-format/timeline.ts';
import type { Micros } from '../core/clock.ts';
import { IntegrityError, StorageError } from '../core/errors.ts';
import type { ExitCode } from '../core/errors.ts';
import type { ReplicationId } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import { readDocumentFile } from './document-file.ts';

export interface DamagedTimeline {
  readonly number: number;
  readonly directory: string;
  readonly error: IntegrityError;
  /** What lies before it, where that is whole. */
  readonly gap: GapRecord | undefined;
  /** Nothing in it has an earlier stamp; 0 where that is not known. */
  readonly from: Micros;
  /** The names of its history that could still be read. */
  readonly ids: readonly ReplicationId[];
}

/** What the medium does not give back is damage, too; undefined of other failures of a disk, which may pass, and the rest. */
export function damageIn(error: unknown): IntegrityError | undefined {
  if (error instanceof IntegrityError) return error;
  if (!(error instanceof StorageError) || error.code !== 'unreadable') return undefined;
  return new IntegrityError('unreadable', error.message, { hint: error.hint, cause: error });
}

export async function whatIsKnown(
  disk: Disk,
  directory: string,
  number: number,
  error: IntegrityError,
): Promise<DamagedTimeline> {
  const read = async <T>(name: string, decode: (bytes: Uint8Array) => { readonly record: T }): Promise<T | undefined> =>
    await readDocumentFile(disk, join(directory, name), decode).catch(() => undefined);
  const names = await disk.list(directory).catch(() => []);
  const baseName = names.toSorted().find((name) => parseTimelineEntry(name).kind === 'base');
  const base = baseName === undefined ? undefined : await read(baseName, decodeBase);
  const timeline = await read(fileNames.timeline, decodeTimeline);
  const gap = await read(fileNames.gap, decodeGap);
  // A file that was moved here speaks of another timeline.
  const stamps = [base, timeline].flatMap((record) => (record?.timeline === number ? [record.stamp] : []));
  const isOurs = gap?.to.timeline === number;
  if (isOurs) stamps.push(gap.to.stamp);
  return {
    number,
    directory,
    error,
    gap: isOurs ? gap : undefined,
    from: stamps.length === 0 ? 0 : Math.min(...stamps),
    ids: [base, timeline].flatMap((record) => (record === undefined ? [] : [record.id])),
  };
}

/** The last stamp in it, which the gap behind it tells; Infinity where that is not known. */
export function lastStampOf(damaged: DamagedTimeline, gaps: readonly (GapRecord | undefined)[]): Micros {
  return gaps.find((gap) => gap?.from.timeline === damaged.number)?.from.stamp ?? Infinity;
}

/** Of the graver kind, where timelines are damaged in several ways; 0 for none. */
export function exitCodeOf(damaged: readonly DamagedTimeline[]): ExitCode {
  const codes = damaged.map(({ error }) => error.exitCode);
  return codes.find((code) => code === 6) ?? codes.find((code) => code === 4) ?? codes[0] ?? 0;
}
