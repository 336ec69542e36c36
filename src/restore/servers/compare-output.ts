/**
 * What a restore of some keys would do to a running server, or a cluster, key by key, without doing it: the same way through
 * the scratch server, and then each key is compared with what its server has; where only missing ones are to be written, it is
 * looked whether it is there. Rows are told as they are found.
 *
 * Invariant: it only reads: EXISTS, DUMP, PEXPIRETIME or PTTL, SCAN, TYPE. (A server that is looked at lets go of what has elapsed,
 * as it would anyway.) No more is held than a batch of keys, of both sides.
 */
import type { Clock } from '../../core/clock.ts';
import { isAtLeast, tellsExpiryTimes } from '../../redis/server-version.ts';
import type { ServerVersion } from '../../redis/server-version.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import { dumpedKeys } from '../../scratch/dumped-keys.ts';
import type { DumpedKey } from '../../scratch/dumped-keys.ts';
import { compareKey } from './compare-keys.ts';
import type { Comparison, HeldKey, KeyRow } from './compare-keys.ts';
import type { RestoreSource, Written } from '../outputs/output.ts';
import { missingAmong } from './missing-keys.ts';
import { PartTarget } from './part-target.ts';
import type { TargetLink } from './target-link.ts';
import { TargetOutput } from './target-output.ts';
import type { ServerTarget } from './target-output.ts';
import type { TargetServers } from './target-servers.ts';

export type TellRows = (rows: readonly KeyRow[]) => Promise<void>;

const atOnceMax = 512;
const bytesAtOnce = 4 * 1024 * 1024;

export class CompareOutput extends TargetOutput {
  readonly #tell: TellRows;
  /** By the address of their server, and what becomes of them. */
  readonly #rows = new Map<string, Record<KeyRow['change'], number>>();

  constructor(target: ServerTarget, clock: Clock, signal: AbortSignal, tell: TellRows) {
    super(target, clock, signal);
    this.#tell = tell;
  }

  async write(source: RestoreSource): Promise<Written> {
    using part = await PartTarget.open(this.target, source, this.clock, this.signal);
    const { servers, selection, picked } = part;
    await leaveNoTrace(servers);
    const seen = await this.#compare(part, source.step);
    if (this.#looksForAbsent(selection)) await this.#lookForAbsent(part);
    await servers.requireSettled();
    const elapsed = Math.max(0, picked.taken - seen);
    return { files: [], bytes: 0, isBaseClone: false, warnings: [], picked, comparison: this.#compared(part, elapsed) };
  }

  /** Returns how many keys of the dataset there are. */
  async #compare({ servers, dataset, selection, picked }: PartTarget, step: RestoreSource['step']): Promise<number> {
    let seen = 0;
    let atOnce = 16;
    for await (const { db, keys } of dumpedKeys(dataset, this.signal, selection)) {
      for (const link of servers.links) await link.bytes('SELECT', String(db));
      for (let from = 0; from < keys.length;) {
        const batch = keys.slice(from, from + atOnce);
        from += batch.length;
        const bytes = await this.#compareBatch(servers, db, batch);
        atOnce = Math.max(1, Math.min(atOnceMax, Math.floor(bytesAtOnce / (bytes / batch.length + 100))));
      }
      seen += keys.length;
      step(seen, picked.taken, 'comparing');
    }
    return seen;
  }

  /** Returns how many bytes the servers sent. */
  async #compareBatch(servers: TargetServers, db: number, batch: readonly DumpedKey[]): Promise<number> {
    const where = ({ name }: DumpedKey): Pick<KeyRow, 'at' | 'db'> => ({ at: servers.linkOf(name).address, db });
    if (this.#onlyMissing) {
      const missing = new Set(await missingAmong(servers, batch));
      const changeOf = (dumped: DumpedKey): KeyRow['change'] => (missing.has(dumped) ? 'created' : 'left-alone');
      await this.#found(batch.map((dumped) => rowOf(where(dumped), changeOf(dumped), dumped)));
      return 0;
    }
    const held = await heldKeys(servers, batch);
    const nowMs = Math.floor(this.clock.wall() / 1000);
    await this.#found(batch.map((dumped) => compareKey(where(dumped), dumped, held.get(dumped), nowMs)));
    return [...held.values()].reduce((sum, { payload }) => sum + payload.length, 0);
  }

