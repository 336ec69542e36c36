/** What a session needs, and what it tells as it goes on. Neighbour: session.ts. */
import type { Clock } from '../core/clock.ts';
import type { Position } from '../core/position.ts';
import type { SlabPool } from '../core/slabs.ts';
import type { AnnouncedAddress } from '../redis/handshake.ts';
import type { LinkState } from '../redis/link-state.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import type { ServerVersion } from '../redis/server-version.ts';
import type { Elsewhere } from './acker.ts';
import type { Credentials, SourceAddress, TlsSettings } from './address.ts';
import type { BrokenStream } from './broken-stream.ts';
import type { Connect } from './connect.ts';
import type { LinkSink, Sink } from './sink.ts';

export interface SessionOptions {
  readonly address: SourceAddress;
  readonly credentials: Credentials;
  /** Absent: nobody learns from the server where we listen. */
  readonly announce?: AnnouncedAddress | undefined;
  readonly tls: TlsSettings;
  readonly connect: Connect;
  readonly clock: Clock;
  readonly pool: SlabPool;
  readonly sink: Sink;
  /** Set: acknowledged is what is durable there, too. */
  readonly elsewhere?: Elsewhere | undefined;
  /** Set: of a journal, its link is asked for. */
  readonly link?: LinkSink | undefined;
  readonly events: SessionEvents;
  /** Set: the journal does not go on where it ends, a full sync is asked for. */
  readonly broken?: BrokenStream | undefined;
}

export interface SessionEvents {
  /** What the server says of itself, before it is known whether it takes us. */
  described?(lineage: ReplicationInfo): void;
  /** The server answered; `notes` are replies that were passed over. `isLinked`: it is a journal, and has a link with us. */
  greeted(server: ServerVersion | undefined, notes: readonly string[], isLinked: boolean): void;
  /** `held`: bytes of its RDB that need not come again. */
  fullSync(position: Position, held?: number): void;
  /** Bytes of the RDB so far; `size` where the primary told it. */
  receiving(received: number, size: number | undefined): void;
  /** Of a journal: how it stands. */
  linkState?(state: LinkState): void;
  /** The base is published: acknowledgements begin. */
  published(): void;
  /** The stream goes on. */
  attached(position: Position): void;
}
