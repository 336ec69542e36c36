/**
 * What a server says of its history and its place in it: INFO replication. Both names that a history has had are there,
 * with the offset at which the second ended, so that one can tell where a promoted replica parted from what we hold.
 */
import { isReplicationId, parseOffset } from '../core/position.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import { infoFields } from './info.ts';

export interface ReplicationInfo {
  readonly role: 'master' | 'slave';
  /** It is a journal, which says to be a replica. */
  readonly isJournal?: true;
  /** Of the history now; `offset` is its end. */
  readonly id: ReplicationId;
  readonly offset: Offset;
  /** The history before: the server has its bytes up to and including `offset`. */
  readonly before: { readonly id: ReplicationId; readonly offset: Offset } | undefined;
  /** Of a replica: whose it is, and whether it hears from it. */
  readonly primary: { readonly host: string; readonly port: number; readonly isUp: boolean } | undefined;
  /** A failover that the server is carrying out (6.2 and later): FAILOVER was given to it. */
  readonly isFailingOver: boolean;
}

/** Undefined when the text is not what a server says. */
export function parseReplicationInfo(text: string): ReplicationInfo | undefined {
  const fields = infoFields(text);
  const role = fields.get('role');
  const id = fields.get('master_replid') ?? '';
  const offset = parseOffset(fields.get('master_repl_offset') ?? '');
  if ((role !== 'master' && role !== 'slave') || !isReplicationId(id) || offset === undefined) return undefined;
  return {
    role,
    ...(fields.has('journal') && { isJournal: true }),
    id,
    offset,
    before: historyBefore(fields),
    primary: role === 'slave' ? primaryOf(fields) : undefined,
    isFailingOver: (fields.get('master_failover_state') ?? 'no-failover') !== 'no-failover',
  };
}

/** 40 zeros and −1 stand for none. `second_repl_offset` is the first byte that is not in it. */
function historyBefore(fields: ReadonlyMap<string, string>): ReplicationInfo['before'] {
  const id = fields.get('master_replid2') ?? '';
  const end = parseOffset(fields.get('second_repl_offset') ?? '');
  if (!isReplicationId(id) || /^0+$/.test(id) || end === undefined || end === 0) return undefined;
  return { id, offset: end - 1 };
}

function primaryOf(fields: ReadonlyMap<string, string>): ReplicationInfo['primary'] {
  const port = Number(fields.get('master_port'));
  return {
    host: fields.get('master_host') ?? '',
    port: Number.isSafeInteger(port) ? port : 0,
    isUp: fields.get('master_link_status') === 'up',
  };
}
