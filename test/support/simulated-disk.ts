// A Disk in memory that can lose power: what was not synced may then be lost, survive in part, or be torn at any byte.
// Every change is an operation with a number, which is a kill point: a fault may be put there (no space, an error of the
// medium, the end of the process), and a gate may hold it up. What the medium keeps is simulated-medium.ts.
// Invariant: given the same calls and seeds, everything that happens is the same, down to the order.
import path from 'node:path';
import { StorageError } from '../../src/core/errors.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import { Random } from './random.ts';
import { SimulatedFile, SimulatedFolder } from './simulated-medium.ts';
import type { Entry } from './simulated-medium.ts';

export type OperationKind =
  | 'create'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'link'
  | 'clone'
  | 'remove'
  | 'makeDirectory'
  | 'removeTree'
  | 'syncDirectory';

/** A change of the disk. Reads are not counted: nothing can be lost by them. */
export interface Operation {
  readonly index: number;
  readonly kind: OperationKind;
  readonly path: string;
}

/** `power`: the process ends here; the operation may or may not have had its effect. */
export type Fault = 'no-space' | 'io' | 'power';

/** Always chooses what loses most. */
class Unlucky extends Random {
  override chance(): boolean {
    return false;
  }

  override below(): number {
    return 0;
  }
}

export class SimulatedDisk implements Disk {
  readonly operations: Operation[] = [];
  /** Asked before every change. */
  fault: (operation: Operation) => Fault | undefined = () => undefined;
  /** Awaited before every change. */
  gate: (operation: Operation) => Promise<void> | undefined = () => undefined;
  /** What freeBytes() tells. */
  free = 1024 ** 4;
  readonly #root: SimulatedFolder;
  #isDead = false;

  constructor(root: SimulatedFolder = new SimulatedFolder()) {
    this.#root = root;
  }

  /** Whether the power went, by a fault, a crash, or because the process was killed. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** The disk as it is found after a power loss. This one is dead from now on. `nothing` of what was unsynced is left. */
  crash(seed: number | 'nothing'): SimulatedDisk {
    this.#isDead = true;
    return this.afterPowerLoss(seed);
  }

