// One life of the journal's process: composed as `journal run` composes it, of the real parts on a simulated machine.
// Worker threads are plain functions; log lines are notes. It ends by a stop, by an error, or by being killed, and then
// nothing of it ever reaches the world again.
import { PlainChecker } from '../support/plain-checker.ts';
import { crc32 } from 'node:zlib';
import { StorageError } from '../../src/core/errors.ts';
import { formatInstant } from '../../src/core/instant.ts';
import { slabBytes } from '../../src/core/limits.ts';
import { SlabPool } from '../../src/core/slabs.ts';
import { Capture } from '../../src/daemon/capture.ts';
import { StateWriter } from '../../src/daemon/state-file.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import { sealSegment } from '../../src/log/sealing.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { follow } from '../../src/upstream/follow.ts';
import { Sampling } from '../../src/upstream/sampling.ts';
import type { ReplicaSession } from '../../src/upstream/session.ts';
import type { Random } from '../support/random.ts';
import { CountedSlabs } from './network.ts';
import type { SimulatedNetwork } from './network.ts';
import { ProcessClock } from './time.ts';
import type { SimulatedTime, WallClock } from './time.ts';
import type { Truth } from './truth.ts';
import { WitnessedSink } from './witness.ts';
import type { Epoch, Witness } from './witness.ts';

export interface LifeOptions {
  readonly time: SimulatedTime;
  readonly wall: WallClock;
  readonly disk: Disk;
  readonly root: string;
  readonly tree: SourceTree;
  readonly network: SimulatedNetwork;
  readonly witness: Witness;
  readonly truth: Truth;
  readonly random: Random;
  readonly segmentBytes: number;
  readonly hasStateFile: boolean;
  /** It was made to. */
  readonly hasDiskFailed: () => boolean;
  readonly note: (text: string) => void;
  /** An acknowledgement has just left. */
  readonly acknowledged: () => void;
}

export type LifeEnd = { readonly how: 'stopped' | 'killed' } | { readonly how: 'failed'; readonly error: unknown };

/** What ends a link to a primary that does not lie. */
const expectedTroubles: ReadonlySet<string> = new Set(['link-lost', 'unreachable', 'silent', 'loading']);

