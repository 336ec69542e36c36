/**
 * INFO and ROLE as a replica gives them (pure), for Sentinel, exporters and people. We say to be a replica of the primary
 * that is journaled, with priority 0 and not announced: so Sentinel never promotes us, and tells no client of us.
 */
import type { Micros } from '../core/clock.ts';
import type { Offset, ReplicationId } from '../core/position.ts';
import { arrayReply, bulkReply, integerReply } from '../redis/replies-out.ts';
import type { ServerVersion } from '../redis/server-version.ts';
import type { UpstreamState } from './history.ts';

/** A replica of ours, in the words of INFO. */
export interface ReplicaLine {
  readonly host: string;
  readonly port: number;
  readonly state: 'wait_bgsave' | 'send_bulk' | 'online';
  /** What it acknowledged; 0 before it did. */
  readonly offset: Offset;
  /** Seconds since it last gave a sign of life. */
  readonly lag: number;
}

export interface About {
  /** 40 hex digits, another after each start. */
  readonly runId: string;
  readonly port: number;
  readonly uptime: Micros;
  readonly now: Micros;
  /** What our clock shows. */
  readonly wall: Micros;
  readonly upstream: UpstreamState;
  readonly stream: AboutStream | undefined;
  readonly replicas: readonly ReplicaLine[];
}

/** What is served of the stream. */
export interface AboutStream {
  readonly id: ReplicationId;
  /** The name before, and the first byte that did not come under it any more. */
  readonly before: { readonly id: ReplicationId; readonly end: Offset } | undefined;
  readonly first: Offset;
  readonly durable: Offset;
}

type Fields = readonly (readonly [name: string, value: string | number])[];

const noId = '0'.repeat(40);
/** Exporters want one; of a source that has not told its own, the oldest that is supported. */
const unknownServer: ServerVersion = { kind: 'redis', version: '6.0.0', major: 6, minor: 0 };
/** What every Valkey says to be compatible with (read in 8.0.1 to 9.1.2). */
const valkeyRedisVersion = '7.2.4';

const sections: Readonly<Record<string, (about: About) => Fields>> = { server, clients, replication };
const all: ReadonlySet<string> = new Set(['', 'default', 'all', 'everything']);

/** `wanted` are names of sections, as the client gave them. */
export function infoText(about: About, wanted: readonly string[]): string {
  const names = wanted.length === 0 ? [''] : wanted.map((name) => name.toLowerCase());
  const isWanted = (name: string): boolean => names.some((one) => all.has(one) || one === name);
  return Object.entries(sections)
    .filter(([name]) => isWanted(name))
    .map(([name, fields]) => sectionText(name, fields(about)))
    .join('\r\n');
}

export function roleReply({ upstream, stream }: About): string {
  return arrayReply([
    bulkReply('slave'),
    bulkReply(upstream.host),
    integerReply(upstream.port),
    bulkReply(upstream.isUp ? 'connected' : 'connect'),
    integerReply(stream?.durable ?? -1),
  ]);
}

export function timeReply({ wall }: About): string {
  return arrayReply([bulkReply(String(seconds(wall))), bulkReply(String(wall % 1e6))]);
}

function sectionText(name: string, fields: Fields): string {
  const title = `# ${name.slice(0, 1).toUpperCase()}${name.slice(1)}`;
  return [title, ...fields.map(([field, value]) => `${field}:${value}`), ''].join('\r\n');
}

/** As HELLO names the primary, and as clients tell servers apart. */
export function serverOf({ server: told }: UpstreamState): ServerVersion {
  return told ?? unknownServer;
}

function server({ runId, port, uptime, upstream }: About): Fields {
  return [
    ...serverFields(serverOf(upstream)),
    ['run_id', runId],
    ['tcp_port', port],
    ['uptime_in_seconds', seconds(uptime)],
  ];
}

/** Of the primary: what comes out of here is its. */
function serverFields({ kind, version }: ServerVersion): Fields {
  if (kind === 'redis') {
    return [
      ['redis_version', version],
      ['redis_mode', 'standalone'],
    ];
  }
  return [
    ['redis_version', valkeyRedisVersion],
    ['server_name', 'valkey'],
    ['valkey_version', version],
    ['server_mode', 'standalone'],
  ];
}

function clients({ replicas }: About): Fields {
  return [['connected_clients', replicas.length]];
}

function replication({ now, upstream, stream, replicas }: About): Fields {
  const ago = seconds(now - upstream.since);
  const durable = stream?.durable ?? 0;
  return [
    ['role', 'slave'],
    ['journal', 1],
    ['master_host', upstream.host],
    ['master_port', upstream.port],
    ['master_link_status', upstream.isUp ? 'up' : 'down'],
    ['master_last_io_seconds_ago', upstream.isUp ? ago : -1],
    ['master_sync_in_progress', 0],
    ['slave_read_repl_offset', durable],
    ['slave_repl_offset', durable],
    ...(upstream.isUp ? [] : ([['master_link_down_since_seconds', ago]] as const)),
    ['slave_priority', 0],
    ['slave_read_only', 1],
    ['replica_announced', 0],
    ['connected_slaves', replicas.length],
    ...replicas.map((replica, i) => [`slave${i}`, replicaText(replica)] as const),
    ['master_failover_state', 'no-failover'],
    ['master_replid', stream?.id ?? noId],
    ['master_replid2', stream?.before?.id ?? noId],
    ['master_repl_offset', durable],
    ['second_repl_offset', stream?.before?.end ?? -1],
    ['repl_backlog_active', stream === undefined ? 0 : 1],
    ['repl_backlog_size', stream === undefined ? 0 : durable + 1 - stream.first],
    ['repl_backlog_first_byte_offset', stream?.first ?? 0],
    ['repl_backlog_histlen', stream === undefined ? 0 : durable + 1 - stream.first],
  ];
}

function replicaText({ host, port, state, offset, lag }: ReplicaLine): string {
  return `ip=${host},port=${port},state=${state},offset=${offset},lag=${lag}`;
}

function seconds(time: Micros): number {
  return Math.max(0, Math.floor(time / 1e6));
}
