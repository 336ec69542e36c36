/** What a capture needs, and what it tells as it goes on. Neighbour: capture.ts. */
import type { GapRecord } from '../../journal-format/gap.ts';
import type { Clock } from '../core/clock.ts';
import type { BaseChecker } from '../log/base-receiver.ts';
import type { SealerEvents, SealFunction } from '../log/sealer.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { Disk } from '../storage/disk.ts';

export interface CaptureOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly root: string;
  readonly tree: SourceTree;
  /** Host and port of the primary, for the timeline documents. */
  readonly address: string;
  /** `convert`: a primary up to 6.2 is admitted; its relative TTLs become absolute at restore. */
  readonly relativeTtl: 'refuse' | 'convert';
  readonly seal: SealFunction;
  readonly check: (path: string) => BaseChecker;
  readonly events: CaptureEvents;
  readonly segmentBytes?: number | undefined;
  /** Whether replicas are fed with what becomes durable. */
  readonly isFollowed?: (() => boolean) | undefined;
}

export interface CaptureEvents extends SealerEvents {
  readonly recovered: (actions: readonly string[]) => void;
  /** The durable offset moved. */
  readonly progressed: () => void;
  /** The log cannot be written. */
  readonly failed: (error: unknown) => void;
  readonly gap: (gap: GapRecord) => void;
}