export class Life {
  readonly clock: ProcessClock;
  readonly slabs = new CountedSlabs();
  readonly #sideSlabs = new CountedSlabs();
  end: LifeEnd | undefined;
  readonly #options: LifeOptions;
  readonly #stop = new AbortController();
  #session: ReplicaSession | undefined;
  #sink: WitnessedSink | undefined;
  #capture: Capture | undefined;
  constructor(options: LifeOptions) {
    this.#options = options;
    this.clock = new ProcessClock(options.time, options.wall);
    this.#run().then(
      () => {
        this.end ??= { how: 'stopped' };
      },
      (error: unknown) => {
        this.end ??= { how: 'failed', error };
      },
    );
  }

  get capture(): Capture | undefined {
    return this.#capture;
  }

  get isLinked(): boolean {
    return this.end === undefined && this.#session !== undefined && this.#sink?.streaming !== undefined;
  }

  /** The stream comes in. */
  get streaming(): Epoch | undefined {
    return this.end === undefined ? this.#sink?.streaming : undefined;
  }

  stop(): void {
    this.#stop.abort(new Error('told to stop'));
  }

  /** kill -9, or the end of the machine: `isTold` whether the primary hears of it. The disk is the world's business. */
  kill(isTold: boolean): void {
    this.end ??= { how: 'killed' };
    this.clock.die();
    this.#options.network.abandoned(this.clock, isTold);
  }

  async #run(): Promise<void> {
    const { disk, root, tree, segmentBytes, witness, note } = this.#options;
    const { clock } = this;
    const alive = (what: () => void): void => {
      if (this.end === undefined) what();
    };
    const startedAt = formatInstant(clock.wall());
    await using capture = await Capture.open({
      disk,
      clock,
      root,
      tree,
      address: '10.0.0.5:6379',
      relativeTtl: 'refuse',
      seal: (path, end) => sealSegment(disk, path, end, knownCommands),
      check: (path) => new PlainChecker(disk, path),
      segmentBytes,
      events: {
        recovered: (actions) => {
          for (const action of actions) note(`journal: recovered: ${action}`);
        },
        progressed: () => {
          alive(() => this.#session?.progressed());
        },
        failed: (error) => {
          note(`journal: storage failed: ${String(error)}`);
          alive(() => this.#session?.fail(error));
        },
        gap: ({ from, to, cause }) => {
          note(`journal: gap ${from.offset} to ${to.offset}: ${cause}`);
        },
        sealed: (from) => {
          note(`journal: sealed ${from.slice(-30)}`);
        },
        sealFailed: (path, error) => {
          note(`journal: sealing ${path.slice(-30)} failed: ${String(error)}`);
          const isExpected = error instanceof StorageError;
          alive(() => witness.expect(isExpected, () => `${path} cannot be sealed: ${String(error)}`));
        },
      },
    });
    this.#capture = capture;
    this.#sink = new WitnessedSink(witness, capture, clock, await this.#establishedEpoch());
    await using _state = this.#stateWriter(startedAt);
    await this.#follow(this.#sink);
    await capture.stop();
  }

  async #follow(sink: WitnessedSink): Promise<void> {
    const { network, random, witness, note, acknowledged, hasDiskFailed } = this.#options;
    const { clock } = this;
    const address = { host: '10.0.0.5', port: 6379, tls: false };
    const source = { credentials: {}, tls: { verify: true }, clock, random: () => random.next() };
    await using sampling = this.#sampling(sink, source);
    await follow(
      {
        ...source,
        choose: async () => address,
        rest: (ms, signal) => clock.sleep(ms, signal),
        connect: network.connectFor(clock, this.slabs, (bytes) => {
          const offset = /REPLCONF\r\n\$3\r\nACK\r\n\$\d+\r\n(\d+)/.exec(bytes.toString('latin1'))?.[1];
          if (offset === undefined) return;
          sink.acknowledged(Number(offset));
          acknowledged();
        }),
        pool: new SlabPool(slabBytes, 0),
        sink,
        events: {
          greeted: () => {
            sampling.point(address);
          },
          fullSync: ({ offset }) => {
            note(`journal: full sync at ${offset}`);
          },
          receiving: () => undefined,
          published: () => {
            note('journal: base published');
          },
          attached: ({ offset }) => {
            note(`journal: attached at ${offset}`);
          },
        },
        current: (session) => {
          this.#session = session;
          if (session === undefined) this.#capture?.detached();
        },
        interrupted: (error, delayMs) => {
          if (this.end !== undefined) return;
          note(`journal: ${error.message}; again in ${delayMs} ms`);
          const isExpected = error instanceof StorageError ? hasDiskFailed() : expectedTroubles.has(error.code);
          witness.expect(isExpected, () => `a link ended that had to go on: ${error.message}`);
        },
      },
      this.#stop.signal,
    );
  }

  #sampling(
    sink: WitnessedSink,
    source: Omit<ConstructorParameters<typeof Sampling>[0], 'connect' | 'events'>,
  ): Sampling {
    const { network, truth, note } = this.#options;
    return new Sampling({
      ...source,
      connect: network.connectFor(this.clock, this.#sideSlabs),
      events: {
        sampled: (sample) => {
          if (this.end !== undefined) return;
          truth.sampled(sample, this.clock);
          sink.sampled(sample);
        },
        lost: (error) => {
          if (this.end === undefined) note(`journal: no samples: ${error.message}`);
        },
      },
    });
  }

  /** What the log says where it stands, as the witness knows it. */
  async #establishedEpoch(): Promise<Epoch | undefined> {
    const { disk, tree, witness } = this.#options;
    const newest = (await loadCatalog(disk, tree)).timelines.at(-1);
    if (newest === undefined) return undefined;
    const { id, offset, stamp } = newest.record;
    const epoch = witness.find(id, offset, stamp);
    if (epoch !== undefined) epoch.coveredFrom ??= newest.base.record.completed;
    return epoch;
  }

  #stateWriter(startedAt: string): AsyncDisposable {
    const { disk, tree, hasStateFile, note } = this.#options;
    if (!hasStateFile) return { [Symbol.asyncDispose]: () => Promise.resolve() };
    return new StateWriter({
      disk,
      clock: this.clock,
      path: tree.state,
      source: '10.0.0.5:6379',
      startedAt,
      poll: () => ({ timeline: this.#capture?.progress?.timeline ?? null }),
      failed: (error) => {
        note(`journal: the state file cannot be written: ${String(error)}`);
      },
    });
  }
}

/** Of all files with their names: two runs of a seed end with the same. */
export function digestOf(files: ReadonlyMap<string, Buffer>): number {
  let digest = 0;
  for (const [name, bytes] of files) digest = crc32(bytes, crc32(name, digest));
  return digest;
}
