/**
 * Loads what a plan says into a scratch server: base and stream, every byte verified, over a replication link.
 */
import type { Clock } from '../core/clock.ts';
import { ScratchDataset } from '../scratch/dataset.ts';
import type { ServerProgram } from '../scratch/find-server.ts';
import type { FeedSource } from '../scratch/master-feed.ts';
import type { DatasetOrigin } from '../scratch/can-load.ts';
import { requireMemory } from '../scratch/memory.ts';
import type { Disk } from '../storage/disk.ts';
import { basePieces } from './base-pieces.ts';
import type { Plan } from './plan.ts';
import type { PlannedBytes } from './planned-bytes.ts';

export interface LoadOptions {
  readonly program: ServerProgram;
  /** Where its private directory is made. */
  readonly parent: string;
  /** What it may take, whatever is free. */
  readonly allowedBytes: number | undefined;
  readonly isWritable?: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly advance: (bytes: number) => void;
}

/** `replayed` is of the same plan; it is read to its end. */
export async function loadScratch(
  disk: Disk,
  plan: Plan,
  replayed: PlannedBytes,
  options: LoadOptions,
): Promise<ScratchDataset> {
  const { record, rdbPath } = plan.base;
  const { program, parent, allowedBytes, isWritable = false, clock, signal, advance } = options;
  const usedBytes = usedMemory(record.aux['used-mem']);
  const memoryBytes = await requireMemory({ usedBytes, rdbBytes: record.size, allowedBytes });
  const source: FeedSource = {
    rdbBytes: record.size,
    async *rdb() {
      for await (const { bytes } of basePieces(disk, rdbPath, record)) {
        yield bytes;
        advance(bytes.length);
      }
    },
    db: record.db,
    stream: () => replayed.stream(),
  };
  return ScratchDataset.load(source, { program, parent, memoryBytes, isWritable, clock, signal });
}

/** What a server must be able to load for a plan. */
export function originOf({ base, server, bytes }: Pick<Plan, 'base' | 'server' | 'bytes'>): DatasetOrigin {
  const { magic, version } = base.record;
  return { magic, rdbVersion: version, server, hasStream: bytes.stream > 0 };
}

function usedMemory(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
