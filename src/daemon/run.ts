/**
 * `journal run`: composes disk, log, link and threads into a running journal, and tells the world about it (log lines,
 * state file). It wires and reports; every decision is made below. On return everything received is durable and
 * acknowledged.
 */
import { systemClock } from '../core/clock.ts';
import type { JournalError } from '../core/errors.ts';
import { InterruptedError, LinkError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import { reserveBytes, slabBytes, slabsKept } from '../core/limits.ts';
import { formatPosition, type Position } from '../core/position.ts';
import { SlabPool } from '../core/slabs.ts';
import { clearTemporary } from '../log/recovery.ts';
import { createSourceTree, sourceTree } from '../log/source-tree.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { linkVersion } from '../redis/link-frame.ts';
import { formatServerVersion } from '../redis/server-version.ts';
import { localDisk } from '../storage/local-disk.ts';
import { Reserve } from '../storage/reserve.ts';
import { WatchedDisk } from '../storage/watched-disk.ts';
import { WriterLock } from '../storage/writer-lock.ts';
import { formatAddress } from '../upstream/address.ts';
import type { SourceAddress } from '../upstream/address.ts';
import { isSame } from '../upstream/choose-source.ts';
import { connectSocket } from '../upstream/connect.ts';
import { follow } from '../upstream/follow.ts';
import { askOffset } from '../upstream/probe.ts';
import { Sampling } from '../upstream/sampling.ts';
import { SourceChoice } from '../upstream/source-choice.ts';
import type { SourceChoiceOptions } from '../upstream/source-choice.ts';
import { roleIn } from '../upstream/standing.ts';
import type { ServerRole } from '../upstream/standing.ts';
import type { SamplerEvents } from '../upstream/sampler.ts';
import type { ReplicaSession } from '../upstream/session.ts';
import type { SessionEvents } from '../upstream/session-options.ts';
import { WorkerBaseChecker } from './base-checker.ts';
import { Capture } from './capture.ts';
import type { CaptureEvents } from './capture-options.ts';
import { loggedCapture } from './capture-logged.ts';
import { positionHeld, positionOf } from './capture-progress.ts';
import type { RunConfig } from './config.ts';
import type { LinkStanding, UpstreamState } from '../downstream/history.ts';
import { Feeding } from './listening.ts';
import { describe } from './describe-error.ts';
import { loggedRoom, loggedWatch } from './disk-watch.ts';
import { loggedRetention } from './keep-local.ts';
import type { KeepLocal, Retention, RetentionState } from './keep-local.ts';
import type { Logger } from './logger.ts';
import { SealHost } from './seal-host.ts';
import { SourceLink } from './source-link.ts';
import { loggedRivals, StandingWatch } from './standing-watch.ts';
import { lastWords, StateWriter } from './state-file.ts';
import type { RunChange, RunState } from './state-file.ts';
import { clockInSeconds, isSound } from './timekeeper.ts';
import { loggedUnended } from './unended-command.ts';
import type { UnendedWatch } from './unended-command.ts';
import { writerName } from './version.ts';

export interface RunOptions {
  readonly config: RunConfig;
  readonly logger: Logger;
  /** Smaller segments, for tests: a rotation without 64 MiB of stream. */
  readonly segmentBytes?: number;
}

/** Runs until `signal` stops it (resolves) or it cannot go on (rejects). */
export async function runDaemon(options: RunOptions, signal: AbortSignal): Promise<void> {
  const { config, logger } = options;
  const tree = sourceTree(config.root, config.name);
  const source = formatAddress(config.addresses[0]);
  const startedAt = formatInstant(systemClock.wall());
  await createSourceTree(localDisk, config.root, tree);
  using _lock = WriterLock.acquire(tree.directory, startedAt);
  await using sealing = new SealHost();
  const run = new Run(options);
  const reserve = new Reserve(localDisk, tree.reserve, reserveBytes);
  const room = loggedRoom(reserve, logger, signal, () => {
    run.makeRoom();
  });
  const disk = new WatchedDisk(localDisk, room, systemClock);
  for (const warning of config.warnings) logger.warn({ event: 'warning', warning });
  logger.info({ event: 'started', version: writerName, directory: tree.directory, source });
  using watch = loggedWatch({ path: tree.directory, room, unanswered: () => disk.unanswered }, logger);
  run.captureEvents.recovered(await clearTemporary(localDisk, tree.directory));
  // Before recovery, which may have to wait for room: somebody must be able to see that.
  await using state = new StateWriter({
    disk: localDisk,
    clock: systemClock,
    path: tree.state,
    ...{ source, isTls: config.addresses[0].tls, startedAt },
    poll: () => ({ ...run.moving(), disk: watch.state, retention: run.retentionState }),
    failed: (error) => {
      logger.warn({ event: 'state-file-failed', ...describe(error) });
    },
  });
  try {
    await using capture = await Capture.open({
      disk,
      clock: systemClock,
      root: config.root,
      tree,
      address: source,
      relativeTtl: config.relativeTtl,
      seal: (path, end, pace) => {
        // What it would take from a full disk before it fails is what the reserve was given up for.
        if (room.full !== undefined) throw room.full.error;
        return sealing.seal(path, end, pace);
      },
      check: (path) => new WorkerBaseChecker(path),
      events: run.captureEvents,
      segmentBytes: options.segmentBytes,
      isFollowed: run.isFollowed,
    });
    if (!(await reserve.make())) logger.warn({ event: 'no-reserve', reserve: tree.reserve, bytes: reserveBytes });
    await using _retention = config.keepLocal && run.retention(capture, tree, config.keepLocal);
    await using _listener = config.listen && (await run.listen(capture, config.listen));
    await run.follow(capture, state, signal);
    state.update({ state: 'stopping' });
    await capture.stop();
    logger.info({ event: 'stopped', ...positionOf(capture.progress) });
  } catch (error) {
    // Whoever asks for the status later shall learn why nobody writes.
    state.update({ state: 'stopping', lastError: lastWords(error) });
    throw error;
  }
}

/** What happens during a run, as log lines and as the state file; and the stop of `--once`. */
class Run {
  readonly #config: RunConfig;
  readonly #logger: Logger;
  /** Ends the run from within: `--once` is there, or sampling for it failed. */
  readonly #ended = new AbortController();
  #state: StateWriter | undefined;
  #retention: Retention | undefined;
  #feeding: Feeding | undefined;
  readonly isFollowed = (): boolean => this.#feeding?.isFollowed ?? false;
  #session: ReplicaSession | undefined;
  #choice: SourceChoice | undefined;
  #capture: Capture | undefined;
  #sync: RunState['sync'] = null;
  #ready = false;
  #onceTarget: number | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** The server that is followed, or was last. */
  #address: SourceAddress;
  readonly #standing: StandingWatch;
  readonly #link = new SourceLink(systemClock);
  readonly #unended: UnendedWatch;
  /** Looking for a primary while a session lasts. */
  #watching = new AbortController();

  constructor({ config, logger }: RunOptions) {
    this.#config = config;
    this.#logger = logger;
    this.#address = config.addresses[0];
    this.#unended = loggedUnended(logger);
    this.#standing = new StandingWatch(logger, (degraded) => this.#state?.update({ degraded }));
  }

  async follow(capture: Capture, state: StateWriter, signal: AbortSignal): Promise<void> {
    this.#capture = capture;
    this.#state = state;
    const { addresses, credentials, tls } = this.#config;
    const source = { credentials, tls, connect: connectSocket, clock: systemClock, random: Math.random };
    const held = (): Position | undefined => positionHeld(capture.progress);
    const isOurs: SourceChoiceOptions['isOurs'] = (...server) => this.#feeding?.feeds(...server) ?? false;
    const events = loggedRivals(this.#logger);
    const choice = (this.#choice = new SourceChoice({ ...source, addresses, held, isOurs, events }));
    await using sampling = new Sampling({ ...source, events: this.#samplerEvents(capture) });
    await follow(
      {
        ...source,
        announce: this.#config.listen?.announce,
        choose: async (now) => this.#followed(await choice.choose(now)),
        rest: (ms, now) => choice.rest(ms, now),
        pool: new SlabPool(slabBytes, slabsKept),
        sink: capture,
        link: capture,
        ...(this.#config.ack === 'remote' && { elsewhere: () => this.#feeding?.journaledElsewhere }),
        events: this.#sessionEvents(capture, (isLinked) => {
          // A journal tells what it knows of the primary's time.
          if (isLinked) sampling.rest();
          else sampling.point(this.#address);
        }),
        current: (session) => {
          this.#session = session;
          this.#watching.abort();
          if (session === undefined) capture.detached();
          else void this.#watch(choice, session);
        },
        interrupted: (error, delayMs) => {
          this.#interrupted(error, delayMs);
        },
      },
      AbortSignal.any([signal, this.#ended.signal]),
    );
    if (this.#failure !== undefined) throw this.#failure.error;
    if (signal.aborted && this.#config.once && !this.#ended.signal.aborted) {
      throw new InterruptedError('stopped before the primary had been caught up with');
    }
  }

  /** What changes all the time, for the state file. */
  moving(): RunChange {
    const capture = this.#capture;
    if (capture?.progress === undefined) return { sync: this.#sync };
    const { timeline, id, received, durable, lastStamp, sealing, clock } = capture.progress;
    return {
      timeline,
      id,
      position: { received: String(received), durable: String(durable) },
      head: String(this.#link.head(capture)),
      lastStamp: formatInstant(lastStamp),
      unended: this.#unended.state,
      replicas: this.#feeding?.replicas ?? [],
      ack: this.#config.ack ?? 'local',
      link: this.#link.lag(durable),
      sealing,
      clock: clockInSeconds(clock),
      sync: this.#sync,
    };
  }

  retention(capture: Capture, tree: SourceTree, keep: KeepLocal): Retention {
    const newest = (): number | undefined => {
      const { isEstablished, clock, timeline } = capture.progress ?? {};
      return isEstablished === true && clock !== undefined && isSound(clock) ? timeline : undefined;
    };
    return (this.#retention = loggedRetention({ tree, keep, newest }, this.#logger));
  }

  async listen(capture: Capture, config: NonNullable<RunConfig['listen']>): Promise<Feeding> {
    const moved = (host: string, port: number): void => this.#choice?.hint({ host, port });
    const othersFollow = (): void => this.#choice?.lookAgain();
    const isBehind = (): boolean => this.#session?.isBehind ?? false;
    const acknowledged = (): void => this.#session?.progressed();
    const standing = (its: UpstreamState): LinkStanding => this.#link.standing(capture, its);
    const upstream = {
      current: this.#address,
      sources: this.#config.addresses,
      moved,
      othersFollow,
      acknowledged,
      isBehind,
      standing,
    };
    return (this.#feeding = await Feeding.open(config, capture, upstream, { disk: localDisk, logger: this.#logger }));
  }

  get retentionState(): RetentionState | null {
    return this.#retention?.state ?? null;
  }

  /** The disk is full. */
  makeRoom(): void {
    this.#retention?.apply();
  }

  get captureEvents(): CaptureEvents {
    const logger = this.#logger;
    return {
      ...loggedCapture(logger),
      progressed: () => {
        this.#session?.progressed();
        this.#feeding?.moved();
        this.#progressed();
      },
      failed: (error) => {
        logger.error({ event: 'storage-failed', ...describe(error) });
        this.#session?.fail(error);
      },
    };
  }

  #samplerEvents(capture: Capture): SamplerEvents {
    return {
      sampled: (sample) => {
        capture.sampled(sample);
        if (sample.source === formatAddress(this.#address)) this.#standing.look(this.#address, roleIn(sample));
      },
      lost: (error) => {
        this.#logger.warn({ event: 'no-samples', ...describe(error) });
      },
    };
  }

  /** `accepted`: the primary has taken us as its replica. */
  #sessionEvents(capture: Capture, accepted: (isLinked: boolean) => void): SessionEvents {
    const logger = this.#logger;
    let primary: ServerRole['primary'];
    return {
      described: (lineage) => {
        ({ primary } = lineage);
        this.#standing.look(this.#address, lineage);
      },
      greeted: (server, notes, isLinked) => {
        this.#link.forget();
        accepted(isLinked);
        if (server !== undefined) this.#state?.update({ server: { kind: server.kind, version: server.version } });
        this.#feeding?.upstreamIs({ server });
        const what = server === undefined ? 'unknown' : formatServerVersion(server);
        logger.info({ event: 'connected', server: what, ...(isLinked && { link: linkVersion }) });
        for (const note of notes) logger.warn({ event: 'note', note });
      },
      linkState: (state) => {
        capture.linkState(state);
        this.#link.heard(state);
        this.#standing.look(this.#address, this.#link.role(primary));
      },
      fullSync: (position, held = 0) => {
        this.#state?.update({ state: 'syncing' });
        logger.info({ event: 'full-sync', position: formatPosition(position), ...(held > 0 && { held }) });
      },
      receiving: (received, size) => {
        this.#sync = { received, size: size ?? null };
      },
      published: () => {
        logger.info({ event: 'base-published' });
        this.#retention?.apply();
        // The link may be gone by now: then the next attachment says that the stream goes on.
        if (this.#session !== undefined) this.#streaming();
      },
      attached: (position) => {
        logger.info({ event: 'attached', position: formatPosition(position) });
        this.#streaming();
      },
    };
  }

  #streaming(): void {
    this.#sync = null;
    this.#feeding?.upstreamIs({ isUp: true });
    this.#state?.update({ state: 'streaming', lastError: null, nextAttemptAt: null });
    this.#progressed();
    if (this.#config.once) void this.#aimOnce(this.#ended.signal);
  }

  /** `--once`: what the primary has now is what must be durable. */
  async #aimOnce(signal: AbortSignal): Promise<void> {
    const { credentials, tls } = this.#config;
    try {
      this.#onceTarget = await askOffset(this.#address, credentials, tls, signal);
      this.#progressed();
    } catch (error) {
      if (signal.aborted) return;
      this.#failure = { error };
      this.#ended.abort();
    }
  }

  #followed(address: SourceAddress): SourceAddress {
    if (isSame(address, this.#address)) return address;
    this.#logger.info({ event: 'moving', from: formatAddress(this.#address), to: formatAddress(address) });
    this.#address = address;
    this.#feeding?.upstreamIs({ host: address.host, port: address.port, isUp: false });
    this.#standing.forget();
    this.#state?.update({ source: formatAddress(address), isTls: address.tls, degraded: null });
    return address;
  }

  /** Ends the session when there is a primary to move over to. */
  async #watch(choice: SourceChoice, session: ReplicaSession): Promise<void> {
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    try {
      const primary = await choice.watch(signal);
      if (primary === undefined) return;
      session.fail(new LinkError('primary-found', `moving over to ${formatAddress(primary)}`, 'soon'));
    } catch (error) {
      if (!signal.aborted) session.fail(error);
    }
  }

  #progressed(): void {
    const progress = this.#capture?.progress;
    if (progress === undefined) return;
    this.#unended.look(progress);
    const { id, durable, isEstablished } = progress;
    if (!isEstablished) return;
    if (!this.#ready) {
      this.#ready = true;
      this.#logger.info({ event: 'ready', position: formatPosition({ id, offset: durable }) });
    }
    if (this.#onceTarget !== undefined && durable >= this.#onceTarget) this.#ended.abort();
  }

  #interrupted(error: JournalError, delayMs: number): void {
    const described = describe(error);
    // What leads to a gap is not one interruption among others.
    const level = error.code === 'stream-broken' ? 'error' : 'warn';
    this.#logger[level]({ event: 'link-interrupted', ...described, retryInMs: delayMs });
    this.#feeding?.upstreamIs({ isUp: false });
    this.#state?.update({
      state: 'disconnected',
      lastError: lastWords(error),
      nextAttemptAt: formatInstant(systemClock.wall() + delayMs * 1000),
    });
  }
}
