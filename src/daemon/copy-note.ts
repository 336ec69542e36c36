/**
 * What a delayed copy says of itself in the folder of its journal, so that retention leaves it what it needs, and status can
 * list it: `copies/<unique>/`, held by a lock of the kernel while its process lives, with a note in it.
 *
 * Invariant: it is there before the copy reads anything of the journal, and a pause is in it, durably, before `journal serve
 * pause` says that it is made. A note that cannot be understood needs everything. One that is left of a process counts while
 * the copy is paused, and else for an hour, in which it may come back.
 *
 * Neighbours: serve-delayed.ts keeps one, keep-local.ts goes by them, status.ts lists them.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock, Micros } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import type { Holder } from '../log/retention.ts';
import { isNotFound, listOrEmpty } from '../log/source-tree.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { Disk } from '../storage/disk.ts';
import { publish, readSmall, replaceCache, uniqueHex } from '../storage/publish.ts';
import type { Standing } from './delayed-history.ts';

/** Times RFC 3339. */
export interface CopyFacts {
  /** Its control socket, or `delayed` where that is the usual one. */
  readonly name: string;
  readonly delaySeconds: number;
  /** waiting: nothing is due yet. unknown: its note cannot be understood. */
  readonly state: Standing['state'] | 'unknown';
  readonly pausedSince: string | null;
  /** The dataset is the one of this instant. */
  readonly instant: string | null;
  /** That it serves. */
  readonly timeline: number | null;
  /** The last command that it serves, as the primary numbers it. */
  readonly position: string | null;
  readonly updatedAt: string;
}

export interface DelayedCopy extends CopyFacts {
  readonly path: string;
  readonly isRunning: boolean;
}

export interface CopyNoteOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly tree: SourceTree;
  readonly name: string;
  readonly delay: Micros;
  /** It cannot be written, so that retention goes by what it said last. Told once for each run of failures. */
  readonly failed: (error: unknown) => void;
}

const noteName = 'note.json';
const intervalMs = 1000;
const graceMicros: Micros = 3_600_000_000;

const time = z.string().refine((text) => !Number.isNaN(Date.parse(text)));
const schema = z.object({
  version: z.literal(1),
  name: z.string(),
  delaySeconds: z.number(),
  state: z.enum(['waiting', 'following', 'paused']),
  pausedSince: time.nullable(),
  instant: time.nullable(),
  timeline: z.int().nullable(),
  position: z.string().nullable(),
  updatedAt: time,
});

