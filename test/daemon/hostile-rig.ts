// A primary that lies, and everything that `journal run` has between the wire and the disk: the reconnect loop, sessions,
// capture, recovery, on a disk in memory and with time that passes when the rig says so. What the liar did is judged by
// what is left: no error of a kind that ends the daemon, files that verify, and the bytes that were sent.
import { PlainChecker } from '../support/plain-checker.ts';
import { expect } from 'vitest';
import type { LinkError, StorageError } from '../../src/core/errors.ts';
import { SlabPool } from '../../src/core/slabs.ts';
import { Capture } from '../../src/daemon/capture.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import type { Timeline } from '../../src/log/catalog.ts';
import { readRange } from '../../src/log/read-range.ts';
import { sealSegment } from '../../src/log/sealing.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import { verifySource } from '../../src/log/verify.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { follow } from '../../src/upstream/follow.ts';
import type { ReplicaSession } from '../../src/upstream/session.ts';
import { FakePrimary, fakeId, fullSync } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { TurningClock } from '../upstream/turning-clock.ts';

export const baseOffset = 1000;
export const tree = sourceTree('/journal', 'source');
const slabBytes = 64 * 1024;

export interface HostileRigOptions {
  readonly segmentBytes?: number;
  readonly disk?: SimulatedDisk;
  /** What is followed may be a journal: its link is asked for. */
  readonly asksLink?: boolean;
}

export class HostileRig implements AsyncDisposable {
  readonly disk: SimulatedDisk;
  readonly clock = new TurningClock();
  readonly primary: FakePrimary;
  /** Why sessions ended, in order. */
  readonly interruptions: (LinkError | StorageError)[] = [];
  /** What ended the run, if anything did: nothing that a primary says may. */
  failure: unknown;
  /** Errors of the log: none, for the disk is well. */
  readonly storageFailures: unknown[] = [];
  readonly #stop = new AbortController();
  readonly #segmentBytes: number;
  readonly #asksLink: boolean;
  #capture!: Capture;
  #session: ReplicaSession | undefined;
  #running: Promise<void> = Promise.resolve();

  private constructor(
    script: FakeScript,
    { segmentBytes = 300, disk = new SimulatedDisk(), asksLink = false }: HostileRigOptions,
  ) {
    this.primary = new FakePrimary(script);
    this.#segmentBytes = segmentBytes;
    this.#asksLink = asksLink;
    this.disk = disk;
  }

  /** A run that begins with what is on the disk: nothing, if none is given. */
  static async start(script: FakeScript, options: HostileRigOptions = {}): Promise<HostileRig> {
    const rig = new HostileRig(script, options);
    await rig.#start();
    return rig;
  }

  /** A run that an honest primary has sent `stream`, all of it durable. */
  static async after(stream: Buffer, options: HostileRigOptions = {}): Promise<HostileRig> {
    const rig = await HostileRig.start({ psync: honestPsync }, options);
    await rig.until('the base', () => rig.progress?.isEstablished === true);
    rig.primary.link.say(stream);
    await rig.untilDurable(baseOffset + stream.length);
    return rig;
  }

  get progress(): Capture['progress'] {
    return this.#capture.progress;
  }

  /** The connection is lost; the next one is answered with this. */
  async next(script: FakeScript): Promise<void> {
    const attempts = this.primary.attempts;
    this.primary.script = script;
    this.primary.link.lose();
    await this.until('the next connection', () => this.primary.attempts > attempts);
  }

  async untilDurable(offset: number): Promise<void> {
    await this.until(`offset ${offset} to be durable`, () => (this.progress?.durable ?? 0) >= offset);
  }

  /** Lets time pass until it holds. */
  async until(what: string, holds: () => boolean): Promise<void> {
    for (let left = 3000; left > 0; left--) {
      if (holds()) return;
      if (this.disk.isDead) throw new Error('the power is gone');
      if (this.failure !== undefined) throw new Error(`waited for ${what}; it ended`, { cause: this.failure });
      // Soon at first, for a commit; then as long as the loop waits before it connects again.
      await this.clock.advance(left > 2500 ? 10 : 1000);
    }
    const told = this.interruptions.map(({ message }) => message).join('; ');
    throw new Error(`waited for ${what} in vain; interruptions: ${told}`);
  }

  /** A clean stop, as SIGTERM brings it about. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the test is over'));
    await this.#running;
    await this.#capture.stop();
  }

  /** Stops it; then everything on the disk is right, and nothing but the link has failed. */
  async end(): Promise<readonly Timeline[]> {
    await this.stop();
    await this.#capture[Symbol.asyncDispose]();
    expect(this.failure).toBeUndefined();
    expect(this.storageFailures).toEqual([]);
    const { problems } = await verifySource(this.disk, tree, { clock: this.clock, known: knownCommands });
    expect(problems).toEqual([]);
    return (await loadCatalog(this.disk, tree)).timelines;
  }

  streamOf(timeline: Timeline): Promise<Buffer> {
    return HostileRig.streamOf(this.disk, timeline);
  }

  static async streamOf(disk: Disk, timeline: Timeline): Promise<Buffer> {
    const parts: Buffer[] = [];
    const from = timeline.base.record.offset + 1;
    for await (const { bytes } of readRange(disk, timeline.segments, from, timeline.end)) {
      parts.push(Buffer.from(bytes));
    }
    return Buffer.concat(parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the test is over'));
    await this.#running;
    await this.#capture[Symbol.asyncDispose]();
  }

  async #start(): Promise<void> {
    const { disk, clock } = this;
    this.#capture = await Capture.open({
      disk,
      clock,
      root: '/journal',
      tree,
      address: 'fake:1',
      relativeTtl: 'convert',
      seal: (path, end) => sealSegment(disk, path, end, knownCommands),
      check: (path) => new PlainChecker(disk, path),
      segmentBytes: this.#segmentBytes,
      events: {
        recovered: () => undefined,
        progressed: () => this.#session?.progressed(),
        failed: (error) => {
          this.storageFailures.push(error);
          this.#session?.fail(error);
        },
        gap: () => undefined,
        sealed: () => undefined,
        sealFailed: (_path, error) => void this.storageFailures.push(error),
      },
    });
    this.#running = this.#follow().catch((error: unknown) => {
      this.failure = error;
    });
  }

  #follow(): Promise<void> {
    const { primary, clock } = this;
    const nothing = (): void => undefined;
    return follow(
      {
        choose: async () => ({ host: 'fake', port: 1, tls: false }),
        rest: (ms, signal) => clock.sleep(ms, signal),
        credentials: {},
        tls: { verify: true },
        connect: primary.connect,
        clock,
        pool: new SlabPool(slabBytes, 4),
        sink: this.#capture,
        link: this.#asksLink ? this.#capture : undefined,
        random: () => 0,
        events: {
          ...{ greeted: nothing, fullSync: nothing, receiving: nothing, published: nothing, attached: nothing },
          linkState: (state) => {
            this.#capture.linkState(state);
          },
        },
        current: (session) => {
          this.#session = session;
        },
        interrupted: (error) => {
          this.interruptions.push(error);
        },
      },
      this.#stop.signal,
    );
  }
}

/** A primary that keeps to the protocol: it goes on where it is asked to, if it was ever there, else it syncs. */
export function honestPsync(id: string, offset: number): Buffer {
  return id === fakeId && offset > 0 ? Buffer.from('+CONTINUE\r\n') : fullSync(fakeId, baseOffset, 'length');
}
