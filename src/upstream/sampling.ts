/** Keeps one sampler running: on the server that is followed now. */
import { formatAddress } from './address.ts';
import type { SourceAddress } from './address.ts';
import { Sampler } from './sampler.ts';
import type { SamplerOptions } from './sampler.ts';

export class Sampling implements AsyncDisposable {
  readonly #options: Omit<SamplerOptions, 'address'>;
  #source: string | undefined;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: Omit<SamplerOptions, 'address'>) {
    this.#options = options;
  }

  /** Samples this server from now on, and no other. */
  point(address: SourceAddress): void {
    const source = formatAddress(address);
    if (source === this.#source) return;
    this.#source = source;
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#running = this.#run(this.#running, address, this.#stop.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** The sampler before has ended first, so that no sample of its server comes after one of this. */
  async #run(before: Promise<void>, address: SourceAddress, signal: AbortSignal): Promise<void> {
    await before;
    await new Sampler({ ...this.#options, address }).run(signal);
  }
}