export class CopyNote implements AsyncDisposable {
  readonly #options: CopyNoteOptions;
  readonly #path: string;
  #standing: (() => Standing) | undefined;
  #hold: Disposable | undefined;
  #written: CopyFacts | undefined;
  #turn: Promise<void> = Promise.resolve();
  #trouble: unknown;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  private constructor(options: CopyNoteOptions) {
    this.#options = options;
    this.#path = join(options.tree.copies, uniqueHex());
  }

  /** On return retention leaves everything to it, if the note could be written. */
  static async open(options: CopyNoteOptions): Promise<CopyNote> {
    const note = new CopyNote(options);
    await note.refresh();
    return note;
  }

  /** From now on, what it needs. Takes the place of earlier processes that served this copy. */
  async follow(standing: () => Standing): Promise<void> {
    const { disk, tree, clock, name, failed } = this.#options;
    this.#standing = standing;
    await this.refresh();
    if (this.trouble === undefined) await clearCopies(disk, tree, clock.wall(), name).catch(failed);
    this.#schedule();
  }

  get name(): string {
    return this.#options.name;
  }

  /** Why retention does not know of this copy, or not what it needs now. */
  get trouble(): unknown {
    return this.#trouble;
  }

  /** Durable on return where what it needs is another than before, if it can be written. */
  refresh(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#write());
    return this.#turn;
  }

  /** It stays: the next process may go on where this one was. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.refresh();
    this.#hold?.[Symbol.dispose]();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#options.clock.after(intervalMs, () => {
      void this.refresh().then(() => {
        this.#schedule();
      });
    });
  }

  async #write(): Promise<void> {
    const { disk, tree, failed } = this.#options;
    const facts = this.#facts();
    try {
      if (this.#hold === undefined) {
        this.#hold = await disk.makeHeld(this.#path, facts.updatedAt);
        for (const directory of [tree.copies, tree.directory]) await disk.syncDirectory(directory);
      }
      const { state, timeline } = this.#written ?? {};
      const isSame = state === facts.state && timeline === facts.timeline;
      const bytes = Buffer.from(`${JSON.stringify({ version: 1, ...facts }, undefined, 2)}\n`);
      await (isSame ? replaceCache : publish)(disk, join(this.#path, noteName), bytes);
      this.#written = facts;
      this.#trouble = undefined;
    } catch (error) {
      if (this.#trouble === undefined) failed(error);
      this.#trouble = error;
    }
  }

  #facts(): CopyFacts {
    const { clock, name, delay } = this.#options;
    const { state = 'waiting', since, instant, reached } = this.#standing?.() ?? {};
    return {
      name,
      delaySeconds: delay / 1_000_000,
      state,
      pausedSince: since === undefined ? null : formatInstant(since),
      instant: instant === undefined ? null : formatInstant(instant),
      timeline: reached?.timeline ?? null,
      position: reached?.position ?? null,
      updatedAt: formatInstant(clock.wall()),
    };
  }
}

/** Those that count. */
export async function readCopies(disk: Disk, tree: SourceTree, now: Micros): Promise<DelayedCopy[]> {
  return (await allCopies(disk, tree, now)).filter((copy) => !isOver(copy, now));
}

/** Removes what is left of copies that are over, and of earlier processes that served the one of that name. */
export async function clearCopies(disk: Disk, tree: SourceTree, now: Micros, name?: string): Promise<void> {
  for (const copy of await allCopies(disk, tree, now)) {
    if (!copy.isRunning && (copy.name === name || isOver(copy, now))) await disk.removeTree(copy.path);
  }
}

/** What retention is to leave to it. Paused without a place it needs nothing: what it stood on is gone. */
export function holderOf({ name, state, timeline }: DelayedCopy): Holder {
  return { name, from: timeline ?? (state === 'paused' ? Infinity : 0) };
}

async function allCopies(disk: Disk, tree: SourceTree, now: Micros): Promise<DelayedCopy[]> {
  const names = (await listOrEmpty(disk, tree.copies)).sort();
  const found = await Promise.all(names.map((name) => readCopy(disk, join(tree.copies, name), now)));
  return found.filter((copy) => copy !== undefined);
}

/** Undefined: it has said nothing yet. */
async function readCopy(disk: Disk, path: string, now: Micros): Promise<DelayedCopy | undefined> {
  const isRunning = !(await disk.isAbandoned(path, now));
  const nothing = { pausedSince: null, instant: null, timeline: null, position: null };
  const unknown = { name: path, delaySeconds: 0, state: 'unknown', ...nothing, updatedAt: formatInstant(now) } as const;
  try {
    const text = (await readSmall(disk, join(path, noteName))).toString('utf8');
    const { version: _, ...facts } = schema.parse(JSON.parse(text));
    return { ...facts, path, isRunning };
  } catch (error) {
    if (!isNotFound(error)) return { ...unknown, path, isRunning };
    // Whoever was to write it is gone.
    return isRunning ? undefined : { ...unknown, state: 'waiting', updatedAt: formatInstant(0), path, isRunning };
  }
}

function isOver({ isRunning, state, updatedAt }: DelayedCopy, now: Micros): boolean {
  if (isRunning || state === 'paused' || state === 'unknown') return false;
  return now - Date.parse(updatedAt) * 1000 > graceMicros;
}
