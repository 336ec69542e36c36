/**
 * The small objects of a timeline: how a timeline begins (SPEC.md 10, step 2), marks, stops. Everything here is published
 * whole; the base's bytes are base-receiver.ts' business, the stream's stream-writer.ts'.
 */
import { join } from 'node:path';
import { encodeGap } from '../../journal-format/gap.ts';
import type { GapRecord } from '../../journal-format/gap.ts';
import { decodeMark, encodeMark } from '../../journal-format/mark.ts';
import type { MarkRecord } from '../../journal-format/mark.ts';
import { isMarkFileName, parseTimelineEntry, stopName } from '../../journal-format/names.ts';
import { encodeStop } from '../../journal-format/stop.ts';
import type { StopRecord } from '../../journal-format/stop.ts';
import { encodeTimeline } from '../../journal-format/timeline.ts';
import type { TimelineRecord } from '../../journal-format/timeline.ts';
import { StorageError, UsageError } from '../core/errors.ts';
import type { IntegrityError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Disk } from '../storage/disk.ts';
import { publish, publishNew, uniqueHex } from '../storage/publish.ts';
import { moveAside } from './aside.ts';
import { damageIn } from './damaged.ts';
import { readDocumentFile } from './document-file.ts';
import { namedSegments } from './segment-order.ts';
import { listOrEmpty, markPath, timelineDirectory } from './source-tree.ts';
import type { SourceTree } from './source-tree.ts';

/** Makes the folder of a new timeline with its document, and the gap before it. It exists once its base is published. */
export async function beginTimeline(
  disk: Disk,
  tree: SourceTree,
  timeline: TimelineRecord,
  gap: GapRecord | undefined,
): Promise<string> {
  const directory = timelineDirectory(tree, timeline.timeline);
  await disk.makeDirectory(directory);
  await disk.syncDirectory(tree.timelines);
  if (gap !== undefined) await publish(disk, join(directory, 'gap'), encodeGap(gap).bytes);
  await publish(disk, join(directory, 'timeline'), encodeTimeline(timeline).bytes);
  return directory;
}

/** Nothing of it is left on return. Its base goes first: a part of a timeline must not look like one. */
export async function removeTimeline(disk: Disk, tree: SourceTree, directory: string): Promise<void> {
  const bases = (await listOrEmpty(disk, directory)).filter((name) => parseTimelineEntry(name).kind === 'base');
  for (const name of bases) await disk.remove(join(directory, name));
  if (bases.length > 0) await disk.syncDirectory(directory);
  await disk.removeTree(directory);
  await disk.syncDirectory(tree.timelines);
}

/**
 * Takes the open segments that begin at `offset` or behind it out of a timeline (SPEC.md 10, step 7), the last one first,
 * so that at no time one is missing in the middle. Returns what was done, for the log.
 */
export async function moveAsideFrom(
  disk: Disk,
  tree: SourceTree,
  directory: string,
  offset: Offset,
): Promise<string[]> {
  const names = await disk.list(directory);
  const segments = namedSegments(names).filter(({ kind, start }) => kind === 'open' && start >= offset);
  if (segments.length === 0) return [];
  for (const name of names) {
    const entry = parseTimelineEntry(name);
    // It speaks of the beginning of a command that will be fetched again.
    if (entry.kind === 'stop' && entry.durable >= offset) await disk.remove(join(directory, name));
  }
  const actions: string[] = [];
  for (const { name } of segments.toReversed()) {
    const kept = await moveAside(disk, tree, join(directory, name));
    actions.push(`moved ${join(directory, name)} to ${kept}: no whole command in it had been durable`);
  }
  return actions;
}

export async function writeStop(disk: Disk, directory: string, stop: StopRecord): Promise<void> {
  await publish(disk, join(directory, stopName(stop.offset, uniqueHex())), encodeStop(stop).bytes);
}

/** Names are unique for ever: a second mark of the same name is a UsageError. */
export async function writeMark(disk: Disk, tree: SourceTree, mark: MarkRecord): Promise<void> {
  try {
    await publishNew(disk, markPath(tree, mark.name), encodeMark(mark).bytes);
  } catch (error) {
    if (!(error instanceof StorageError && error.code === 'exists')) throw error;
    throw new UsageError('mark-exists', `there is a mark ${JSON.stringify(mark.name)} already`, {
      hint: 'marks never move: choose another name; journal ls shows them all',
      cause: error,
    });
  }
}

/** All marks, oldest position first; IntegrityError when one is damaged. */
export async function readMarks(disk: Disk, tree: SourceTree): Promise<MarkRecord[]> {
  const { marks, damage } = await readMarksLeft(disk, tree);
  if (damage[0] !== undefined) throw damage[0];
  return marks;
}

/** The marks that can be read, for whoever has to go on without the others, and what is wrong with those. */
export async function readMarksLeft(
  disk: Disk,
  tree: SourceTree,
): Promise<{ readonly marks: MarkRecord[]; readonly damage: readonly IntegrityError[] }> {
  const names = (await listOrEmpty(disk, tree.marks)).filter(isMarkFileName);
  const marks: MarkRecord[] = [];
  const damage: IntegrityError[] = [];
  for (const name of names) {
    try {
      marks.push(await readDocumentFile(disk, join(tree.marks, name), decodeMark));
    } catch (error) {
      const problem = damageIn(error);
      if (problem === undefined) throw error;
      damage.push(problem);
    }
  }
  return { marks: marks.sort((a, b) => a.stamp - b.stamp || a.offset - b.offset), damage };
}
