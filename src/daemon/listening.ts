/**
 * Feeding replicas from the journal that this process writes: the listener of a configuration, what it serves, and what
 * happens there as log lines. Who is turned away again and again is told of once a minute: nobody fills a disk with our log.
 */
import { systemClock } from '../core/clock.ts';
import type { Micros } from '../core/clock.ts';
import type { JournalError } from '../core/errors.ts';
import { formatPosition } from '../core/position.ts';
import { RateLimit } from '../core/rate-limit.ts';
import type { Offset } from '../core/position.ts';
import { Accounts } from '../downstream/accounts.ts';
import type { ClientEvents, ReplicaState } from '../downstream/client.ts';
import type { History, LinkStanding, UpstreamState } from '../downstream/history.ts';
import { Listener } from '../downstream/listener.ts';
import type { Disk } from '../storage/disk.ts';
import { formatAddress } from '../upstream/address.ts';
import type { SourceAddress } from '../upstream/address.ts';
import type { Capture } from './capture.ts';
import { CapturedHistory } from './captured-history.ts';
import type { UpstreamChange } from './captured-history.ts';
import { describe } from './describe-error.ts';
import type { ListenConfig } from './listen-config.ts';
import type { Logger } from './logger.ts';

const refusalsEvery: Micros = 60_000_000;

/** The servers that may be followed. */
export interface Upstream {
  readonly current: SourceAddress;
  readonly sources: readonly SourceAddress[];
  /** Somebody who may say so says that this one is the primary now. */
  readonly moved: (host: string, port: number) => void;
  /** One of those who follow us came or went: so it is when a server is promoted, or becomes a replica. */
  readonly othersFollow: () => void;
  /** One of those who follow us says how far it is. */
  readonly acknowledged: () => void;
  /** More has come from the server than was taken yet. */
  readonly isBehind: () => boolean;
  /** For a journal that follows us. */
  readonly standing: (upstream: UpstreamState) => LinkStanding;
}

type Place = Pick<SourceAddress, 'host' | 'port'>;

export class Feeding implements AsyncDisposable {
  readonly #history: CapturedHistory;
  readonly #listener: Listener;

  private constructor(history: CapturedHistory, listener: Listener) {
    this.#history = history;
    this.#listener = listener;
  }

  /** Replicas are fed from `disk` directly: they have no part in what capture waits for. */
  static async open(
    config: ListenConfig,
    capture: Capture,
    upstream: Upstream,
    { disk, logger }: { readonly disk: Disk; readonly logger: Logger },
  ): Promise<Feeding> {
    const { current, sources, standing } = upstream;
    const { host, port } = current;
    const history = new CapturedHistory(
      { disk, clock: systemClock, capture, standing, failed: notServed(logger) },
      { host, port, sources },
    );
    return new Feeding(history, await openListener(config, history, disk, logger, upstream));
  }

  get replicas(): readonly ReplicaState[] {
    return this.#listener.replicas;
  }

  /** What the journal that is furthest of those that follow us has durably; undefined: none does. */
  get journaledElsewhere(): Offset | undefined {
    const journals = this.replicas.filter(({ isJournal, state }) => isJournal && state === 'online');
    return journals.length === 0 ? undefined : Math.max(...journals.map(({ acknowledged }) => acknowledged));
  }

  /** Whether the server at `address`, which says that its primary is `primary`, is one of our replicas. */
  feeds(address: Place, primary: Place): boolean {
    if (primary.port !== this.#listener.port) return false;
    // A replica is known by its IP address: a name may be its.
    const isSame = (host: string): boolean => host === address.host || !/^[\d.]+$|:/.test(address.host);
    return this.replicas.some(({ host, port }) => port === address.port && isSame(host));
  }

  get isFollowed(): boolean {
    return this.#listener.isFollowed;
  }

  /** More is durable, or it goes on under another name, or in another timeline. */
  moved(): void {
    this.#history.moved();
  }

  /** Of the server that is followed. */
  upstreamIs(change: UpstreamChange): void {
    this.#history.upstreamIs(change);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#listener[Symbol.asyncDispose]();
  }
}

export async function openListener(
  { address, accounts, tls, rates }: ListenConfig,
  history: History,
  disk: Disk,
  logger: Logger,
  upstream?: Pick<Upstream, 'moved' | 'othersFollow' | 'isBehind' | 'acknowledged'>,
): Promise<Listener> {
  const listener = await Listener.open({
    ...{ address, tls, disk, history, isBehind: upstream?.isBehind },
    rates: { stream: limited(rates.stream), base: limited(rates.base) },
    accounts: new Accounts(accounts),
    clock: systemClock,
    events: loggedClients(logger, upstream),
  });
  logger.info({ event: 'listening', host: address.host, port: listener.port, tls: tls !== undefined });
  return listener;
}

/** Tells why nobody is fed just now. */
export function notServed(logger: Logger): (error: unknown) => void {
  return (error) => {
    logger.error({ event: 'not-served', ...describe(error) });
  };
}

function limited(bytesPerSecond: number | undefined): RateLimit | undefined {
  return bytesPerSecond === undefined ? undefined : new RateLimit(bytesPerSecond, systemClock);
}

function loggedClients(
  logger: Logger,
  upstream?: Pick<Upstream, 'moved' | 'othersFollow' | 'acknowledged'>,
): ClientEvents {
  const refusals = new Map<string, { told: Micros; untold: number }>();
  return {
    refused: (peer, error) => {
      const now = systemClock.monotonic();
      const before = refusals.get(error.code);
      if (before !== undefined && now - before.told < refusalsEvery) {
        before.untold += 1;
        return;
      }
      logger.warn({ event: 'client-refused', peer, ...describe(error), before: before?.untold ?? 0 });
      refusals.set(error.code, { told: now, untold: 0 });
    },
    feeding: ({ peer, host, port }, answer) => {
      const { kind, id } = answer;
      const offset = kind === 'full' ? answer.offset : answer.from - 1;
      const event = kind === 'full' ? 'replica-full-sync' : 'replica-continues';
      logger.info({ event, peer, replica: formatAddress({ host, port }), position: formatPosition({ id, offset }) });
      upstream?.othersFollow();
    },
    left: ({ peer, host, port, acknowledged }, error: JournalError) => {
      logger.info({
        event: 'replica-left',
        peer,
        replica: formatAddress({ host, port }),
        acknowledged,
        ...describe(error),
      });
      upstream?.othersFollow();
    },
    moved: (host, port) => {
      logger.info({ event: 'told-of-primary', host, port });
      upstream?.moved(host, port);
    },
    acknowledged: () => {
      upstream?.acknowledged();
    },
  };
}
