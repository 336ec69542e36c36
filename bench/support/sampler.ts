// Watches a running journal from outside: the process by what the kernel tells of it, its files by listing them.
import type { Child, Memory } from './child.ts';
import { durableOffset, type Files, listFiles } from './journal.ts';

export interface Sample extends Files {
  readonly seconds: number;
  /** An RDB comes, then the stream; then all is acknowledged, and sealing catches up. */
  readonly phase: 'rdb' | 'stream' | 'behind';
  readonly durable: number;
  readonly memory: Memory | undefined;
}

const periodMs = 500;

export class Sampler {
  phase: Sample['phase'] = 'rdb';
  readonly #child: Child;
  readonly #directory: string;
  readonly #begun = performance.now();
  readonly #samples: Sample[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(child: Child, directory: string) {
    this.#child = child;
    this.#directory = directory;
    this.#timer = setInterval(() => this.#take(), periodMs);
    this.#timer.unref();
  }

  /** What was seen, and the most of each kind of memory. */
  end(): { readonly samples: readonly Sample[]; readonly peak: Memory } {
    clearInterval(this.#timer);
    this.#take();
    const memories = this.#samples.map(({ memory }) => memory).filter((memory) => memory !== undefined);
    if (memories.length === 0) throw new Error('this system does not tell how much memory a process has');
    const most = (pick: (memory: Memory) => number): number => Math.max(...memories.map(pick));
    const peak = { peak: most((m) => m.peak), now: most((m) => m.now), anonymous: most((m) => m.anonymous) };
    return { samples: this.#samples, peak };
  }

  #take(): void {
    const seconds = (performance.now() - this.#begun) / 1000;
    const memory = this.#child.memory();
    const durable = durableOffset(this.#directory);
    this.#samples.push({ seconds, phase: this.phase, durable, memory, ...listFiles(this.#directory) });
  }
}
