/**
 * What keys became between two instants: those that were added, removed, given another value, or another expiry. The dataset
 * of the earlier instant is loaded into a scratch server and looked at; then the stream between the two is applied to it,
 * and it is looked at once more. Only keys that this stream touched, or whose time passed meanwhile, can differ: all others
 * are stepped over. Of the base no more is loaded than keys that the stream touches, before the earlier instant or behind
 * it, and keys that end: all others are at both instants what they were. Where that cannot be told, all are loaded. Where
 * the two are on different timelines, both datasets are loaded, and all keys compared.
 *
 * A key whose time had passed at an instant is not there then, whether or not the server had got round to removing it.
 *
 * Neighbours: touched-keys.ts says which keys can differ, redis/rdb-entries.ts reads what the server saves, key-table.ts
 * holds both sides.
 */
import { hash } from 'node:crypto';
import type { Clock, Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { Timeline } from '../log/catalog.ts';
import type { KeySelection } from '../redis/key-selection.ts';
import { typeOfCode } from '../redis/key-selection.ts';
import type { StreamCommand } from '../redis/command-reader.ts';
import { RdbEntries } from '../redis/rdb-entries.ts';
import type { RdbEntry, WantsKey } from '../redis/rdb-entries.ts';
import { isHashWithTtl } from '../redis/rdb-hash-ttl.ts';
import type { RdbMagic } from '../redis/server-version.ts';
import { encodedDigest } from '../redis/value-digest.ts';
import { explainGone } from '../restore/locate/locate-removed.ts';
import type { Plan } from '../restore/plan/plan.ts';
import { loadScratch } from '../restore/replay/load-scratch.ts';
import { PlannedBytes } from '../restore/replay/planned-bytes.ts';
import type { ReplayOptions } from '../restore/replay/planned-bytes.ts';
import type { Difference } from '../restore/servers/compare-keys.ts';
import type { ScratchDataset } from '../scratch/dataset.ts';
import { PrivateDirectory } from '../scratch/private-directory.ts';
import type { Disk } from '../storage/disk.ts';
import { filePieces } from '../storage/file-pieces.ts';
import { throwIfInterrupted } from './interruption.ts';
import { KeyTable } from './key-table.ts';
import type { KeyFacts, KeyPair, Side } from './key-table.ts';
import { plannedTimeline } from './planned-timeline.ts';
import { scanCommands, stateAt } from './scan.ts';
import { streamBetween } from './stream-between.ts';
import { TouchedKeys } from './touched-keys.ts';

export interface DiffRow {
  readonly change: 'added' | 'removed' | 'changed';
  readonly db: number;
  readonly key: Buffer;
  /** Of a key that is changed. */
  readonly differs: readonly Difference[];
  /** In ms since the epoch, 0: never; undefined where it is not there. */
  readonly endedMs: number | undefined;
  readonly endsMs: number | undefined;
}

export interface DiffOptions {
  /** Where private directories are made; what a scratch server may take. */
  readonly parent: string;
  readonly memoryBytes?: number | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Bytes of the journal that are done, of all. */
  readonly progress?: ((done: number, total: number) => void) | undefined;
}

/** Of an RDB, looked at together: what is made of it is gone before the collector of old objects has to see it. */
const entriesBytes = 64 * 1024;

/** All commands, whatever filters say. */
const everything = {};

/** Both plans are for a scratch server, of one journal, with the same selection. Rows come by parts, sorted within each. */
export async function* diff(
  disk: Disk,
  before: Plan,
  after: Plan,
  options: DiffOptions,
): AsyncGenerator<readonly DiffRow[], void, undefined> {
  await using directory = await PrivateDirectory.create(options.parent, options.clock);
  const table = new KeyTable(disk, directory.path);
  try {
    if (before.timeline === after.timeline) await lookOnOne(disk, before, after, table, options);
    else await lookOnTwo(disk, before, after, table, options);
  } catch (error) {
    throw await explainGone(disk, before.tree, [before.timeline, after.timeline], error);
  }
  for await (const pairs of table.pairs()) {
    throwIfInterrupted(options.signal);
    yield pairs.map(rowOf).filter((row) => row !== undefined);
  }
}

/** One is what the other became: loaded once. */
async function lookOnOne(disk: Disk, before: Plan, after: Plan, table: KeyTable, options: DiffOptions): Promise<void> {
  const isForward = before.cut.offset <= after.cut.offset;
  const [earlier, later] = isForward ? [before, after] : [after, before];
  const [first, second]: readonly Side[] = isForward ? ['before', 'after'] : ['after', 'before'];
  if (first === undefined || second === undefined) throw new RangeError('a diff has two sides');
  const timeline = await plannedTimeline(disk, later);
  const between = { from: earlier.cut.offset, to: later.cut.offset };
  using touched = await touchedBetween(disk, timeline, between, options.signal);
  const [fromMs, toMs] = [msOf(earlier), msOf(later)];
  const wants: WantsKey = ({ code, key, endsMs }, magic) =>
    touched.has(key) || (endsMs >= fromMs && endsMs < toMs) || isHashWithTtl(magic, code);
  const advance = advancing(options, later.bytes.total);
  // What the later one depends on is all that the earlier one does, and more.
  const plan = { ...earlier, held: later.held };
  const isPart = later.held?.keys === undefined && touched.isAll;
  await using dataset = await (isPart
    ? loadPart(disk, plan, timeline, touched, options, advance)
    : load(disk, plan, options, advance));
  await look(disk, dataset, { side: first, atMs: fromMs, selection: later.selection, wants }, table, options.signal);
  const { db } = await stateAt(disk, timeline, earlier.cut.offset);
  await dataset.edit(streamBetween(disk, later, { offset: earlier.cut.offset, db }, later.cut.offset, advance));
  await look(disk, dataset, { side: second, atMs: toMs, selection: later.selection, wants }, table, options.signal);
}

/** Of the base, the keys that may be another one at any time, or be gone: those that the stream touches, and that end. */
async function loadPart(
  disk: Disk,
  plan: Plan,
  timeline: Timeline,
  behind: TouchedKeys,
  options: DiffOptions,
  advance: (bytes: number) => void,
): Promise<ScratchDataset> {
  const { offset, magic } = plan.base.record;
  using before = await touchedBetween(disk, timeline, { from: offset, to: plan.cut.offset }, options.signal);
  const ofBase: ReplayOptions['ofBase'] = (_db, code, key, ends) =>
    ends || isHashWithTtl(magic, code) || before.has(key) || behind.has(key);
  return await load(disk, plan, options, advance, before.isAll ? { ofBase } : {});
}

async function lookOnTwo(disk: Disk, before: Plan, after: Plan, table: KeyTable, options: DiffOptions): Promise<void> {
  const advance = advancing(options, before.bytes.total + after.bytes.total);
  for (const [side, plan] of [
    ['before', before],
    ['after', after],
  ] as const) {
    await using dataset = await load(disk, plan, options, advance);
    const looking = { side, atMs: msOf(plan), selection: plan.selection, wants: (): boolean => true };
    await look(disk, dataset, looking, table, options.signal);
  }
}

function advancing({ progress, signal }: DiffOptions, total: number): (bytes: number) => void {
  let done = 0;
  return (bytes) => {
    throwIfInterrupted(signal);
    done += bytes;
    progress?.(done, total);
  };
}

async function touchedBetween(
  disk: Disk,
  timeline: Timeline,
  stretch: { readonly from: Offset; readonly to: Offset },
  signal: AbortSignal,
): Promise<TouchedKeys> {
  const touched = new TouchedKeys();
  const { isMatch } = touched;
  const take = (command: StreamCommand): undefined => {
    touched.take(command);
  };
  if (stretch.from === stretch.to) return touched;
  // Nothing is handed out: they are all taken on the way.
  for await (const _ of scanCommands(disk, timeline, stretch, everything, { isMatch, take }, signal)) continue;
  return touched;
}

function load(
  disk: Disk,
  plan: Plan,
  { parent, memoryBytes, clock, signal }: DiffOptions,
  advance: (bytes: number) => void,
  replaying: ReplayOptions = {},
): Promise<ScratchDataset> {
  const replayed = new PlannedBytes(disk, plan, advance, replaying);
  return loadScratch(plan, replayed, { parent, allowedBytes: memoryBytes, clock, signal });
}

interface Looking {
  readonly side: Side;
  /** The instant, by the clock of the primary. */
  readonly atMs: number;
  readonly selection: KeySelection | undefined;
  readonly wants: WantsKey;
}

async function look(
  disk: Disk,
  dataset: ScratchDataset,
  { side, atMs, selection, wants }: Looking,
  table: KeyTable,
  signal: AbortSignal,
): Promise<void> {
  let magic: RdbMagic = 'REDIS';
  const entries = new RdbEntries((found, itsMagic) => {
    magic = itsMagic;
    const { db, code, key, endsMs } = found;
    const isThere = endsMs === 0 || endsMs >= atMs;
    return isThere && (selection?.takes(db, code, key) ?? true) && wants(found, itsMagic);
  });
  const take = async (found: readonly RdbEntry[]): Promise<void> => {
    for (const entry of found) {
      table.add(side, factsOf(entry, magic, atMs));
      if (table.isFull) await table.spill();
    }
  };
  await using file = await disk.open(await dataset.save(), 'read');
  for await (const { bytes } of filePieces(file)) {
    throwIfInterrupted(signal);
    for (let at = 0; at < bytes.length; at += entriesBytes) {
      await take(entries.push(bytes.subarray(at, at + entriesBytes)));
    }
  }
  await take(entries.finish());
}

function factsOf({ db, code, key, endsMs, value }: RdbEntry, magic: RdbMagic, atMs: number): KeyFacts {
  const type = typeOfCode(code) ?? '';
  const known = 'bytes' in value ? encodedDigest(code, magic, value.bytes, atMs - 1) : undefined;
  if (known !== undefined) return { db, key, endsMs, type, digest: digest(known.digest), isExact: true };
  const bytes = 'bytes' in value ? value.bytes : value.digest;
  return { db, key, endsMs, type, digest: digest(Buffer.concat([Buffer.from([code]), bytes])), isExact: false };
}

function digest(of: string | Buffer): Buffer {
  return hash('sha256', of, 'buffer').subarray(0, 16);
}

/** Undefined: it is as it was. */
function rowOf({ before, after }: KeyPair): DiffRow | undefined {
  const key = before ?? after;
  if (key === undefined) throw new RangeError('a pair of nothing');
  const row = { db: key.db, key: key.key, endedMs: before?.endsMs, endsMs: after?.endsMs };
  if (before === undefined) return { ...row, change: 'added', differs: [] };
  if (after === undefined) return { ...row, change: 'removed', differs: [] };
  const differs: readonly Difference[] = [
    ...valueDifference(before, after),
    ...(before.endsMs === after.endsMs ? [] : (['expiry'] as const)),
  ];
  return differs.length === 0 ? undefined : { ...row, change: 'changed', differs };
}

function valueDifference(before: KeyFacts, after: KeyFacts): readonly Difference[] {
  if (before.type !== after.type) return ['type'];
  if (before.digest.equals(after.digest)) return [];
  return [before.isExact && after.isExact ? 'value' : 'written'];
}

/** What ends before this is past. */
function msOf({ ttl }: Plan): number {
  const asOf: Micros = ttl.asOf;
  return Math.floor(asOf / 1000);
}
