// What a simulated disk holds: files and folders, each as it is on the medium plus the changes that are not there yet.
// Neighbour: simulated-disk.ts, which gives it the face of a Disk.
// Invariant: afterPowerLoss() of one seed is always the same; it may lose, tear or undo only what was never synced.
import type { Random } from './random.ts';

/** `limbo`: a sync of it failed. It can be read, counts as written, and no later sync will take it to the medium. */
type ChangeState = 'dirty' | 'limbo' | 'durable';

type FileChange =
  | { state: ChangeState; readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { state: ChangeState; readonly kind: 'truncate'; readonly size: number };

export class SimulatedFile {
  /** As it is read. */
  content: Buffer = Buffer.alloc(0);
  #onMedium: Buffer = Buffer.alloc(0);
  #changes: FileChange[] = [];

  static holding(bytes: Buffer): SimulatedFile {
    const file = new SimulatedFile();
    file.content = bytes;
    file.#onMedium = bytes;
    return file;
  }

  write(bytes: Buffer, position: number): void {
    if (bytes.length === 0) return;
    this.#change({ state: 'dirty', kind: 'write', position, bytes: Buffer.from(bytes) });
  }

  truncate(size: number): void {
    this.#change({ state: 'dirty', kind: 'truncate', size });
  }

  /** What a sync that begins now will take to the medium. */
  beginSync(): (result: 'done' | 'failed') => void {
    const covered = this.#changes.filter(({ state }) => state === 'dirty');
    return (result) => {
      for (const change of covered)
        if (change.state === 'dirty') change.state = result === 'done' ? 'durable' : 'limbo';
      while (this.#changes[0]?.state === 'durable') {
        this.#onMedium = applied(this.#onMedium, this.#changes[0]);
        this.#changes.shift();
      }
    };
  }

  afterPowerLoss(random: Random): SimulatedFile {
    let bytes: Buffer = Buffer.from(this.#onMedium);
    const isLucky = random.chance(0.3);
    for (const change of this.#changes) {
      if (change.state === 'durable' || isLucky) bytes = applied(bytes, change);
      else bytes = survived(bytes, change, random);
    }
    return SimulatedFile.holding(bytes);
  }

  #change(change: FileChange): void {
    this.#changes.push(change);
    this.content = applied(this.content, change);
  }
}

function applied(bytes: Buffer, change: FileChange): Buffer {
  if (change.kind === 'truncate') return resized(bytes, change.size);
  const end = change.position + change.bytes.length;
  const result = end > bytes.length ? resized(bytes, end) : Buffer.from(bytes);
  change.bytes.copy(result, change.position);
  return result;
}

function resized(bytes: Buffer, size: number): Buffer {
  const result = Buffer.alloc(size);
  bytes.copy(result, 0, 0, size);
  return result;
}

/** Of an unsynced change: nothing, all, its beginning, a stretch of it, its size alone, or stale bytes in its place. */
function survived(bytes: Buffer, change: FileChange, random: Random): Buffer {
  if (change.kind === 'truncate') return random.chance(0.5) ? applied(bytes, change) : bytes;
  const { position, bytes: written, state } = change;
  const cut = random.below(written.length + 1);
  const part = (from: number, to: number): Buffer =>
    applied(bytes, { state, kind: 'write', position: position + from, bytes: written.subarray(from, to) });
  switch (random.below(8)) {
    case 0:
    case 1:
      return bytes;
    case 2:
    case 3:
      return applied(bytes, change);
    case 4:
      return part(0, cut);
    case 5:
      return part(cut, written.length);
    case 6:
      return resized(bytes, Math.max(bytes.length, position + cut));
    default:
      return stale(bytes, part(0, cut), {
        ...change,
        position: position + cut,
        bytes: random.bytes(written.length - cut),
      });
  }
}

/** Stale bytes are found where nothing had been written before; what was overwritten is there, as it was or as it is. */
function stale(before: Buffer, beginning: Buffer, rest: FileChange & { readonly kind: 'write' }): Buffer {
  const result = applied(beginning, rest);
  if (rest.position < before.length) before.copy(result, rest.position, rest.position, before.length);
  return result;
}

export type Entry = SimulatedFile | SimulatedFolder;

interface FolderChange {
  isDurable: boolean;
  /** Names and what they stand for afterwards; undefined: nothing. A rename is one change of two names. */
  readonly names: readonly (readonly [string, Entry | undefined])[];
}

export class SimulatedFolder {
  /** As it is listed. */
  readonly entries = new Map<string, Entry>();
  #onMedium = new Map<string, Entry>();
  #changes: FolderChange[] = [];

  change(...names: (readonly [string, Entry | undefined])[]): void {
    this.#changes.push({ isDurable: false, names });
    applyNames(this.entries, names);
  }

  beginSync(): () => void {
    const covered = [...this.#changes];
    return () => {
      for (const change of covered) change.isDurable = true;
      while (this.#changes[0]?.isDurable === true) {
        applyNames(this.#onMedium, this.#changes[0].names);
        this.#changes.shift();
      }
    };
  }

  /** File systems with a journal keep changes in order; others may keep any of them. */
  afterPowerLoss(random: Random, seen = new Map<Entry, Entry>()): SimulatedFolder {
    const names = new Map(this.#onMedium);
    const keepsOrder = random.chance(0.5);
    const kept = random.below(this.#changes.length + 1);
    for (const [i, change] of this.#changes.entries()) {
      const isKept = change.isDurable || (keepsOrder ? i < kept : random.chance(0.5));
      if (isKept) applyNames(names, change.names);
    }
    const result = new SimulatedFolder();
    for (const [name, entry] of names) {
      // Two names of one file stay two names of one file.
      const after = seen.get(entry) ?? entry.afterPowerLoss(random, seen);
      seen.set(entry, after);
      result.entries.set(name, after);
    }
    result.#onMedium = new Map(result.entries);
    return result;
  }
}

function applyNames(names: Map<string, Entry>, change: FolderChange['names']): void {
  for (const [name, entry] of change) {
    if (entry === undefined) names.delete(name);
    else names.set(name, entry);
  }
}
