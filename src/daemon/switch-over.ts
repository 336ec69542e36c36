/**
 * Whether a switch-over to this site would lose anything (pure): what the journal here holds, durable, beside what the
 * servers of the other site say they have.
 *
 *   the other has more                 so much would be lost, if it went now
 *   we have more, under its old name   so much was lost already: it went on without it (a switch-over has been)
 *   no answer                          nobody can tell
 *
 * Invariant: an offset counts only within one history; of another history nothing is compared.
 */
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';

export interface Held {
  /** Of the newest timeline. */
  readonly ids: readonly IdEntry[];
  readonly durable: Offset;
}

export type Relation =
  /** `there` and `here`: bytes behind `shared` that the one has and the other has not. */
  | {
      readonly kind: 'same' | 'parted';
      readonly shared: Offset;
      readonly there: number;
      readonly here: number;
    }
  | { readonly kind: 'other' };

/** How the history of a server relates to ours. */
export function relate({ ids, durable }: Held, { id, offset, before }: ReplicationInfo): Relation {
  const ownEnd = endOf(ids, id, durable);
  const earlierEnd = before === undefined ? undefined : endOf(ids, before.id, durable);
  let shared: Offset;
  if (ownEnd !== undefined) shared = Math.min(ownEnd, offset);
  else if (before !== undefined && earlierEnd !== undefined) shared = Math.min(earlierEnd, before.offset);
  else return { kind: 'other' };
  const there = offset - shared;
  const here = durable - shared;
  const theyWentOn = ownEnd === undefined && here > 0;
  const weWentOn = (ownEnd ?? earlierEnd ?? durable) < durable && there > 0;
  return { kind: theyWentOn || weWentOn ? 'parted' : 'same', shared, there, here };
}

/** The last offset that we have under this name. */
function endOf(ids: readonly IdEntry[], id: ReplicationId, durable: Offset): Offset | undefined {
  const at = ids.findLastIndex((entry) => entry.id === id);
  if (at === -1) return undefined;
  const next = ids[at + 1];
  return next === undefined ? durable : next.offset - 1;
}

export type Verdict =
  /** All that was there is durable here, and a replica here has it. */
  | 'nothing'
  /** Bytes there are not here, or on no replica here. */
  | 'some'
  /** The histories have parted: a switch-over has been, and this was lost by it. */
  | 'parted'
  /** All of it is durable, and there is nobody who could become the primary. */
  | 'no-replica'
  | 'unknown';

/** What a server of the other site is to us; undefined: it does not answer. */
export type Compared = Relation | undefined;

export interface FedReplica {
  readonly address: string;
  readonly isOnline: boolean;
  /** It follows as one of us, and is no server. */
  readonly isJournal: boolean;
  readonly acknowledged: Offset;
}

export interface Judgement {
  readonly verdict: Verdict;
  /** That would be lost; of `parted`: that are here and not there; of `unknown`: as far as is known. */
  readonly bytes: number;
  /** The replica here that has most. */
  readonly promote: FedReplica | undefined;
}

/** `replicas` are those of the journal here. */
export function judge(compared: readonly Compared[], replicas: readonly FedReplica[]): Judgement {
  const known = compared.filter((one) => one !== undefined && one.kind !== 'other');
  const servers = replicas.filter(({ isOnline, isJournal }) => isOnline && !isJournal);
  const [promote] = servers.sort((a, b) => b.acknowledged - a.acknowledged);
  const parted = known.find(({ kind }) => kind === 'parted');
  if (parted !== undefined) return { verdict: 'parted', bytes: parted.here, promote };
  const bytes = Math.max(0, ...known.map((one) => lossTo(promote, one)));
  if (known.length < compared.length) return { verdict: 'unknown', bytes, promote };
  if (bytes > 0) return { verdict: 'some', bytes, promote };
  return { verdict: promote === undefined ? 'no-replica' : 'nothing', bytes, promote };
}

/** What is not durable here, and what is and has not reached the replica. */
function lossTo(replica: FedReplica | undefined, { shared, there }: Exclude<Relation, { kind: 'other' }>): number {
  return there + (replica === undefined ? 0 : Math.max(0, shared - replica.acknowledged));
}
