/**
 * `state.json`, the writer's last words: what it is doing and how far it is, for status.ts and whoever looks. It is
 * written about each second even when nothing happens, so that its age tells a living writer from a stuck one, and at
 * once when the state changes. A cache: nothing is decided from it that files could tell, and losing it loses nothing.
 *
 * Invariant: no secret ever enters it; offsets are strings and times RFC 3339, as in everything that we print.
 */
import { z } from 'zod';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import type { ReplicaState } from '../downstream/client.ts';
import type { Disk } from '../storage/disk.ts';
import { readSmall, replaceCache } from '../storage/publish.ts';
import { describe } from './describe-error.ts';
import type { DiskState } from './disk-watch.ts';
import type { RetentionState } from './keep-local.ts';
import type { AckMode } from './settings.ts';
import type { LinkLag } from './source-link.ts';
import type { UnendedCommand } from './unended-command.ts';
import { writerName } from './version.ts';

export type RunPhase = 'connecting' | 'syncing' | 'streaming' | 'disconnected' | 'stopping';

export interface RunState {
  /** Of this layout. */
  readonly version: 1;
  /** Program and version. */
  readonly writer: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly state: RunPhase;
  /** host:port of the server that is followed. */
  readonly source: string;
  readonly isTls: boolean;
  /** It is not a primary that goes on: why, and whether somebody must act. Null of a primary. */
  readonly degraded: Degraded | null;
  readonly server: { readonly kind: string; readonly version: string } | null;
  /** The timeline being written; null before the first byte of one. */
  readonly timeline: number | null;
  /** Its replication id. */
  readonly id: string | null;
  readonly position: { readonly received: string; readonly durable: string } | null;
  /** The last byte that the primary is known to have; null before that is known. */
  readonly head: string | null;
  /** Stamp of the last byte received. */
  readonly lastStamp: string | null;
  /** Bytes of a full sync under way; `size` where the primary told it. */
  readonly sync: { readonly received: number; readonly size: number | null } | null;
  /** In seconds: see StatusClock. */
  readonly clock: { readonly skew: number | null; readonly sampledAt: string | null; readonly wallError: number };
  /** A command or MULTI whose end does not come; null: there is none. */
  readonly unended: UnendedCommand | null;
  /** Segments that wait to be sealed. */
  readonly sealing: number;
  /** Why the last session ended; null once the link is up again. */
  readonly lastError: RunError | null;
  /** When the primary is tried again. */
  readonly nextAttemptAt: string | null;
  readonly disk: DiskState | null;
  readonly retention: RetentionState | null;
  /** What has to be durable before it is acknowledged to the primary. */
  readonly ack: AckMode;
  /** The journal that is followed; null: a server is. */
  readonly link: LinkLag | null;
  /** Those that are fed from here. */
  readonly replicas: readonly ReplicaState[];
}

export interface Degraded extends RunError {
  readonly isGrave: boolean;
}

export interface RunError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly at: string;
}

/** An error as it is told here. */
export function lastWords(error: unknown): RunError {
  const { code, error: message, hint } = describe(error);
  return { code, message, hint: hint ?? null, at: formatInstant(systemClock.wall()) };
}

/** What the daemon tells; the rest StateWriter knows itself. */
export type RunChange = Partial<Omit<RunState, 'version' | 'writer' | 'pid' | 'startedAt' | 'updatedAt'>>;

const instant = z.string().refine((text) => !Number.isNaN(Date.parse(text)));
const offset = z.string().regex(/^\d{1,16}$/);

const lag = z.object({ bytes: z.number(), seconds: z.number() });

const error = { code: z.string(), message: z.string(), hint: z.string().nullable(), at: instant };

const schema: z.ZodType<RunState> = z.object({
  version: z.literal(1),
  writer: z.string(),
  pid: z.int(),
  startedAt: instant,
  updatedAt: instant,
  state: z.enum(['connecting', 'syncing', 'streaming', 'disconnected', 'stopping']),
  source: z.string(),
  isTls: z.boolean().default(false),
  degraded: z
    .object({ ...error, isGrave: z.boolean() })
    .nullable()
    .default(null),
  server: z.object({ kind: z.string(), version: z.string() }).nullable(),
  timeline: z.int().nullable(),
  id: z.string().nullable(),
  position: z.object({ received: offset, durable: offset }).nullable(),
  head: offset.nullable().default(null),
  lastStamp: instant.nullable(),
  sync: z.object({ received: z.int(), size: z.int().nullable() }).nullable(),
  clock: z.object({ skew: z.number().nullable(), sampledAt: instant.nullable(), wallError: z.number() }),
  unended: z.object({ behind: offset, since: instant, bytes: z.int() }).nullable().default(null),
  sealing: z.int(),
  lastError: z.object(error).nullable(),
  nextAttemptAt: instant.nullable(),
  disk: z
    .object({
      freeBytes: z.number().nullable(),
      growthBytesPerSecond: z.number().nullable(),
      fullInSeconds: z.number().nullable(),
      trouble: z
        .object({
          code: z.enum(['disk-full', 'disk-silent']),
          message: z.string(),
          hint: z.string().nullable(),
          since: instant,
        })
        .nullable(),
    })
    .nullable()
    .default(null),
  retention: z
    .object({
      rule: z.string(),
      heldBytes: z.number(),
      copies: z.array(z.object({ name: z.string(), bytes: z.number() })).default([]),
    })
    .nullable()
    .default(null),
  ack: z.enum(['local', 'remote']).default('local'),
  link: z.object({ hops: z.int(), isUp: z.boolean(), hop: lag, total: lag }).nullable().default(null),
  replicas: z
    .array(
      z.object({
        peer: z.string(),
        host: z.string(),
        port: z.int(),
        state: z.enum(['waiting', 'base', 'online']),
        isJournal: z.boolean().default(false),
        acknowledged: z.int(),
        sent: z.int(),
        silentMs: z.number(),
      }),
    )
    .default([]),
});

