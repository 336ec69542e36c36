// SmallDisk: a real file system with little room, for tests of what happens when there is none: a tmpfs, or ext4 in a
// file. Neighbour: simulated-disk.ts for everything that does not need the real thing.
// Invariant: disposal unmounts it, also while something on it is still open. Where mounting is not allowed, `refusal`
// says why, for a test to skip with.
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { temporaryDirectory } from './leash.ts';

export type SmallDiskKind = 'tmpfs' | 'ext4';

const mebibyte = 1024 * 1024;

export class SmallDisk implements Disposable {
  readonly path: string;

  private constructor(mountPoint: string) {
    this.path = mountPoint;
    process.once('exit', this.#unmount);
  }

  static mount(kind: SmallDiskKind, mebibytes: number): SmallDisk {
    const home = temporaryDirectory('small-disk');
    const mountPoint = path.join(home, 'mounted');
    mkdirSync(mountPoint);
    if (kind === 'tmpfs') {
      run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'journal-test', mountPoint);
    } else {
      const image = path.join(home, 'image');
      const file = openSync(image, 'w');
      ftruncateSync(file, mebibytes * mebibyte);
      closeSync(file);
      run('mkfs.ext4', '-q', '-m', '0', image);
      run('mount', '-o', 'loop', image, mountPoint);
    }
    return new SmallDisk(mountPoint);
  }

  /** Why this machine cannot have one; undefined: it can. */
  static refusal(kind: SmallDiskKind): string | undefined {
    try {
      SmallDisk.mount(kind, 16)[Symbol.dispose]();
      return undefined;
    } catch (error) {
      return `no ${kind} can be mounted here: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes all the room there is but for about `leaveBytes`. */
  fill(leaveBytes = 0): void {
    // All at once where the file system can, without writing it; then whatever is left.
    const taken = statSync(this.#filler, { throwIfNoEntry: false })?.size ?? 0;
    const wanted = this.freeBytes - leaveBytes - mebibyte;
    if (wanted > 0) spawnSync('fallocate', ['--offset', String(taken), '--length', String(wanted), this.#filler]);
    const file = openSync(this.#filler, 'a');
    try {
      for (let size = mebibyte; size >= 1; size = size > 4096 ? Math.floor(size / 2) : 0) {
        while (this.freeBytes > leaveBytes && writeSome(file, Math.min(size, this.freeBytes - leaveBytes)));
      }
    } finally {
      closeSync(file);
    }
  }

  /** What fill() took is free again. */
  free(): void {
    rmSync(this.#filler, { force: true });
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#unmount);
    this.#unmount();
  }

  readonly #unmount = (): void => {
    spawnSync('umount', ['-l', this.path]);
  };

  get #filler(): string {
    return path.join(this.path, 'filler');
  }
}

function writeSome(file: number, bytes: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(Math.max(1, bytes), 1)) > 0;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false;
    throw error;
  }
}

function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command}: ${stderr.trim()}`);
}
