/**
 * What is told of a timeline that retention removed while it was searched: what was found in it stands, and the rest is not
 * there any more.
 */
import { removedMeanwhile } from '../log/removed.ts';
import type { Disk } from '../storage/disk.ts';
import type { Notice, StretchLeg } from './notices.ts';
import type { Reach } from './reach.ts';

/** Throws `error` where that is not why the search of the stretch ended. */
export async function removedNotice(
  disk: Disk,
  { tree }: Reach,
  { timeline }: StretchLeg,
  error: unknown,
): Promise<Notice> {
  const record = await removedMeanwhile(disk, tree, timeline.number, error);
  if (record === undefined) throw error;
  return { kind: 'removed', record };
}
