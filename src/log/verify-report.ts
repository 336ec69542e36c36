/**
 * What verify found (see verify.ts): problems, intervals, and what they mean for restores, as values and as JSON.
 *
 * Invariant: the first problem hides none of the others; where there are too many to be told, their number is.
 */
import { FormatError } from '../../journal-format/errors.ts';
import type { IdEntry } from '../../journal-format/fields.ts';
import type { GapRecord, GapSide } from '../../journal-format/gap.ts';
import type { MarkRecord } from '../../journal-format/mark.ts';
import type { Micros } from '../core/clock.ts';
import type { ExitCode } from '../core/errors.ts';
import { IntegrityError, StorageError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { Offset } from '../core/position.ts';
import type { OrphanRange } from './orphans.ts';

/**
 * `torn`: an unfinished last write, which the next writer clears away. `missing`: an object is not there. `corrupt`: bytes
 * are not what they must be. `unsupported`: a newer journal wrote it. `unreadable`: the storage refuses to read it.
 */
export type ProblemKind = 'torn' | 'missing' | 'corrupt' | 'unsupported' | 'unreadable';

/** Stream bytes, both ends included. */
export interface OffsetRange {
  readonly from: Offset;
  readonly to: Offset;
}

export interface VerifyProblem {
  readonly kind: ProblemKind;
  readonly path: string;
  readonly timeline: number | undefined;
  /** Byte of the file, where that is known. */
  readonly position: number | undefined;
  /** The stream bytes that it concerns, where it concerns any. */
  readonly range: OffsetRange | undefined;
  readonly message: string;
}

/** `first` and `last`: stamps of its bytes; of bytes that are not whole, of the nearest whole ones on both sides. */
export interface VerifyInterval extends OffsetRange {
  readonly state: 'ok' | 'damaged' | 'missing';
  readonly first: Micros;
  readonly last: Micros;
}

/** Every boundary `from` … `to`, and every instant `first` … `last`, can be restored: a whole base, whole bytes. */
export interface Restorable extends OffsetRange {
  readonly first: Micros;
  readonly last: Micros;
}

export interface VerifyBase {
  readonly path: string;
  readonly offset: Offset;
  readonly state: 'ok' | 'damaged' | 'missing';
  /** When its RDB was complete; undefined when its document is not readable. */
  readonly completed: Micros | undefined;
}

export interface VerifyTimeline {
  readonly number: number;
  /** Its full sync is under way, or never finished: nothing of it counts yet. */
  readonly isUnfinished: boolean;
  readonly ids: readonly IdEntry[];
  /** Its last byte, and the last stamp; undefined where it has no document of its base, or is not whole. */
  readonly ends: { readonly offset: Offset; readonly stamp: Micros } | undefined;
  readonly bases: readonly VerifyBase[];
  /** From the first base to the end, without a hole between them. */
  readonly intervals: readonly VerifyInterval[];
  readonly restorable: readonly Restorable[];
}

export interface VerifyMark {
  readonly record: MarkRecord;
  readonly isRestorable: boolean;
}

export interface VerifyReport {
  readonly source: string;
  readonly directory: string;
  /** Oldest first. */
  readonly timelines: readonly VerifyTimeline[];
  readonly gaps: readonly GapRecord[];
  readonly orphans: readonly OrphanRange[];
  readonly marks: readonly VerifyMark[];
  readonly problems: readonly VerifyProblem[];
  /** Problems beyond those in the list. */
  readonly problemsOmitted: number;
  /** What is no problem but worth knowing: foreign files, bytes kept aside, unfinished work. */
  readonly notes: readonly string[];
  /** Bytes that were read. */
  readonly bytes: number;
  readonly exitCode: ExitCode;
}

const problemsMax = 1000;
const notesMax = 1000;

/** Collects problems and notes. */
export class Findings {
  readonly problems: VerifyProblem[] = [];
  readonly notes: string[] = [];
  omitted = 0;
  readonly #kinds = new Set<ProblemKind>();

  add(problem: Partial<VerifyProblem> & Pick<VerifyProblem, 'kind' | 'path' | 'message'>): void {
    this.#kinds.add(problem.kind);
    if (this.problems.length === problemsMax) this.omitted += 1;
    else this.problems.push({ timeline: undefined, position: undefined, range: undefined, ...problem });
  }

  /** What reading an object threw, as a problem of it; whatever is no statement on bytes or storage is thrown on. */
  addError(error: unknown, where: Partial<VerifyProblem> & Pick<VerifyProblem, 'path'>): void {
    if (error instanceof FormatError) {
      const kind = error.kind === 'unsupported' ? 'unsupported' : 'corrupt';
      this.add({ ...where, kind, message: error.message, position: (where.position ?? 0) + error.at });
    } else if (error instanceof StorageError) {
      this.add({ ...where, kind: error.code === 'not-found' ? 'missing' : 'unreadable', message: error.message });
    } else if (error instanceof IntegrityError) {
      const kind = error.code === 'unsupported-format' ? 'unsupported' : 'corrupt';
      this.add({ ...where, kind, message: error.message });
    } else {
      throw error;
    }
  }

  note(text: string): void {
    if (this.notes.length < notesMax) this.notes.push(text);
  }

  exitCode(hasGaps: boolean): ExitCode {
    if (this.#kinds.has('corrupt') || this.#kinds.has('unreadable')) return 6;
    if (this.#kinds.has('missing')) return 4;
    if (this.#kinds.has('unsupported')) return 1;
    return this.#kinds.has('torn') || hasGaps ? 3 : 0;
  }
}

/** One document: offsets as strings, times RFC 3339, lists never null; what is not known is null. */
export function verifyToJson(report: VerifyReport): Record<string, unknown> {
  return {
    source: report.source,
    directory: report.directory,
    exitCode: report.exitCode,
    bytes: report.bytes,
    timelines: report.timelines.map(timelineToJson),
    gaps: report.gaps.map(({ from, to, cause, detail }) => ({
      from: sideToJson(from),
      to: sideToJson(to),
      cause,
      detail,
    })),
    orphans: report.orphans.map(({ timeline, id, from, to }) => ({
      timeline,
      from: formatPosition({ id, offset: from }),
      to: formatPosition({ id, offset: to }),
    })),
    marks: report.marks.map(({ record, isRestorable }) => ({
      name: record.name,
      timeline: record.timeline,
      id: record.id,
      offset: String(record.offset),
      time: formatInstant(record.stamp),
      isRestorable,
    })),
    problems: report.problems.map(problemToJson),
    problemsOmitted: report.problemsOmitted,
    notes: [...report.notes],
  };
}

function timelineToJson(timeline: VerifyTimeline): Record<string, unknown> {
  return {
    timeline: timeline.number,
    isUnfinished: timeline.isUnfinished,
    ids: timeline.ids.map(({ id, offset }) => ({ id, offset: String(offset) })),
    bases: timeline.bases.map(({ path, offset, state, completed }) => ({
      path,
      offset: String(offset),
      state,
      completed: completed === undefined ? null : formatInstant(completed),
    })),
    intervals: timeline.intervals.map((interval) => ({ ...rangeToJson(interval), state: interval.state })),
    restorable: timeline.restorable.map(rangeToJson),
  };
}

function rangeToJson({ from, to, first, last }: Restorable): Record<string, unknown> {
  return { from: String(from), to: String(to), first: formatInstant(first), last: formatInstant(last) };
}

function sideToJson({ timeline, id, offset, stamp }: GapSide): Record<string, unknown> {
  return { timeline, id, offset: String(offset), time: formatInstant(stamp) };
}

function problemToJson(problem: VerifyProblem): Record<string, unknown> {
  const { kind, path, timeline, position, range, message } = problem;
  return {
    kind,
    path,
    timeline: timeline ?? null,
    position: position ?? null,
    range: range === undefined ? null : { from: String(range.from), to: String(range.to) },
    message,
  };
}