/** Undefined when there is none, or none that we understand: whoever asks must do without it. */
export async function readRunState(disk: Disk, path: string): Promise<RunState | undefined> {
  try {
    const value: unknown = JSON.parse((await readSmall(disk, path)).toString('utf8'));
    return schema.safeParse(value).data;
  } catch {
    return undefined;
  }
}

export interface StateWriterOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly path: string;
  /** The primary's host:port. */
  readonly source: string;
  readonly isTls?: boolean;
  /** The same text that the writer's lock was taken with: it tells this writer's words from its predecessor's. */
  readonly startedAt: string;
  /** What changes all the time (positions, stamps), asked for before each write. */
  readonly poll?: () => RunChange;
  /** The file could not be written. Told once for each run of failures; nothing else follows from it. */
  readonly failed: (error: unknown) => void;
}

const intervalMs = 1000;
/** A file system may give out its room in blocks of this much. */
const blockBytes = 4096;

export class StateWriter implements AsyncDisposable {
  readonly #options: StateWriterOptions;
  #state: RunState;
  #writing: Promise<void> | undefined;
  #again = false;
  #hasFailed = false;
  #isClosed = false;
  #cancelTimer: (() => void) | undefined;

  /** Begins to write: 'connecting' at first. The source's folder must exist. */
  constructor(options: StateWriterOptions) {
    const { source, isTls = false, startedAt } = options;
    this.#options = options;
    this.#state = {
      version: 1,
      writer: writerName,
      pid: process.pid,
      startedAt,
      updatedAt: startedAt,
      state: 'connecting',
      source,
      isTls,
      degraded: null,
      server: null,
      timeline: null,
      id: null,
      position: null,
      head: null,
      lastStamp: null,
      sync: null,
      clock: { skew: null, sampledAt: null, wallError: 0 },
      unended: null,
      sealing: 0,
      lastError: null,
      nextAttemptAt: null,
      disk: null,
      retention: null,
      ack: 'local',
      link: null,
      replicas: [],
    };
    this.#write();
    this.#schedule();
  }

  get state(): RunState {
    return this.#state;
  }

  /** Takes what changed; it is written within a second, at once when `state`, `lastError` or `degraded` is another. */
  update(change: RunChange): void {
    const before = this.#state;
    this.#state = { ...before, ...change };
    const { state, lastError, degraded } = this.#state;
    if (state !== before.state || lastError !== before.lastError || degraded !== before.degraded) this.#write();
  }

  /** Writes the last state and stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#cancelTimer?.();
    this.#write();
    this.#isClosed = true;
    while (this.#writing !== undefined) await this.#writing;
  }

  #schedule(): void {
    this.#cancelTimer = this.#options.clock.after(intervalMs, () => {
      this.#write();
      this.#schedule();
    });
  }

  #write(): void {
    if (this.#isClosed) return;
    if (this.#writing === undefined) this.#writing = this.#writeLoop();
    else this.#again = true;
  }

  async #writeLoop(): Promise<void> {
    for (let wanted = true; wanted; wanted = this.#takeWish()) await this.#writeOnce();
    this.#writing = undefined;
  }

  /** Whether a write was asked for while one was under way. */
  #takeWish(): boolean {
    const wanted = this.#again;
    this.#again = false;
    return wanted;
  }

  async #writeOnce(): Promise<void> {
    const { disk, clock, path, poll, failed } = this.#options;
    this.#state = { ...this.#state, ...poll?.(), updatedAt: formatInstant(clock.wall()) };
    try {
      await replaceCache(disk, path, formatState(this.#state));
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) failed(error);
      this.#hasFailed = true;
    }
  }
}

/** Blanks at the end are room for more: what a full disk is told with must fit into what the file has. */
function formatState(state: RunState): Buffer {
  const text = Buffer.from(`${JSON.stringify(state, undefined, 2)}\n`);
  const room = Buffer.alloc(Math.ceil(text.length / blockBytes) * blockBytes, ' ');
  text.copy(room);
  return room;
}
