/**
 * What a key of a running server would become (pure): what the restored dataset has of it, beside what the server has.
 */
import { valueBytes, valueDigest } from '../../redis/value-digest.ts';
import type { DumpedKey } from '../../scratch/dumped-keys.ts';

export type KeyChange =
  /** The server has no such key. */
  | 'created'
  | 'changed'
  /** Value and expiry are what they would be. */
  | 'identical'
  /** The server has it, and only missing ones would be written. */
  | 'left-alone'
  /** The server has it, and the restored dataset has not: it was not there at T; or its time has passed since. */
  | 'absent'
  | 'elapsed';

/** `written`: another form of a value that cannot be looked into; it may be the same. */
export type Difference = 'type' | 'value' | 'written' | 'expiry';

export interface KeyRow {
  readonly change: KeyChange;
  /** Address of the server that has it, or would. */
  readonly at: string;
  readonly db: number;
  /** As it was called at T, and as the server is to call it. */
  readonly key: Buffer;
  readonly name: Buffer;
  /** Of a key that is changed. */
  readonly differs: readonly Difference[];
}

/** How many keys there are of each. */
interface Counts {
  readonly created: number;
  readonly changed: number;
  readonly identical: number;
  readonly leftAlone: number;
  /** Null where it was not looked for. */
  readonly absent: number | null;
}

export interface Comparison extends Counts {
  readonly elapsed: number;
  /** Each of a cluster; none where it is one server. */
  readonly primaries: readonly (Counts & { readonly address: string })[];
}

/** A key of the server; an instant is as exact as it is told. */
export interface HeldKey {
  readonly payload: Buffer;
  /** In ms since the epoch; both 0: never. */
  readonly endsFromMs: number;
  readonly endsToMs: number;
}

export function compareKey(
  where: Pick<KeyRow, 'at' | 'db'>,
  { key, name, payload, endsMs }: DumpedKey,
  held: HeldKey | undefined,
  nowMs: number,
): KeyRow {
  if (held === undefined) return { change: 'created', ...where, key, name, differs: [] };
  const differs = [...differenceOf(payload, held.payload, nowMs)];
  if (endsMs < held.endsFromMs || endsMs > held.endsToMs) differs.push('expiry');
  return { change: differs.length === 0 ? 'identical' : 'changed', ...where, key, name, differs };
}

function differenceOf(one: Buffer, other: Buffer, nowMs: number): readonly Difference[] {
  if (valueBytes(one).equals(valueBytes(other))) return [];
  const [ours, theirs] = [valueDigest(one, nowMs), valueDigest(other, nowMs)];
  if (ours === undefined || theirs === undefined) return ['written'];
  if (ours.type !== theirs.type) return ['type'];
  return ours.digest === theirs.digest ? [] : ['value'];
}
