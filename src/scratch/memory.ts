/**
 * How much memory a scratch server may take: what is free on this machine or in this control group, whichever is less.
 * A server that is killed for want of memory, or takes another one down with it, helps nobody.
 */
import { readFile } from 'node:fs/promises';
import { freemem } from 'node:os';
import { posix } from 'node:path';
import { UsageError } from '../core/errors.ts';

/** The text of a file of the kernel, undefined where there is none. */
type ReadText = (path: string) => Promise<string | undefined>;

/** So much more than the source used: fragmentation, buffers, and what the stream adds. */
const headroom = 1.3;

export interface MemoryWanted {
  /** What the source used, as its RDB says; undefined when it does not say. */
  readonly usedBytes: number | undefined;
  /** The least that a dataset takes. */
  readonly rdbBytes: number;
  /** What the user allows, whatever is free. */
  readonly allowedBytes: number | undefined;
}

/** What the server may take: the user's word, or what is free, which must do (UsageError, exit 1). */
export async function requireMemory(wanted: MemoryWanted, free = freeMemory): Promise<number> {
  const { usedBytes, rdbBytes, allowedBytes } = wanted;
  if (allowedBytes !== undefined) return allowedBytes;
  const freeBytes = await free();
  const needed = memoryNeeded(usedBytes ?? rdbBytes);
  if (freeBytes >= needed) return freeBytes;
  const used =
    usedBytes === undefined ? `an RDB of ${mebibytes(rdbBytes)}` : `a source that used ${mebibytes(usedBytes)}`;
  throw new UsageError(
    'not-enough-memory',
    `a server for this takes about ${mebibytes(needed)} of memory (${used}), and ${mebibytes(freeBytes)} are free`,
    { hint: 'restore on a larger machine, or say with --scratch-memory SIZE what it may take', exitCode: 1 },
  );
}

export function memoryNeeded(usedBytes: number): number {
  return Math.ceil(usedBytes * headroom);
}

export function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

/** Bytes that this process and its children could still take. */
export async function freeMemory(read: ReadText = readText): Promise<number> {
  const machine = await freeOfMachine(read);
  const group = await freeOfGroup(read);
  return Math.min(machine, group);
}

async function freeOfMachine(read: ReadText): Promise<number> {
  const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec((await read('/proc/meminfo')) ?? '')?.[1];
  return kibibytes === undefined ? freemem() : Number(kibibytes) * 1024;
}

/** The tightest of the control group and those above it; Infinity where none has a limit. */
async function freeOfGroup(read: ReadText): Promise<number> {
  const memberships = (await read('/proc/self/cgroup')) ?? '';
  const unified = /^0::(\/.*)$/m.exec(memberships)?.[1];
  const legacy = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(\/.*)$/m.exec(memberships)?.[1];
  let free = Infinity;
  for (const path of unified === undefined ? [] : upwards(unified)) {
    free = Math.min(free, await freeIn(read, `/sys/fs/cgroup${path}`, 'memory.max', 'memory.current', 'inactive_file'));
  }
  for (const path of legacy === undefined ? [] : upwards(legacy)) {
    const directory = `/sys/fs/cgroup/memory${path}`;
    const cache = 'total_inactive_file';
    free = Math.min(free, await freeIn(read, directory, 'memory.limit_in_bytes', 'memory.usage_in_bytes', cache));
  }
  return free;
}

async function freeIn(
  read: ReadText,
  directory: string,
  limitFile: string,
  usedFile: string,
  cache: string,
): Promise<number> {
  const limit = numberIn(await read(posix.join(directory, limitFile)));
  const used = numberIn(await read(posix.join(directory, usedFile)));
  if (limit === undefined || used === undefined) return Infinity;
  // Pages of files that nobody has used for a while are given back when they are wanted.
  const statistics = (await read(posix.join(directory, 'memory.stat'))) ?? '';
  const reclaimable = Number(new RegExp(`^${cache} (\\d+)$`, 'm').exec(statistics)?.[1] ?? 0);
  return Math.max(0, limit - used + reclaimable);
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

/** `/a/b`, `/a`, `/`. */
function upwards(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '');
  return Array.from({ length: parts.length + 1 }, (_, i) => `/${parts.slice(0, parts.length - i).join('/')}`);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}
