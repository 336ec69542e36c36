/**
 * Where things are in a journal directory (SPEC.md 3): root, source, timelines. Paths only; the names themselves are
 * part of the format.
 */
import { dirname, join } from 'node:path';
import {
  fileNames,
  isSourceName,
  markFileName,
  parseTimelineFolder,
  timelineFolder,
} from '../../journal-format/names.ts';
import { StorageError, UsageError } from '../core/errors.ts';
import type { Disk } from '../storage/disk.ts';

export interface SourceTree {
  readonly source: string;
  readonly directory: string;
  readonly marks: string;
  readonly timelines: string;
  readonly aside: string;
  readonly state: string;
  readonly reserve: string;
  readonly removed: string;
  readonly partial: string;
  readonly copies: string;
}

export function sourceTree(root: string, source: string): SourceTree {
  if (!isSourceName(source)) {
    throw new UsageError('bad-source-name', `not a source name: ${JSON.stringify(source)}`, {
      hint: 'use 1 to 64 letters, digits, dots, dashes or underscores, beginning with a letter or a digit',
    });
  }
  const directory = join(root, source);
  return {
    source,
    directory,
    marks: join(directory, 'marks'),
    timelines: join(directory, 'timelines'),
    aside: join(directory, 'aside'),
    state: join(directory, 'state.json'),
    reserve: join(directory, 'reserve'),
    removed: join(directory, 'removed'),
    partial: join(directory, fileNames.partial),
    copies: join(directory, fileNames.copies),
  };
}

export function timelineDirectory(tree: SourceTree, timeline: number): string {
  return join(tree.timelines, timelineFolder(timeline));
}

/** The timelines that have a folder, oldest first. */
export async function timelineNumbers(disk: Disk, tree: SourceTree): Promise<number[]> {
  const numbers = (await listOrEmpty(disk, tree.timelines)).map(parseTimelineFolder);
  return numbers.filter((number) => number !== undefined).sort((a, b) => a - b);
}

export function markPath(tree: SourceTree, name: string): string {
  return join(tree.marks, markFileName(name));
}

/**
 * Makes the folders of a source, durably. The name of each is synced before anything is made in it: a process may be
 * killed in between, and then an empty folder tells the next one that this is still to be done.
 */
export async function createSourceTree(disk: Disk, root: string, tree: SourceTree): Promise<void> {
  const missing: string[] = [];
  let at = root;
  for (; at !== dirname(at) && (await disk.size(at)) === undefined; at = dirname(at)) missing.unshift(at);
  await syncNameOfEmpty(disk, at);
  for (const directory of missing) {
    await disk.makeDirectory(directory);
    await disk.syncDirectory(dirname(directory));
  }
  await disk.makeDirectory(tree.directory);
  await disk.syncDirectory(root);
  for (const directory of [tree.marks, tree.timelines]) await disk.makeDirectory(directory);
  await disk.syncDirectory(tree.directory);
}

/** Of a folder that was there before. What is above may not be ours to read; then the folder isn't ours, either. */
async function syncNameOfEmpty(disk: Disk, directory: string): Promise<void> {
  try {
    if (directory === dirname(directory) || (await disk.list(directory)).length > 0) return;
    await disk.syncDirectory(dirname(directory));
  } catch (error) {
    if (!isRefused(error)) throw error;
  }
}

function isRefused(error: unknown): boolean {
  const cause = error instanceof StorageError ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && (cause.code === 'EACCES' || cause.code === 'EPERM');
}

/** The names in a folder, or none when it does not exist. */
export async function listOrEmpty(disk: Disk, directory: string): Promise<string[]> {
  try {
    return await disk.list(directory);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'not-found';
}

/** Sources of a root, sorted: the folders that hold timelines. */
export async function listSources(disk: Disk, root: string): Promise<string[]> {
  const names = (await listOrEmpty(disk, root)).filter(isSourceName).sort();
  const found: string[] = [];
  for (const name of names) {
    if ((await disk.size(join(root, name, 'timelines'))) !== undefined) found.push(name);
  }
  return found;
}

/** The source a verb is about: the named one, or the only one. */
export async function chooseSource(disk: Disk, root: string, name: string | undefined): Promise<SourceTree> {
  const sources = await listSources(disk, root);
  if (name !== undefined && sources.includes(name)) return sourceTree(root, name);
  const only = sources[0];
  if (name === undefined && sources.length === 1 && only !== undefined) return sourceTree(root, only);
  if (sources.length === 0) {
    throw new UsageError('no-journal', `there is no journal in ${root}`, {
      hint: 'give its directory with --dir, or begin one: journal run --source redis://HOST:PORT --dir DIR',
    });
  }
  const list = sources.join(', ');
  throw name === undefined
    ? new UsageError('which-source', `${root} holds more than one source: ${list}`, { hint: 'choose one with --name' })
    : new UsageError('no-such-source', `${root} holds no source ${JSON.stringify(name)}, only: ${list}`);
}
