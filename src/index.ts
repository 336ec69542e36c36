/**
 * The public face of the package, `import … from 'journal'`: a list of what others may build on, and nothing else. The
 * format without files and servers is `journal/format`. Everything inside the project imports the module it means,
 * never this file.
 *
 *   const tree = await chooseSource(localDisk, './journal-data', undefined);
 *   const { timelines } = await loadCatalog(localDisk, tree);
 *   for await (const { start, bytes } of readRange(localDisk, timelines[0].segments, from, to)) …
 */

// What everything takes: a clock and a disk, so that both can be of your own making.
export type { Clock, Micros } from './core/clock.ts';
export { systemClock } from './core/clock.ts';
export type { Disk, DiskFile } from './storage/disk.ts';
export { localDisk } from './storage/local-disk.ts';

// Errors, positions, instants.
export type { ErrorDetail, ExitCode, RetryClass } from './core/errors.ts';
export {
  CoverageError,
  IntegrityError,
  InterruptedError,
  JournalError,
  LinkError,
  StorageError,
  UsageError,
} from './core/errors.ts';
export type { Offset, Position, ReplicationId } from './core/position.ts';
export { formatPosition } from './core/position.ts';
export { formatInstant } from './core/instant.ts';

// What is in a journal, and the bytes themselves.
export type { SourceTree } from './log/source-tree.ts';
export { chooseSource, listSources, sourceTree } from './log/source-tree.ts';
export type { BaseEntry, Catalog, SegmentEntry, Timeline } from './log/catalog.ts';
export { idAt, loadCatalog } from './log/catalog.ts';
export type { RangeChunk, SegmentRange } from './log/read-range.ts';
export { readRange } from './log/read-range.ts';
export type { Frame } from './log/frames.ts';
export { readMarks } from './log/timeline-store.ts';
export type { VerifyOptions } from './log/verify.ts';
export { verifySource } from './log/verify.ts';
export type {
  ProblemKind,
  Restorable,
  VerifyBase,
  VerifyInterval,
  VerifyMark,
  VerifyProblem,
  VerifyReport,
  VerifyTimeline,
} from './log/verify-report.ts';
export { verifyToJson } from './log/verify-report.ts';

// Where it stands, and restore points.
export type { SourceState, Status, StatusBase, StatusLag, StatusPosition } from './daemon/status.ts';
export type { StatusDamaged, StatusGap, StatusInterval } from './daemon/status-lists.ts';
export { readStatus } from './daemon/status.ts';
export type { MarkOptions } from './daemon/mark.ts';
export { setMark } from './daemon/mark.ts';

// Restoring: read a target, make a plan, look at it, carry it out.
export type { Target, TargetContext } from './restore/locate/target.ts';
export { parseTarget } from './restore/locate/target.ts';
export type { Cut, CutMode } from './restore/locate/locate.ts';
export type { Plan, PlannedRange, RestoreRequest } from './restore/plan/plan.ts';
export type { TtlMode, TtlOutcome, TtlPlan } from './restore/plan/ttl-mode.ts';
export { planRestore } from './restore/plan/plan-restore.ts';
export type { PlanContext, PlanJson } from './restore/plan/plan-print.ts';
export { planToJson, planToText } from './restore/plan/plan-print.ts';
export type { RestoredFile } from './restore/outputs/output.ts';
export type { RestoreOptions, RestoreRecord, RestoreReport } from './restore/restore.ts';
export { executeRestore } from './restore/restore.ts';

// Journaling a primary.
export type { Credentials, SourceAddress, TlsSettings } from './upstream/address.ts';
export { parseSource } from './upstream/address.ts';
export type { RunConfig } from './daemon/config.ts';
export type { Logger, LogLine } from './daemon/logger.ts';
export { createLogger, createSilentLogger } from './daemon/logger.ts';
export type { RunOptions } from './daemon/run.ts';
export { runDaemon } from './daemon/run.ts';
export { version } from './daemon/version.ts';
