/** The cluster of a plan in print (pure): its primaries, the slots of each, and what they hold. */
import { countSlots, formatSlots } from '../../redis/cluster-map.ts';
import { formatServerVersion } from '../../redis/server-version.ts';
import { contentsOf } from './target-rails.ts';
import type { PlannedPrimary } from './target-rails.ts';

export interface ClusterJson {
  /** Of all primaries. */
  readonly slots: number;
  readonly primaries: readonly PrimaryJson[];
}

interface PrimaryJson {
  readonly address: string;
  readonly server: string;
  /** `0-5460`, in order. */
  readonly slots: readonly string[];
  readonly replicas: number;
  readonly holds: { readonly keys: number; readonly libraries: number };
  readonly isLive: boolean;
}

/** More would fill the screen. */
const shownRanges = 3;

export function clusterToJson(primaries: readonly PlannedPrimary[]): ClusterJson {
  return { slots: slotsOf(primaries), primaries: primaries.map(primaryToJson) };
}

/** Of a name and a value each; none without a cluster. */
export function clusterLines(primaries: readonly PlannedPrimary[] | undefined): (readonly [string, string])[] {
  if (primaries === undefined) return [];
  const count = primaries.length === 1 ? '1 primary' : `${primaries.length} primaries`;
  return [
    ['cluster', `${count} with ${slotsOf(primaries)} slots`],
    ...primaries.map((primary): readonly [string, string] => ['primary', describePrimary(primary)]),
  ];
}

function primaryToJson({ address, server, ranges, replicas, keys, libraries, isLive }: PlannedPrimary): PrimaryJson {
  const slots = ranges.map((range) => formatSlots([range]));
  return { address, server: formatServerVersion(server), slots, replicas, holds: { keys, libraries }, isLive };
}

function describePrimary({ address, server, ranges, replicas, isLive, ...contents }: PlannedPrimary): string {
  const parts = [
    address,
    formatServerVersion(server),
    ...(isLive ? ['live'] : []),
    `${countSlots(ranges)} slots${ranges.length > shownRanges ? '' : ` (${formatSlots(ranges)})`}`,
    ...(replicas > 0 ? [`${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`] : []),
    `holds ${contentsOf(contents)}`,
  ];
  return parts.join(', ');
}

function slotsOf(primaries: readonly PlannedPrimary[]): number {
  return primaries.reduce((sum, { ranges }) => sum + countSlots(ranges), 0);
}
