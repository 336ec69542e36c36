/** Where a log ends, as the link has to know it to go on. Neighbour: capture.ts. */
import type { Offset } from '../core/position.ts';
import { readRange } from '../log/read-range.ts';
import { BoundaryScanner } from '../redis/boundary-scanner.ts';
import type { Disk } from '../storage/disk.ts';

export interface LogTail {
  readonly durable: Offset;
  readonly tail: { readonly boundary: Offset; readonly db: number; readonly path: string | undefined };
}

/** A scanner that stands at the last durable byte: from the last boundary on, the bytes are read back. */
export async function scannerAtTail(disk: Disk, { durable, tail }: LogTail): Promise<BoundaryScanner> {
  const { boundary, db, path } = tail;
  const scanner = new BoundaryScanner({ offset: boundary, db });
  if (durable === boundary || path === undefined) return scanner;
  const segment = { path, kind: 'open', start: 0, end: durable } as const;
  for await (const { bytes } of readRange(disk, [segment], boundary + 1, durable)) scanner.scan(bytes);
  return scanner;
}
