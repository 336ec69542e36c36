/**
 * What a replica that asks for the stream gets (pure): more of the history that it has, or all of it anew. The journal holds
 * every byte from its base on, under each name that the history has had; so a replica of any of them goes on from any
 * offset, be it of the primary itself, of a replica, or of another journal.
 *
 * Invariant: `continue` only where the replica's bytes are the journal's, up to the one before `from`.
 */
import type { IdEntry } from '../../journal-format/fields.ts';
import { isReplicationId, parseOffset } from '../core/position.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import type { HeldBase } from '../redis/handshake.ts';
import type { RdbFormat } from '../redis/server-version.ts';
import { formatRdb } from '../redis/server-version.ts';

/** PSYNC as it came: of which history, and the first byte that is wanted. */
export interface PsyncRequest {
  readonly id: string;
  readonly offset: string;
}

export interface OfferedHistory {
  readonly ids: readonly IdEntry[];
  readonly base: { readonly offset: Offset; readonly rdb: RdbFormat };
  readonly durable: Offset;
}

export type PsyncAnswer =
  | { readonly kind: 'continue'; readonly id: ReplicationId; readonly from: Offset }
  | { readonly kind: 'full'; readonly id: ReplicationId; readonly offset: Offset }
  /** It holds bytes that are not durable here yet, and may become so. */
  | { readonly kind: 'ahead'; readonly until: Offset }
  | { readonly kind: 'refuse'; readonly error: string };

/** What a replica said of itself. */
export interface ReplicaSkills {
  /** It is a journal, which loads nothing: whatever it says to be beside, for servers that want to know. */
  readonly isJournal?: true;
  /** It gets link frames. */
  readonly link?: true;
  /** The beginning of a base that it holds already. */
  readonly heldBase?: HeldBase;
  /** From REPLCONF version, which Valkey 8.0 and later send; [9, 1] is 9.1. */
  readonly valkey: readonly [major: number, minor: number] | undefined;
}

export function answerPsync(history: OfferedHistory, { id, offset }: PsyncRequest, skills: ReplicaSkills): PsyncAnswer {
  const { ids, base, durable } = history;
  const newest = ids.at(-1);
  if (newest === undefined) throw new RangeError('a history has at least one name');
  const from = parseOffset(offset);
  const reach = isReplicationId(id) && from !== undefined ? reachOf(ids, id) : undefined;
  if (from !== undefined && reach !== undefined && from <= reach && from > base.offset) {
    if (from <= durable + 1) return { kind: 'continue', id: newest.id, from };
    return { kind: 'ahead', until: from - 1 };
  }
  const why = whyNotLoaded(base.rdb, skills);
  if (why !== undefined) return { kind: 'refuse', error: why };
  return { kind: 'full', id: (skills.link === true ? (ids[0] ?? newest) : newest).id, offset: base.offset };
}

/** The last byte that may be wanted under this name: the first that came under the next one. Undefined: never heard of. */
function reachOf(ids: readonly IdEntry[], id: string): Offset | undefined {
  const index = ids.findLastIndex((entry) => entry.id === id);
  if (index === -1) return undefined;
  return ids[index + 1]?.offset ?? Infinity;
}

/**
 * Only Valkey 8.0 and later tell their version, so of others it shows when they load. Valkey 9 takes RDB 80 and, like all
 * Valkeys, nothing of Redis beyond 11 (read in 9.1.2).
 */
function whyNotLoaded(rdb: RdbFormat, { valkey, isJournal }: ReplicaSkills): string | undefined {
  if (isJournal === true) return undefined;
  const isFit =
    rdb.magic === 'VALKEY' ? valkey !== undefined && valkey[0] >= 9 : valkey === undefined || rdb.version <= 11;
  if (isFit) return undefined;
  const who = valkey === undefined ? 'this replica, which does not say to be Valkey 9' : `Valkey ${valkey.join('.')}`;
  return `ERR the journal's base is RDB ${formatRdb(rdb)}, which ${who} cannot load`;
}
