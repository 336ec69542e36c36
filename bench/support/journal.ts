// The journal as the benchmarks see it: the compiled program on one side, the files that it leaves on the other.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { loadCatalog } from '../../src/log/catalog.ts';
import type { Timeline } from '../../src/log/catalog.ts';
import { readRange } from '../../src/log/read-range.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import type { CommandLine } from './child.ts';

const main = path.join(import.meta.dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');
const source = 'bench';

export function requireBuild(): void {
  if (!existsSync(main)) throw new Error('no journal is built: npm run build');
}

/** `journal run` on a primary of this machine. */
export function runCommand(directory: string, port: number): CommandLine {
  const to = ['--source', `redis://127.0.0.1:${port}`, '--dir', directory, '--name', source];
  return [process.execPath, main, 'run', ...to];
}

/** `journal diff` of two positions, a JSON document a row. */
export function diffCommand(directory: string, from: string, to: string): CommandLine {
  const words = ['--dir', directory, '--name', source, '--at', from, '--at', to, '--json'];
  return [process.execPath, main, 'diff', ...words];
}

/** Runs `journal verify`, which must find nothing wrong and nothing missing. */
export async function requireSound(directory: string): Promise<void> {
  try {
    await promisify(execFile)(process.execPath, [main, 'verify', '--dir', directory, '--name', source]);
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`journal verify is not content: ${stdout}${stderr}`, { cause: error });
  }
}

/** `journal restore` of all there is; what it says of what it did. What it learns of speeds stays in `cache`. */
export async function restore(
  directory: string,
  to: string,
  cache: string,
  ...options: string[]
): Promise<{ estimatedSeconds: number }> {
  const from = ['--dir', directory, '--name', source, '--at', 'latest'];
  const args = [main, 'restore', ...from, '--to', to, ...options, '--json'];
  const env = { ...process.env, XDG_CACHE_HOME: cache };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  return JSON.parse(stdout) as { estimatedSeconds: number };
}

/** The one timeline that a benchmark leaves. */
export async function onlyTimeline(directory: string): Promise<Timeline> {
  const { timelines } = await loadCatalog(localDisk, sourceTree(directory, source));
  const [timeline] = timelines;
  if (timeline === undefined || timelines.length > 1) throw new Error(`${timelines.length} timelines instead of one`);
  return timeline;
}

/** All stream bytes, verified as they are read. */
export async function* streamBytes(directory: string): AsyncGenerator<Buffer, void, undefined> {
  const { segments, base, end } = await onlyTimeline(directory);
  for await (const { bytes } of readRange(localDisk, segments, base.record.offset + 1, end)) yield bytes;
}

/** What lies in the timeline's folder, from a listing alone: what the program says of itself is not asked. */
export interface Files {
  readonly openSegments: number;
  readonly sealedSegments: number;
  readonly openBytes: number;
  readonly sealedBytes: number;
  readonly rdbBytes: number;
}

export function listFiles(directory: string): Files {
  const files = { openSegments: 0, sealedSegments: 0, openBytes: 0, sealedBytes: 0, rdbBytes: 0 };
  const { timelines } = sourceTree(directory, source);
  for (const name of listed(timelines, { recursive: true })) {
    const size = statSync(path.join(timelines, name), { throwIfNoEntry: false })?.size ?? 0;
    switch (path.extname(name)) {
      case '.open':
        files.openSegments += 1;
        files.openBytes += size;
        break;
      case '.seg':
        files.sealedSegments += 1;
        files.sealedBytes += size;
        break;
      case '.rdb':
        files.rdbBytes += size;
        break;
      default:
    }
  }
  return files;
}

/** Stream bytes that are durable, as the program says of itself about each second. */
export function durableOffset(directory: string): number {
  try {
    const state = JSON.parse(readFileSync(sourceTree(directory, source).state, 'utf8')) as {
      readonly position: { readonly durable: string } | null;
    };
    return Number(state.position?.durable ?? 0);
  } catch {
    return 0;
  }
}

function listed(directory: string, options: { readonly recursive: boolean }): string[] {
  try {
    return readdirSync(directory, { ...options, encoding: 'utf8' });
  } catch {
    return [];
  }
}