  get #onlyMissing(): boolean {
    return this.target.asked.part?.onlyMissing === true;
  }

  /** Under other names nobody knows them; and where only missing ones are written, they stay anyway. */
  #looksForAbsent({ renames }: KeySelection): boolean {
    return !renames && !this.#onlyMissing;
  }

  async #lookForAbsent(part: PartTarget): Promise<void> {
    for await (const { link, db, keys } of part.absent(this.signal)) {
      await this.#found(
        keys.map(({ key, hasElapsed }) => {
          const change = hasElapsed ? 'elapsed' : 'absent';
          return rowOf({ at: link.address, db }, change, { key, name: key });
        }),
      );
    }
  }

  async #found(rows: readonly KeyRow[]): Promise<void> {
    for (const { at, change } of rows) {
      const counts = this.#rows.get(at) ?? noRows();
      counts[change] += 1;
      this.#rows.set(at, counts);
    }
    await this.#tell(rows);
  }

  #compared({ servers, selection, mirrored }: PartTarget, elapsed: number): Comparison {
    const each = servers.links.map((link) => {
      const { absent, ...counts } = this.#rows.get(link.address) ?? noRows();
      const { created, changed, identical, 'left-alone': leftAlone } = counts;
      const isLookedFor = this.#looksForAbsent(selection) && mirrored.includes(link);
      return { address: link.address, created, changed, identical, leftAlone, absent: isLookedFor ? absent : null };
    });
    const sum = (of: 'created' | 'changed' | 'identical' | 'leftAlone' | 'absent'): number =>
      each.reduce((total, counts) => total + (counts[of] ?? 0), 0);
    return {
      ...{ created: sum('created'), changed: sum('changed'), identical: sum('identical'), elapsed },
      leftAlone: sum('leftAlone'),
      absent: this.#looksForAbsent(selection) ? sum('absent') : null,
      primaries: servers.plan.cluster === undefined ? [] : each,
    };
  }
}

function noRows(): Record<KeyRow['change'], number> {
  return { created: 0, changed: 0, identical: 0, 'left-alone': 0, absent: 0, elapsed: 0 };
}

function rowOf(
  where: Pick<KeyRow, 'at' | 'db'>,
  change: KeyRow['change'],
  { key, name }: Pick<KeyRow, 'key' | 'name'>,
): KeyRow {
  return { change, ...where, key, name, differs: [] };
}

/** To look at a key makes it one that was used just now, unless that is switched off: Redis 7.2 and later, Valkey. */
async function leaveNoTrace({ reached }: TargetServers): Promise<void> {
  for (const { link, facts } of reached) {
    const { server } = facts;
    if (server.kind !== 'valkey' && !isAtLeast(server, 7, 2)) continue;
    await link.bytes('CLIENT', 'NO-TOUCH', 'ON').catch(() => undefined);
  }
}

/** What the server of each has under its name; nothing where there is no such key. */
async function heldKeys(servers: TargetServers, keys: readonly DumpedKey[]): Promise<ReadonlyMap<DumpedKey, HeldKey>> {
  const held = await Promise.all(
    servers.reached.map(({ link, facts }) => {
      const own = keys.filter(({ name }) => servers.linkOf(name) === link);
      return heldBy(link, facts.server, own);
    }),
  );
  return new Map(held.flat());
}

async function heldBy(
  link: TargetLink,
  server: ServerVersion,
  keys: readonly DumpedKey[],
): Promise<(readonly [DumpedKey, HeldKey])[]> {
  if (keys.length === 0) return [];
  const isAbsolute = tellsExpiryTimes(server);
  const before = isAbsolute ? 0 : await timeOf(link);
  const [payloads, ends] = await Promise.all([
    Promise.all(keys.map(({ name }) => link.bytes('DUMP', name))),
    Promise.all(keys.map(({ name }) => link.bytes(isAbsolute ? 'PEXPIRETIME' : 'PTTL', name))),
  ]);
  const after = isAbsolute ? 0 : await timeOf(link);
  return keys.flatMap((key, i) => {
    const payload = payloads[i];
    if (!Buffer.isBuffer(payload)) return [];
    const left = Number(ends[i]);
    // -1: never. -2: it has just gone.
    const [endsFromMs, endsToMs] = left < 0 ? [0, 0] : [before + left, after + left];
    return [[key, { payload, endsFromMs, endsToMs }] as const];
  });
}

/** In ms, by its clock. */
async function timeOf(link: TargetLink): Promise<number> {
  const [seconds, micros] = (await link.bytes('TIME')) as [Buffer, Buffer];
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}
