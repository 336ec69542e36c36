/**
 * Which timelines were removed on purpose (SPEC.md 9). Neighbours: removal.ts removes them, catalog.ts passes over what
 * is left of them.
 */
import { join } from 'node:path';
import { isRemovedName } from '../../journal-format/names.ts';
import { decodeRemoved } from '../../journal-format/removed.ts';
import type { RemovedRecord } from '../../journal-format/removed.ts';
import type { Disk } from '../storage/disk.ts';
import { readDocumentFile } from './document-file.ts';
import { isNotFound, listOrEmpty } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';

/** Where `error` is that a file of the timeline is gone, and it is because the timeline was removed: that record. */
export async function removedMeanwhile(
  disk: Disk,
  tree: SourceTree,
  timeline: number,
  error: unknown,
): Promise<RemovedRecord | undefined> {
  if (!isNotFound(error)) return undefined;
  return (await readRemoved(disk, tree)).find((record) => record.timeline === timeline);
}

/** Oldest first. */
export async function readRemoved(disk: Disk, tree: SourceTree): Promise<RemovedRecord[]> {
  const names = (await listOrEmpty(disk, tree.removed)).filter(isRemovedName).sort();
  return await Promise.all(names.map((name) => readDocumentFile(disk, join(tree.removed, name), decodeRemoved)));
}
