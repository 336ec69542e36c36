// What session and follow tests have in common: a fake primary, a sink in memory, a clock that stands still, and a
// record of what was told.
import { SlabPool } from '../../src/core/slabs.ts';
import type { LinkError, StorageError } from '../../src/core/errors.ts';
import { follow } from '../../src/upstream/follow.ts';
import { ReplicaSession } from '../../src/upstream/session.ts';
import type { SessionOptions } from '../../src/upstream/session-options.ts';
import { FakePrimary } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import { TurningClock, turns } from './turning-clock.ts';
import { MemorySink } from './memory-sink.ts';

const slabBytes = 64 * 1024;

export interface Interruption {
  readonly error: LinkError | StorageError;
  readonly delayMs: number;
}

export class Rig {
  readonly clock = new TurningClock();
  readonly primary: FakePrimary;
  readonly sink: MemorySink;
  /** Session events, in order. */
  readonly told: string[] = [];
  readonly interruptions: Interruption[] = [];
  readonly stop = new AbortController();
  session: ReplicaSession | undefined;
  /** Why it ended; undefined while it runs or when it ended well. */
  failure: unknown;
  isOver = false;

  constructor(script: FakeScript, sink: MemorySink = new MemorySink()) {
    this.primary = new FakePrimary(script);
    this.sink = sink;
    sink.progressed = (): void => this.session?.progressed();
  }

  get options(): SessionOptions {
    const { primary, clock, sink, told } = this;
    return {
      address: { host: 'fake', port: 1, tls: false },
      credentials: {},
      tls: { verify: true },
      connect: primary.connect,
      clock,
      pool: new SlabPool(slabBytes, 4),
      sink,
      events: {
        described: () => undefined,
        greeted: (server, notes) => void told.push(['greeted', server?.version ?? 'unknown', ...notes].join(' ')),
        fullSync: ({ offset }) => void told.push(`fullSync ${offset}`),
        receiving: () => undefined,
        published: () => void told.push('published'),
        attached: ({ id, offset }) => void told.push(`attached ${id.slice(0, 4)} ${offset}`),
      },
    };
  }

  /** One session, running. */
  async open(options: Partial<SessionOptions> = {}): Promise<void> {
    const { signal } = this.stop;
    this.session = await ReplicaSession.open({ ...this.options, ...options }, signal);
    this.#watch(this.session.run(signal));
  }

  /** The loop of sessions, running. */
  follow(options: Partial<SessionOptions> = {}): void {
    this.#watch(
      follow(
        {
          ...this.options,
          choose: async () => this.options.address,
          rest: (ms, signal) => this.clock.sleep(ms, signal),
          ...options,
          random: () => 1,
          current: (session) => {
            this.session = session;
          },
          interrupted: (error, delayMs) => {
            this.interruptions.push({ error, delayMs });
          },
        },
        this.stop.signal,
      ),
    );
  }

  /** Turns until it holds; much less than a second. */
  async until(what: string, holds: () => boolean): Promise<void> {
    for (let left = 5_000; left > 0; left--) {
      if (holds()) return;
      await turns(1);
    }
    throw new Error(`waited for ${what} in vain; told: ${this.told.join(', ')}; failure: ${String(this.failure)}`);
  }

  async end(): Promise<void> {
    this.stop.abort(new Error('the test is over'));
    await this.until('the end', () => this.isOver);
  }

  #watch(running: Promise<void>): void {
    const ended = (failure?: unknown): void => {
      this.isOver = true;
      this.failure = failure;
    };
    running.then(() => ended(), ended);
  }
}
