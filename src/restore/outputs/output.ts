/**
 * One way in which a restored dataset comes out: a contract with several implementations, run by one conformance suite.
 * restore.ts opens the one that the plan's form asks for.
 *
 * Nothing can be seen of an output before publish() returns, or all of it (commands on a pipe cannot be taken back: they
 * say when they are complete). What was not published is removed at disposal.
 */
import type { TtlJudge, TtlRule } from '../../redis/ttl-rule.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import type { Disk } from '../../storage/disk.ts';
import type { Comparison } from '../servers/compare-keys.ts';
import type { Picked } from './filter-saved.ts';
import type { Plan } from '../plan/plan.ts';

export interface RestoredFile {
  /** Relative to the directory, or the name of the only file. */
  readonly path: string;
  readonly bytes: number;
  /** CRC-32 of the whole file, 8 hex digits. */
  readonly crc32: string;
}

/** What an output is made of. */
export interface RestoreSource {
  readonly disk: Disk;
  readonly plan: Plan;
  /** Set exactly where the plan says so: the dataset of the cut. */
  readonly dataset: ScratchDataset | undefined;
  /** The TTLs that it has yet to be given, and counts them; undefined: it has them. Only of an RDB that is saved. */
  readonly ttl?: TtlJudge | undefined;
  /** When keys and fields are to end, where the plan's bytes are given other times; undefined: they have theirs. */
  readonly others?: TtlRule['others'] | undefined;
  /** Commands that come behind all else, of such a plan. */
  readonly tail?: AsyncIterable<Buffer> | undefined;
  /** To be told of the plan's bytes that are done; throws when the restore was interrupted. */
  readonly advance: (bytes: number) => void;
  /** To be told how far a running server is, which comes behind all of the plan's bytes. */
  readonly step: (done: number, total: number, step: ServerStep) => void;
}

/** Bytes of an RDB that a replica is sent; keys that are written, or compared. */
export type ServerStep = 'sending' | 'writing' | 'comparing';

export interface Written {
  readonly files: readonly RestoredFile[];
  /** All bytes written, in files or not. */
  readonly bytes: number;
  /** The base shares its extents with the journal's copy. */
  readonly isBaseClone: boolean;
  readonly warnings: readonly string[];
  /** Where only some keys are wanted: how many they are, as far as they were counted. */
  readonly picked?: Partial<Picked> | undefined;
  /** Where some keys were written into a running server. */
  readonly server?: ServerChanges | undefined;
  /** Where they were only compared. */
  readonly comparison?: Comparison | undefined;
}

/** What was done to the keys of a running server; all others are as they were. */
export interface ServerChanges {
  readonly written: number;
  /** They were there, where only missing ones are written. */
  readonly leftAlone: number;
  /** They were selected, and the restored dataset does not hold them. */
  readonly deleted: number;
  /** They were there at T, and their time has passed: nothing of them was written. */
  readonly elapsed: number;
  /** In the journal of the server, where it was before. */
  readonly mark: string | null;
}

export interface RestoreOutput extends AsyncDisposable {
  /** Where it will be. */
  readonly to: string;
  /** Where a scratch server works, unless the user says otherwise. */
  readonly scratchParent: string;
  /** Whole and durable on return, but out of sight. */
  write(source: RestoreSource): Promise<Written>;
  /** Puts it where it belongs, with `record`, the text that says what it is. */
  publish(record: string): Promise<void>;
}

export function restoredFile(path: string, bytes: number, crc: number): RestoredFile {
  return { path, bytes, crc32: crc.toString(16).padStart(8, '0') };
}
