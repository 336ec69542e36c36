/**
 * What the source is that we follow (pure): a primary, or something that is journaled all the same but that somebody
 * should look at. From what the server says of its role: samples, INFO replication, ROLE.
 */
import { formatAddress } from './address.ts';
import type { SourceAddress } from './address.ts';
import { isUp } from './source-sample.ts';
import type { SourceSample } from './source-sample.ts';

export interface ServerRole {
  readonly role: 'master' | 'slave' | 'other';
  /** As far as that was asked: a journal feeds others on purpose. */
  readonly isJournal?: boolean;
  /** Whose replica it is, and whether it hears from it. */
  readonly primary?: { readonly host: string; readonly port: number; readonly isUp: boolean } | undefined;
}

export interface Degradation {
  readonly code: 'failover-to-journal' | 'source-alone' | 'source-is-replica';
  readonly message: string;
  readonly hint: string;
  /** No write can be journaled until somebody acts, or the source finds its primary. */
  readonly isGrave: boolean;
}

export function roleIn(sample: SourceSample): ServerRole {
  if (sample.role !== 'slave') return { role: sample.role };
  return { role: 'slave', primary: { ...sample.primary, isUp: isUp(sample.primary) } };
}

/** Undefined of a primary. */
export function degradation(address: SourceAddress, { role, primary, isJournal }: ServerRole): Degradation | undefined {
  if (role !== 'slave' || primary === undefined) return undefined;
  const source = formatAddress(address);
  const whose = formatAddress(primary);
  if (isJournal === true) return primary.isUp ? undefined : journalAlone(source, whose);
  // We announce no port, so a server that wants to be the replica of port 0 wants to be ours: its FAILOVER picked us.
  if (primary.port === 0) {
    return {
      code: 'failover-to-journal',
      message: `a FAILOVER at ${source} has chosen this journal, which cannot be a primary: its clients' writes are refused`,
      hint: `run: ${abortCommand(address)}; and always name the target: FAILOVER TO host port`,
      isGrave: true,
    };
  }
  if (!primary.isUp) {
    return {
      code: 'source-alone',
      message: `${source} is a replica that does not hear from its primary ${whose}: nothing new can come`,
      hint: 'give the addresses of all servers that may be the primary (--source, repeatable)',
      isGrave: true,
    };
  }
  return {
    code: 'source-is-replica',
    message: `${source} is a replica of ${whose}: what it has is journaled, and WAIT at the primary does not count us`,
    hint: `give the address of the primary as well (--source, repeatable): it is followed as soon as it answers`,
    isGrave: false,
  };
}

function journalAlone(source: string, whose: string): Degradation {
  return {
    code: 'source-alone',
    message: `the journal at ${source} does not hear from ${whose}, which it follows: nothing new can come`,
    hint: 'journal status there says why',
    isGrave: true,
  };
}

function abortCommand({ host, port, tls }: SourceAddress): string {
  return `redis-cli -h ${host} -p ${port}${tls ? ' --tls' : ''} FAILOVER ABORT`;
}
