/**
 * Which of several addresses to follow (pure), from what each says of itself:
 *
 *   1. a primary whose history goes on from ours: no byte is missing then
 *   2. another primary
 *   3. a replica that hears from its primary, since no primary answers: DEGRADED
 *   4. one that would not tell its role
 *
 * Among equals the one that we were on, then the first in the order given. Never a replica that is behind us: it would
 * begin a full sync for what it is about to receive; nor one that has lost its primary: it would refuse us; nor one of ours.
 */
import type { Position } from '../core/position.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import { formatAddress } from './address.ts';
import type { SourceAddress } from './address.ts';
import type { LinkError } from '../core/errors.ts';
import type { ServerRole } from './standing.ts';

export type Answer =
  | {
      readonly address: SourceAddress;
      readonly role: ServerRole;
      readonly info: ReplicationInfo | undefined;
      /** A replica of ours: to follow it is to follow ourselves. */
      readonly isOurs: boolean;
    }
  | { readonly address: SourceAddress; readonly error: LinkError };

export interface Choice {
  readonly address: SourceAddress;
  readonly isPrimary: boolean;
  /** More than one calls itself the primary: the other ones. */
  readonly rivals: readonly SourceAddress[];
}

export interface Situation {
  /** The address followed last. */
  readonly current: SourceAddress | undefined;
  /** What we hold. */
  readonly held: Position | undefined;
}

/** Undefined when none can be followed now. */
export function chooseSource(answers: readonly Answer[], situation: Situation): Choice | undefined {
  const { current } = situation;
  const ranked = answers
    .map((answer) => ({
      address: answer.address,
      rank: rankOf(answer, situation),
      isCurrent: isSame(answer.address, current),
    }))
    .filter(({ rank }) => rank !== undefined)
    .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0) || Number(b.isCurrent) - Number(a.isCurrent));
  const best = ranked[0];
  if (best === undefined) return undefined;
  const isPrimary = (best.rank ?? 0) <= 2;
  const rivals = ranked.slice(1).filter(({ rank }) => isPrimary && (rank ?? 0) <= 2);
  return { address: best.address, isPrimary, rivals: rivals.map(({ address }) => address) };
}

function rankOf(answer: Answer, { held }: Situation): number | undefined {
  if ('error' in answer) return answer.error.code === 'no-permission' ? 4 : undefined;
  const { role, info, isOurs } = answer;
  const relation = relationOf(info, held);
  if (role.role === 'master') return relation === 'goes on' ? 1 : 2;
  if (isOurs || role.role !== 'slave' || role.primary?.isUp !== true || relation === 'behind') return undefined;
  return 3;
}

/** Of a server's history to ours. */
function relationOf(info: ReplicationInfo | undefined, held: Position | undefined): 'goes on' | 'behind' | 'another' {
  if (held === undefined) return 'goes on';
  if (info === undefined) return 'another';
  if (info.id === held.id) return info.offset >= held.offset ? 'goes on' : 'behind';
  return info.before?.id === held.id && info.before.offset >= held.offset ? 'goes on' : 'another';
}

/** Whether it is there that a server is; names are compared, not resolved. */
export function isAt(
  { host, port }: Pick<SourceAddress, 'host' | 'port'>,
  source: Pick<SourceAddress, 'host' | 'port'> | undefined,
): boolean {
  return source?.port === port && source.host.toLowerCase() === host.toLowerCase();
}

export function isSame(a: SourceAddress, b: SourceAddress | undefined): boolean {
  return b !== undefined && formatAddress(a) === formatAddress(b);
}
