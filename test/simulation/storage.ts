// The disk of the simulated machine and its moods: slow, stalled, full, with errors of the medium, and the points at which
// a process can be made to end. Every change of the disk has a name that says what it does to what (`sync open segment`),
// which is the name of the kill points before and behind it.
// Invariant: its delays and faults come from the seed and the world's time alone.
import path from 'node:path';
import { parseTimelineEntry, parseTimelineFolder, temporaryPrefix } from '../../journal-format/names.ts';
import type { Random } from '../support/random.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import type { Fault, Operation } from '../support/simulated-disk.ts';
import type { SimulatedTime } from './time.ts';

export type End = 'killed' | 'power';

export interface KillPoint {
  readonly side: 'before' | 'behind';
  /** So many changes of the disk from now. */
  countdown: number;
  readonly end: End;
}

export interface StorageOptions {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly note: (text: string) => void;
  /** The process has to end here. */
  readonly kill: (end: End, where: string) => void;
  /** A good place to ask what would be left if the power went. */
  readonly look: (where: string) => void;
}

/** How long syncs take, in ms: at least, at most. */
const speeds = [
  [0.05, 0.3],
  [0.5, 6],
  [5, 60],
] as const;

/** Of all changes of the disk, how many are looked at. */
const lookChance = 0.002;

export class MachineStorage {
  disk = new SimulatedDisk();
  killPoint: KillPoint | undefined;
  /** Operations that fail, until it is empty again. */
  readonly errors: Fault[] = [];
  #isFull = false;
  /** Something failed because it was made to. */
  hasFailed = false;
  #stalledUntil = 0;
  readonly #options: StorageOptions;
  readonly #speed: readonly [number, number];

  constructor(options: StorageOptions) {
    this.#options = options;
    this.#speed = options.random.pick(speeds);
    this.use(this.disk);
  }

  /** From now on the process works on this disk: what is left of the one before. */
  use(disk: SimulatedDisk): void {
    this.disk = disk;
    disk.gate = (operation) => this.#gate(disk, operation);
    disk.fault = (operation) => this.#fault(operation);
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  set isFull(isFull: boolean) {
    this.#isFull = isFull;
    this.#options.note(isFull ? 'disk: full' : 'disk: space again');
  }

  stall(ms: number): void {
    this.#stalledUntil = this.#options.time.now + ms * 1000;
  }

  heal(): void {
    this.errors.length = 0;
    if (this.#isFull) this.isFull = false;
    this.#stalledUntil = 0;
    this.killPoint = undefined;
  }

  async #gate(disk: SimulatedDisk, operation: Operation): Promise<void> {
    const { time, random, kill, look } = this.#options;
    const [least, most] = this.#speed;
    const factor = operation.kind === 'sync' || operation.kind === 'syncDirectory' ? 1 : 0.05;
    const stalledMs = Math.max(0, this.#stalledUntil - time.now) / 1000;
    await time.sleep(stalledMs + factor * (least + (most - least) * random.next()));
    if (random.chance(lookChance)) this.#at(disk, random.pick(['before', 'behind']), operation, look);
    const point = this.killPoint;
    if (point === undefined || disk.isDead) return;
    point.countdown -= 1;
    if (point.countdown > 0) return;
    this.killPoint = undefined;
    this.#at(disk, point.side, operation, (where) => {
      kill(point.end, where);
    });
    await neverIfDead(disk);
  }

  #at(disk: SimulatedDisk, side: KillPoint['side'], operation: Operation, act: (where: string) => void): void {
    const where = `${side} ${nameOf(operation)}`;
    if (side === 'before') {
      act(where);
      return;
    }
    // The change is made as soon as the gate opens; who asked for it hears of it only after this.
    queueMicrotask(() => {
      queueMicrotask(() => {
        if (!disk.isDead) act(where);
      });
    });
  }

  #fault({ kind }: Operation): Fault | undefined {
    const needsSpace = kind === 'create' || kind === 'write' || kind === 'makeDirectory' || kind === 'link';
    const fault = this.#isFull && needsSpace ? 'no-space' : this.errors.shift();
    if (fault !== undefined) {
      this.hasFailed = true;
      this.#options.note(`disk: ${fault} on ${kind}`);
    }
    return fault;
  }
}

/** Whoever waits for a disk whose process is gone waits for ever. */
function neverIfDead({ isDead }: SimulatedDisk): Promise<void> {
  return isDead ? new Promise(() => {}) : Promise.resolve();
}

/** What a change of the disk does, and to what. */
export function nameOf({ kind, path: file }: Operation): string {
  return `${kind} ${roleOf(file)}`;
}

function roleOf(file: string): string {
  const name = path.posix.basename(file);
  const folder = path.posix.basename(path.posix.dirname(file));
  if (name.startsWith(temporaryPrefix)) return `temporary file in ${folderRole(folder)}`;
  if (parseTimelineFolder(folder) !== undefined) {
    const { kind } = parseTimelineEntry(name);
    return kind === 'open' || kind === 'sealed' ? `${kind} segment` : kind;
  }
  if (folder === 'marks') return 'mark';
  if (folder === 'aside') return 'bytes aside';
  return name === 'state.json' ? 'state file' : `folder ${folderRole(name)}`;
}

function folderRole(name: string): string {
  return parseTimelineFolder(name) === undefined ? name : 'timeline';
}
