/**
 * One question to a server, over a side connection of its own: how far its stream is, and which history that is. Never on
 * the replica link, which carries nothing but the stream.
 */
import { systemClock } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import { parseReplicationInfo } from '../redis/replication-info.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import { formatAddress } from './address.ts';
import type { Credentials, SourceAddress, TlsSettings } from './address.ts';
import { connectSocket } from './connect.ts';
import { SideConnection } from './side-connection.ts';
import { readSample, sampleCommands } from './source-sample.ts';

/** A server is asked once, and may be busy. */
const answerTimeoutMs = 5_000;

/** How far the stream of this server is; of a replica, how far it has processed its primary's. */
export async function askOffset(
  address: SourceAddress,
  credentials: Credentials,
  tls: TlsSettings,
  signal: AbortSignal,
): Promise<Offset> {
  const clock = systemClock;
  const options = { address, credentials, tls, connect: connectSocket, clock, timeoutMs: answerTimeoutMs };
  using side = await SideConnection.open(options, signal);
  const sentAt = clock.monotonic();
  const replies = await side.transaction(sampleCommands);
  const source = formatAddress(address);
  const { offset } = readSample(replies, { sentAt, receivedAt: clock.monotonic(), source });
  if (offset === undefined) {
    throw new LinkError(
      'source-has-no-primary',
      `${source} has no stream: it is a replica without its primary`,
      'soon',
    );
  }
  return offset;
}

/** What a server, a journal too, says of its history and how far it is. */
export async function askHistory(
  address: SourceAddress,
  credentials: Credentials,
  tls: TlsSettings,
  signal: AbortSignal,
): Promise<ReplicationInfo> {
  const options = {
    ...{ address, credentials, tls, connect: connectSocket, clock: systemClock },
    timeoutMs: answerTimeoutMs,
  };
  using side = await SideConnection.open(options, signal);
  const reply = await side.command('INFO', 'replication');
  const info = reply.kind === 'bulk' ? parseReplicationInfo(reply.value.toString()) : undefined;
  if (info !== undefined) return info;
  throw new LinkError('unexpected-reply', `${formatAddress(address)} tells of no history in INFO replication`, 'later');
}
