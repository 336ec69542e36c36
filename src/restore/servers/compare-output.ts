/**
 * What a restore of some keys would do to a running server, key by key, without doing it: the same way through the scratch
 * server, and then each key is compared, not written. Rows are told as they are found.
 *
 * Invariant: it only reads: DUMP, PEXPIRETIME or PTTL, SCAN, TYPE. (A server that is looked at lets go of what has elapsed,
 * as it would anyway.) No more is held than a batch of keys, of both sides.
 */
import { tmpdir } from 'node:os';
import type { Clock } from '../../core/clock.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import { isAtLeast, tellsExpiryTimes } from '../../redis/server-version.ts';
import type { ServerVersion } from '../../redis/server-version.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { dumpedKeys } from '../../scratch/dumped-keys.ts';
import type { DumpedKey } from '../../scratch/dumped-keys.ts';
import { absentKeys } from './absent-keys.ts';
import { compareKey } from './compare-keys.ts';
import type { Comparison, HeldKey, KeyRow, KeyState } from './compare-keys.ts';
import { countSaved } from '../outputs/filter-saved.ts';
import type { RestoreOutput, RestoreSource, Written } from '../outputs/output.ts';
import { requireDbs } from './require-dbs.ts';
import type { ServerTarget } from './server-output.ts';
import { TargetLink } from './target-link.ts';
import { decideTarget } from '../plan/target-rails.ts';

export type TellRows = (rows: readonly KeyRow[]) => Promise<void>;

const atOnceMax = 512;
const bytesAtOnce = 4 * 1024 * 1024;

export class CompareOutput implements RestoreOutput {
  readonly to: string;
  readonly scratchParent: string = tmpdir();
  readonly #target: ServerTarget;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #tell: TellRows;
  readonly #count: Record<KeyState, number> = { created: 0, changed: 0, identical: 0, absent: 0, elapsed: 0 };

  constructor(target: ServerTarget, clock: Clock, signal: AbortSignal, tell: TellRows) {
    this.to = target.plan.address;
    this.#target = target;
    this.#clock = clock;
    this.#signal = signal;
    this.#tell = tell;
  }

  async write({ disk, plan, dataset }: RestoreSource): Promise<Written> {
    const { selection } = plan;
    if (dataset === undefined || selection === undefined) throw new RangeError('the plan selects no keys');
    const picked = await countSaved(disk, await dataset.save(), selection);
    using link = await TargetLink.open(this.#target.config, this.#clock, this.#signal);
    const facts = await link.facts();
    const { server } = decideTarget(facts, this.#target.asked, this.#target.need);
    await requireDbs(link, dataset, selection);
    if (canLeaveNoTrace(server)) await link.bytes('CLIENT', 'NO-TOUCH', 'ON').catch(() => undefined);
    const seen = await this.#compare(link, server, dataset, selection);
    if (!selection.renames) await this.#lookForAbsent(link, dataset, selection);
    const count = this.#count;
    const comparison: Comparison = {
      ...count,
      elapsed: Math.max(0, picked.taken - seen),
      absent: selection.renames ? null : count.absent,
    };
    return { files: [], bytes: 0, isBaseClone: false, warnings: [], picked, comparison };
  }

  async publish(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Returns how many keys of the dataset there are. */
  async #compare(
    link: TargetLink,
    server: ServerVersion,
    dataset: ScratchDataset,
    selection: KeySelection,
  ): Promise<number> {
    let seen = 0;
    let atOnce = 16;
    for await (const { db, keys } of dumpedKeys(dataset, this.#signal, selection)) {
      await link.bytes('SELECT', String(db));
      for (let from = 0; from < keys.length;) {
        const batch = keys.slice(from, from + atOnce);
        from += batch.length;
        const held = await heldKeys(link, server, batch);
        const nowMs = Math.floor(this.#clock.wall() / 1000);
        await this.#found(batch.map((dumped, i) => compareKey(db, dumped, held[i], nowMs)));
        const average = held.reduce((sum, one) => sum + (one?.payload.length ?? 0), 0) / batch.length;
        atOnce = Math.max(1, Math.min(atOnceMax, Math.floor(bytesAtOnce / (average + 100))));
      }
      seen += keys.length;
    }
    return seen;
  }

  async #lookForAbsent(link: TargetLink, dataset: ScratchDataset, selection: KeySelection): Promise<void> {
    for await (const absent of absentKeys(link, dataset, selection, this.#signal)) {
      await this.#found(
        absent.map(({ db, key, hasElapsed }) => {
          return { state: hasElapsed ? 'elapsed' : 'absent', db, key, name: key, differs: [] };
        }),
      );
    }
  }

  async #found(rows: readonly KeyRow[]): Promise<void> {
    for (const { state } of rows) this.#count[state] += 1;
    await this.#tell(rows);
  }
}

/** To look at a key makes it one that was used just now, unless that is switched off: Redis 7.2 and later, Valkey. */
function canLeaveNoTrace(server: ServerVersion): boolean {
  return server.kind === 'valkey' || isAtLeast(server, 7, 2);
}

/** Undefined where the server has no such key. */
async function heldKeys(
  link: TargetLink,
  server: ServerVersion,
  keys: readonly DumpedKey[],
): Promise<readonly (HeldKey | undefined)[]> {
  const isAbsolute = tellsExpiryTimes(server);
  const before = isAbsolute ? 0 : await timeOf(link);
  const [payloads, ends] = await Promise.all([
    Promise.all(keys.map(({ name }) => link.bytes('DUMP', name))),
    Promise.all(keys.map(({ name }) => link.bytes(isAbsolute ? 'PEXPIRETIME' : 'PTTL', name))),
  ]);
  const after = isAbsolute ? 0 : await timeOf(link);
  return payloads.map((payload, i) => {
    if (!Buffer.isBuffer(payload)) return undefined;
    const left = Number(ends[i]);
    // -1: never. -2: it has just gone.
    if (left < 0) return { payload, endsFromMs: 0, endsToMs: 0 };
    return { payload, endsFromMs: before + left, endsToMs: after + left };
  });
}

/** In ms, by its clock. */
async function timeOf(link: TargetLink): Promise<number> {
  const [seconds, micros] = (await link.bytes('TIME')) as [Buffer, Buffer];
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}
