/**
 * What a journal holds, as `status` and `ls` tell it: intervals, gaps, orphans, what was removed and what is damaged;
 * and who is fed from it. Pure.
 * Neighbour: status.ts adds what the living writer says.
 */
import type { GapRecord } from '../../journal-format/gap.ts';
import type { RemovedRecord } from '../../journal-format/removed.ts';
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { Offset } from '../core/position.ts';
import type { ReplicaState } from '../downstream/client.ts';
import { idAt } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import type { DamagedTimeline } from '../log/damaged.ts';
import { boundsOf, gapsOf } from '../log/gaps.ts';
import { orphansOf, stretchOf } from '../log/orphans.ts';
import type { OrphanRange } from '../log/orphans.ts';
import { timeCoverage } from '../restore/locate/locate-coverage.ts';
import { formatAddress } from '../upstream/address.ts';

/** What can be restored without a hole. */
export interface StatusInterval {
  readonly timeline: number;
  readonly from: string;
  readonly to: string;
  readonly fromPosition: string;
  readonly toPosition: string;
}

export interface StatusGap {
  readonly timeline: number;
  readonly from: string;
  readonly to: string;
  readonly fromPosition: string;
  readonly toPosition: string;
  readonly seconds: number;
  readonly cause: string;
  readonly detail: string;
}

/** A replica that is fed from here. */
export interface StatusReplica {
  /** Where it listens, as far as it says so. */
  readonly address: string;
  /** Where it connects from. */
  readonly peer: string;
  /** Another journal, over a link: what it acknowledges is durable there. */
  readonly isJournal: boolean;
  /** `base`: it is being sent the dataset. */
  readonly state: 'waiting' | 'base' | 'online';
  readonly acknowledged: string;
  /** Of what is durable; null until it is online. */
  readonly lagBytes: number | null;
  /** Since its last sign of life: each second comes one. */
  readonly silentSeconds: number;
}

export interface StatusDamaged {
  readonly timeline: number;
  readonly code: string;
  readonly message: string;
}

export interface StatusOrphan {
  readonly timeline: number;
  readonly fromPosition: string;
  readonly toPosition: string;
}

export interface StatusRemoved {
  readonly timeline: number;
  readonly from: string;
  readonly to: string;
  readonly removedAt: string;
  readonly rule: string;
}

export function intervalOf(timeline: Timeline): StatusInterval {
  const { base, number, boundary } = timeline;
  const { from, to } = timeCoverage(timeline);
  return {
    timeline: number,
    from: formatInstant(from),
    to: formatInstant(to),
    fromPosition: formatPosition(base.record),
    toPosition: formatPosition({ id: idAt(timeline, boundary), offset: boundary }),
  };
}

export function damagedOf({ number, error }: DamagedTimeline): StatusDamaged {
  return { timeline: number, code: error.code, message: error.message };
}

export function orphansIn(timelines: readonly Timeline[], damaged: readonly DamagedTimeline[]): StatusOrphan[] {
  return orphansOf([...timelines, ...damaged.map(stretchOf)]).map(orphanOf);
}

export function orphanOf({ timeline, id, from, to }: OrphanRange): StatusOrphan {
  return {
    timeline,
    fromPosition: formatPosition({ id, offset: from }),
    toPosition: formatPosition({ id, offset: to }),
  };
}

export function removedOf({ timeline, first, last, removed, rule }: RemovedRecord): StatusRemoved {
  return {
    timeline,
    from: formatInstant(first),
    to: formatInstant(last),
    removedAt: formatInstant(removed),
    rule,
  };
}

export function gapsIn(timelines: readonly Timeline[], damaged: readonly DamagedTimeline[]): StatusGap[] {
  const bounded = [...timelines.map(boundsOf), ...damaged.map(({ number, gap }) => ({ number, gap, ends: undefined }))];
  return gapsOf(bounded).map(gapOf);
}

export function gapOf({ from, to, cause, detail }: GapRecord): StatusGap {
  return {
    timeline: to.timeline,
    from: formatInstant(from.stamp),
    to: formatInstant(to.stamp),
    fromPosition: formatPosition(from),
    toPosition: formatPosition(to),
    seconds: (to.stamp - from.stamp) / 1_000_000,
    cause,
    detail,
  };
}

export function replicasOf(replicas: readonly ReplicaState[], durable: Offset): StatusReplica[] {
  return replicas.map(({ peer, host, port, state, isJournal, acknowledged, silentMs }) => ({
    address: formatAddress({ host, port }),
    peer,
    isJournal,
    state,
    acknowledged: String(acknowledged),
    lagBytes: state === 'online' ? Math.max(0, durable - acknowledged) : null,
    silentSeconds: silentMs / 1000,
  }));
}
