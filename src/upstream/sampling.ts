/** Keeps one sampler running: on the server that is followed now. */
import { formatAddress } from './address.ts';
import type { SourceAddress } from './address.ts';
import { Sampler } from './sampler.ts';
import type { SamplerOptions } from './sampler.ts';

export class Sampling implements AsyncDisposable {
  readonly #options: Omit<SamplerOptions, 'address'>;
  #source: string | undefined;
  #sampler: Sampler | undefined;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: Omit<SamplerOptions, 'address'>) {
    this.#options = options;
  }

  /** There is a link to this server: samples it from now on, and no other. */
  point(address: SourceAddress): void {
    const source = formatAddress(address);
    if (source === this.#source) {
      this.#sampler?.hurry();
      return;
    }
    this.#source = source;
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#sampler = new Sampler({ ...this.#options, address });
    this.#running = runAfter(this.#running, this.#sampler, this.#stop.signal);
  }

  /** No server is sampled any more. */
  rest(): void {
    this.#source = undefined;
    this.#stop.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** The sampler before has ended first, so that no sample of its server comes after one of this. */
async function runAfter(before: Promise<void>, sampler: Sampler, signal: AbortSignal): Promise<void> {
  await before;
  await sampler.run(signal);
}