  /** What would be found if the power went now; this one goes on. */
  afterPowerLoss(seed: number | 'nothing'): SimulatedDisk {
    const random = seed === 'nothing' ? new Unlucky(0) : new Random(seed);
    return new SimulatedDisk(this.#root.afterPowerLoss(random));
  }

  /** The disk as the next process finds it when this one was killed: nothing is lost, nothing more is synced. */
  kill(): SimulatedDisk {
    this.#isDead = true;
    return new SimulatedDisk(this.#root);
  }

  /** Every file with its bytes, by path. */
  files(): Map<string, Buffer> {
    const found = new Map<string, Buffer>();
    const visit = (folder: SimulatedFolder, at: string): void => {
      for (const [name, entry] of folder.entries) {
        if (entry instanceof SimulatedFolder) visit(entry, path.posix.join(at, name));
        else found.set(path.posix.join(at, name), entry.content);
      }
    };
    visit(this.#root, '/');
    return found;
  }

  /** A disk of its own that holds these files and folders, all of them durable. */
  static holding(files: ReadonlyMap<string, Buffer>, folders: readonly string[] = []): SimulatedDisk {
    const disk = new SimulatedDisk();
    for (const folder of folders) disk.#makeFolders(folder);
    for (const [file, bytes] of files) {
      disk.#makeFolders(path.posix.dirname(file)).change([path.posix.basename(file), SimulatedFile.holding(bytes)]);
    }
    const settle = (folder: SimulatedFolder): void => {
      folder.beginSync()();
      for (const entry of folder.entries.values()) if (entry instanceof SimulatedFolder) settle(entry);
    };
    settle(disk.#root);
    return disk;
  }

  async list(directory: string): Promise<string[]> {
    await this.#alive('list', directory);
    return [...this.#folder('list', directory).entries.keys()];
  }

  async size(file: string): Promise<number | undefined> {
    await this.#alive('stat', file);
    const entry = this.#find(file);
    return entry instanceof SimulatedFile ? entry.content.length : entry && 0;
  }

  async makeDirectory(directory: string): Promise<void> {
    await this.#change('makeDirectory', directory, () => {
      this.#makeFolders(directory);
    });
  }

  /** One process is all there is. */
  async makeHeld(directory: string): Promise<Disposable> {
    await this.makeDirectory(directory);
    return { [Symbol.dispose]: () => undefined };
  }

  async isAbandoned(): Promise<boolean> {
    return false;
  }

  async create(file: string): Promise<DiskFile> {
    return this.#change('create', file, () => {
      const { folder, name } = this.#parent('create', file);
      if (folder.entries.has(name)) throw new StorageError('exists', `cannot create ${file}: it exists`);
      const created = new SimulatedFile();
      folder.change([name, created]);
      return this.#handle(file, created, true);
    });
  }

  async open(file: string, mode: 'read' | 'write'): Promise<DiskFile> {
    await this.#alive('open', file);
    const entry = this.#find(file);
    if (entry === undefined) throw notFound('open', file);
    if (entry instanceof SimulatedFolder) throw new StorageError('io', `cannot open ${file}: it is a directory`);
    return this.#handle(file, entry, mode === 'write');
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#change('rename', to, () => {
      const { folder, name } = this.#parent('rename', from);
      const target = this.#parent('rename', to);
      const entry = folder.entries.get(name);
      if (entry === undefined) throw notFound('rename', from);
      if (target.folder === folder) {
        folder.change([name, undefined], [target.name, entry]);
      } else {
        folder.change([name, undefined]);
        target.folder.change([target.name, entry]);
      }
    });
  }

  async link(from: string, to: string): Promise<void> {
    await this.#change('link', to, () => {
      const entry = this.#find(from);
      const { folder, name } = this.#parent('link', to);
      if (entry === undefined) throw notFound('link', from);
      if (folder.entries.has(name)) throw new StorageError('exists', `cannot link ${to}: it exists`);
      folder.change([name, entry]);
    });
  }

  async clone(from: string, to: string): Promise<boolean> {
    return this.#change('clone', to, () => {
      const entry = this.#find(from);
      const { folder, name } = this.#parent('clone', to);
      if (!(entry instanceof SimulatedFile)) throw notFound('clone', from);
      if (folder.entries.has(name)) throw new StorageError('exists', `cannot clone ${to}: it exists`);
      const copy = new SimulatedFile();
      copy.write(entry.content, 0);
      folder.change([name, copy]);
      return true;
    });
  }

  /** Owners are not simulated. */
  async changeOwner(file: string): Promise<void> {
    await this.#alive('change owner of', file);
    if (this.#find(file) === undefined) throw notFound('change owner of', file);
  }

  async remove(file: string): Promise<void> {
    await this.#change('remove', file, () => {
      const entry = this.#find(file);
      if (entry instanceof SimulatedFolder) throw new StorageError('io', `cannot remove ${file}: it is a directory`);
      if (entry === undefined) return;
      const { folder, name } = this.#parent('remove', file);
      folder.change([name, undefined]);
    });
  }

  async removeTree(directory: string): Promise<void> {
    await this.#change('removeTree', directory, () => {
      if (this.#find(directory) === undefined) return;
      const { folder, name } = this.#parent('remove', directory);
      emptied(folder.entries.get(name));
      folder.change([name, undefined]);
    });
  }

  async syncDirectory(directory: string): Promise<void> {
    let finish: (() => void) | undefined;
    await this.#change('syncDirectory', directory, () => {
      finish = this.#folder('sync directory', directory).beginSync();
    });
    await ticks(3);
    this.#requireAlive('sync directory', directory);
    finish?.();
  }

  async freeBytes(file: string): Promise<number> {
    await this.#alive('stat file system', file);
    return this.free;
  }

  #handle(file: string, content: SimulatedFile, isWritable: boolean): DiskFile {
    return new SimulatedHandle(file, content, isWritable, {
      alive: (what) => this.#alive(what, file),
      change: (kind, effect) => this.#change(kind, file, effect),
    });
  }

  /** One operation: it may be held up, fail, or be the last one. */
  async #change<T>(kind: OperationKind, file: string, effect: (fault: Fault | undefined) => T): Promise<T> {
    this.#requireAlive(kind, file);
    const operation = { index: this.operations.length, kind, path: file };
    this.operations.push(operation);
    await ticks(1);
    await this.gate(operation);
    this.#requireAlive(kind, file);
    const fault = this.fault(operation);
    if (fault === undefined) return effect(undefined);
    // A write of which only a part arrived, a sync that failed, are effects, too.
    if (kind === 'write' || kind === 'sync') effect(fault);
    else if (fault === 'power') effect(undefined);
    if (fault === 'power') this.#isDead = true;
    throw fault === 'no-space'
      ? new StorageError('no-space', `cannot ${kind} ${file}: no space left`)
      : new StorageError('io', `cannot ${kind} ${file}: ${fault === 'power' ? 'the power is gone' : 'EIO'}`);
  }

  async #alive(what: string, file: string): Promise<void> {
    await ticks(1);
    this.#requireAlive(what, file);
  }

  #requireAlive(what: string, file: string): void {
    if (this.#isDead) throw new StorageError('io', `cannot ${what} ${file}: the power is gone`);
  }

  #find(file: string): Entry | undefined {
    let entry: Entry | undefined = this.#root;
    for (const part of parts(file)) entry = entry instanceof SimulatedFolder ? entry.entries.get(part) : undefined;
    return entry;
  }

  #folder(what: string, directory: string): SimulatedFolder {
    const entry = this.#find(directory);
    if (entry === undefined) throw notFound(what, directory);
    if (entry instanceof SimulatedFolder) return entry;
    throw new StorageError('io', `cannot ${what} ${directory}: not a directory`);
  }

  #parent(what: string, file: string): { folder: SimulatedFolder; name: string } {
    return { folder: this.#folder(what, path.posix.dirname(file)), name: path.posix.basename(file) };
  }

  #makeFolders(directory: string): SimulatedFolder {
    let folder = this.#root;
    for (const part of parts(directory)) {
      const entry = folder.entries.get(part) ?? new SimulatedFolder();
      if (!(entry instanceof SimulatedFolder))
        throw new StorageError('exists', `cannot create ${directory}: it exists`);
      if (!folder.entries.has(part)) folder.change([part, entry]);
      folder = entry;
    }
    return folder;
  }
}

