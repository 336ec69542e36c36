/**
 * What a node says of its cluster (pure): whose each slot is, by CLUSTER SLOTS, and what stands in the way of writing, by
 * CLUSTER NODES and the lists of migrations. Of slots on their way a node tells its own only.
 */
import { isAtLeast } from './server-version.ts';
import type { ServerVersion } from './server-version.ts';
import { slotCount } from './key-slot.ts';

/** First and last. */
export type SlotRange = readonly [number, number];

export interface SlotOwner {
  readonly id: string;
  /** Undefined: the one by which the node that says so was reached. */
  readonly host: string | undefined;
  readonly port: number;
  /** In order, and none touches the next. */
  readonly ranges: readonly SlotRange[];
}

/** Of CLUSTER SLOTS, in the order of their first slots; undefined when the reply is not what a server says. */
export function parseClusterSlots(reply: unknown): SlotOwner[] | undefined {
  if (!Array.isArray(reply)) return undefined;
  const rows = reply.map(parseRow);
  if (!rows.every((row) => row !== undefined)) return undefined;
  const owners = Map.groupBy(
    rows.toSorted((a, b) => a.range[0] - b.range[0]),
    ({ id }) => id,
  );
  return [...owners.values()].map(([first, ...more]) => {
    const { id, host, port, range } = first!;
    return { id, host, port, ranges: joined([range, ...more.map((row) => row.range)]) };
  });
}

/** Slots that nobody has. */
export function uncoveredSlots(owners: readonly SlotOwner[]): SlotRange[] {
  const free: SlotRange[] = [];
  let next = 0;
  for (const [from, to] of owners.flatMap(({ ranges }) => ranges).toSorted(([a], [b]) => a - b)) {
    if (from > next) free.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  return next < slotCount ? [...free, [next, slotCount - 1]] : free;
}

export function countSlots(ranges: readonly SlotRange[]): number {
  return ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);
}

/** `0-5460 7000`. */
export function formatSlots(ranges: readonly SlotRange[]): string {
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(' ');
}

/** Whether both say the same of every slot. */
export function isSameMap(a: readonly SlotOwner[], b: readonly SlotOwner[]): boolean {
  const text = (owners: readonly SlotOwner[]): string =>
    owners.map(({ id, ranges }) => `${id} ${formatSlots(ranges)}`).join('\n');
  return text(a) === text(b);
}

/** Of CLUSTER NODES. */
export interface NodeTroubles {
  /** Its own slots on their way, as the server writes it: `[93->-<node>]`, `[77-<-<node>]`. */
  readonly moving: readonly string[];
  /** Ids of nodes that it takes for failing. */
  readonly failing: readonly string[];
}

export function parseClusterNodes(text: string): NodeTroubles {
  const lines = text
    .split(/\r?\n/)
    .filter((line) => line !== '')
    .map((line) => line.split(' '));
  const isFailing = (flags = ''): boolean => flags.split(',').some((flag) => flag === 'fail' || flag === 'fail?');
  return {
    moving: lines.flatMap((words) => words.slice(8).filter((word) => word.startsWith('['))),
    failing: lines.filter(([, , flags]) => isFailing(flags)).map(([id = '']) => id),
  };
}

/** The command that lists migrations of whole slots: Valkey 9.0, Redis 8.4. Earlier servers show them in CLUSTER NODES. */
export function migrationsCommand(server: ServerVersion): readonly string[] | undefined {
  if (server.kind === 'valkey') return isAtLeast(server, 9, 0) ? ['CLUSTER', 'GETSLOTMIGRATIONS'] : undefined;
  return isAtLeast(server, 8, 4) ? ['CLUSTER', 'MIGRATION', 'STATUS', 'ALL'] : undefined;
}

/** The states of those in its reply that are not over. */
export function migrationsUnderWay(reply: unknown): string[] {
  const tasks = Array.isArray(reply) ? reply.filter((task) => Array.isArray(task)) : [];
  return tasks.map((task: unknown[]) => String(valueIn(task, 'state'))).filter((state) => !migrationIsOver.test(state));
}

const migrationIsOver = /^(success|completed|failed|cancell?ed)$/;

interface Row extends Pick<SlotOwner, 'id' | 'host' | 'port'> {
  readonly range: SlotRange;
}

function parseRow(row: unknown): Row | undefined {
  if (!Array.isArray(row)) return undefined;
  const [from, to, owner] = row as unknown[];
  if (!isSlot(from) || !isSlot(to) || from > to || !Array.isArray(owner)) return undefined;
  const [host, port, id, about] = owner as unknown[];
  if (typeof port !== 'number' || typeof id !== 'string') return undefined;
  return { id, host: hostIn(host, about), port, range: [from, to] };
}

/** Null, or nothing: the one that was asked; `?`: it should be a name, and has none. */
function hostIn(host: unknown, about: unknown): string | undefined {
  if (typeof host !== 'string' || host === '') return undefined;
  if (host !== '?') return host;
  const ip = Array.isArray(about) ? valueIn(about, 'ip') : undefined;
  return typeof ip === 'string' && ip !== '' ? ip : undefined;
}

function valueIn(pairs: readonly unknown[], name: string): unknown {
  const at = pairs.findIndex((value, i) => i % 2 === 0 && value === name);
  return at === -1 ? undefined : pairs[at + 1];
}

function isSlot(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < slotCount;
}

function joined(ranges: readonly SlotRange[]): SlotRange[] {
  const result: [number, number][] = [];
  for (const [from, to] of ranges) {
    const last = result.at(-1);
    if (last !== undefined && last[1] + 1 === from) last[1] = to;
    else result.push([from, to]);
  }
  return result;
}
