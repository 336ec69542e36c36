/**
 * The calls of the file system that local-disk.ts makes: of node:fs/promises, or as they are here, made on the calling
 * thread, which stands still until each is done. These are for threads that have nothing else to do.
 */
import * as fs from 'node:fs';

/** What local-disk.ts uses of node:fs/promises. */
export interface FileCalls {
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<{ readonly size: number }>;
  statfs(path: string): Promise<{ readonly bavail: number; readonly bsize: number }>;
  mkdir(path: string, options: { readonly recursive: true; readonly mode: number }): Promise<unknown>;
  open(path: string, flags: string | number, mode?: number): Promise<FileHandle>;
  rename(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  copyFile(from: string, to: string, mode: number): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, user: number, group: number): Promise<void>;
  rm(path: string, options: { readonly force: true; readonly recursive?: true }): Promise<void>;
}

/** What it uses of an open file. */
export interface FileHandle extends AsyncDisposable {
  read(target: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  writev(parts: readonly Uint8Array[], position: number): Promise<{ readonly bytesWritten: number }>;
  datasync(): Promise<void>;
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  stat(): Promise<{ readonly size: number }>;
  close(): Promise<void>;
}

export const blockingCalls: FileCalls = {
  readdir: async (path) => fs.readdirSync(path),
  stat: async (path) => fs.statSync(path),
  statfs: async (path) => fs.statfsSync(path),
  mkdir: async (path, options) => fs.mkdirSync(path, options),
  open: async (path, flags, mode) => new BlockingHandle(fs.openSync(path, flags, mode)),
  async rename(from, to) {
    fs.renameSync(from, to);
  },
  async link(from, to) {
    fs.linkSync(from, to);
  },
  async copyFile(from, to, mode) {
    fs.copyFileSync(from, to, mode);
  },
  async chmod(path, mode) {
    fs.chmodSync(path, mode);
  },
  async chown(path, user, group) {
    fs.chownSync(path, user, group);
  },
  async rm(path, options) {
    fs.rmSync(path, options);
  },
};

class BlockingHandle implements FileHandle {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async read(target: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }> {
    return { bytesRead: fs.readSync(this.#descriptor, target, offset, length, position) };
  }

  async writev(parts: readonly Uint8Array[], position: number): Promise<{ bytesWritten: number }> {
    return { bytesWritten: fs.writevSync(this.#descriptor, parts, position) };
  }

  async datasync(): Promise<void> {
    fs.fdatasyncSync(this.#descriptor);
  }

  async sync(): Promise<void> {
    fs.fsyncSync(this.#descriptor);
  }

  async truncate(size: number): Promise<void> {
    fs.ftruncateSync(this.#descriptor, size);
  }

  async stat(): Promise<{ size: number }> {
    return fs.fstatSync(this.#descriptor);
  }

  async close(): Promise<void> {
    fs.closeSync(this.#descriptor);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