interface Owner {
  alive(what: string): Promise<void>;
  change<T>(kind: OperationKind, effect: (fault: Fault | undefined) => T): Promise<T>;
}

class SimulatedHandle implements DiskFile {
  readonly path: string;
  readonly #file: SimulatedFile;
  readonly #isWritable: boolean;
  readonly #owner: Owner;
  #isClosed = false;

  constructor(file: string, content: SimulatedFile, isWritable: boolean, owner: Owner) {
    this.path = file;
    this.#file = content;
    this.#isWritable = isWritable;
    this.#owner = owner;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    await this.#owner.alive('read');
    this.#requireOpen('read');
    return this.#file.content.copy(target, 0, Math.min(position, this.#file.content.length));
  }

  async write(given: readonly Uint8Array[], position: number): Promise<void> {
    this.#requireWritable('write');
    await this.#owner.change('write', (fault) => {
      const bytes = Buffer.concat(given);
      this.#file.write(
        fault === undefined || fault === 'power' ? bytes : bytes.subarray(0, bytes.length / 2),
        position,
      );
    });
    await ticks(1);
  }

  async sync(): Promise<void> {
    this.#requireWritable('sync');
    const finish = this.#file.beginSync();
    await this.#owner.change('sync', (fault) => {
      if (fault !== undefined && fault !== 'power') finish('failed');
    });
    await ticks(4);
    await this.#owner.alive('sync');
    finish('done');
  }

  async truncate(size: number): Promise<void> {
    this.#requireWritable('truncate');
    await this.#owner.change('truncate', () => {
      this.#file.truncate(size);
    });
  }

  async size(): Promise<number> {
    await this.#owner.alive('stat');
    this.#requireOpen('stat');
    return this.#file.content.length;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #requireWritable(what: string): void {
    this.#requireOpen(what);
    if (!this.#isWritable) throw new StorageError('io', `cannot ${what} ${this.path}: opened for reading`);
  }

  #requireOpen(what: string): void {
    if (this.#isClosed) throw new StorageError('io', `cannot ${what} ${this.path}: it is closed`);
  }
}

/** Lets others go first, in an order that is the same every time. */
async function ticks(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await Promise.resolve();
}

function parts(file: string): string[] {
  return file.split('/').filter((part) => part !== '');
}

function emptied(entry: Entry | undefined): void {
  if (!(entry instanceof SimulatedFolder)) return;
  for (const [name, child] of [...entry.entries]) {
    emptied(child);
    entry.change([name, undefined]);
  }
}

function notFound(what: string, file: string): StorageError {
  return new StorageError('not-found', `cannot ${what} ${file}: no such file or directory`);
}
