/**
 * Asks the primary for its time and offset ten times a second, on a side connection of its own, for as long as we run:
 * also while the link is down and during a full sync, since what it learns then tells when the bytes were written that
 * come later. Nothing depends on it: whatever goes wrong here is told and tried again, and capture goes on.
 *
 * Invariants: one question at a time; attempts are spaced by core/retry.ts, and the spacing shrinks only when samples
 * have come for a while, so that a server that takes us and drops us again is not asked more and more.
 */
import type { Clock } from '../core/clock.ts';
import { JournalError, LinkError } from '../core/errors.ts';
import { retryDelayMs } from '../core/retry.ts';
import { formatAddress } from './address.ts';
import type { Credentials, SourceAddress, TlsSettings } from './address.ts';
import type { Connect } from './connect.ts';
import { SideConnection } from './side-connection.ts';
import { readSample, sampleCommands } from './source-sample.ts';
import type { SourceSample } from './source-sample.ts';

export interface SamplerOptions {
  readonly address: SourceAddress;
  readonly credentials: Credentials;
  readonly tls: TlsSettings;
  readonly connect: Connect;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly events: SamplerEvents;
}

export interface SamplerEvents {
  sampled(sample: SourceSample): void;
  /** Samples have stopped coming. Told once for each reason until they come again; meanwhile it tries on. */
  lost(error: LinkError): void;
}

const periodMs = 100;
/** A server that is stuck in a script answers later than this; it is asked again on a new connection. */
const answerTimeoutMs = 1_000;
/** After as many samples the server is taken to be well again: five seconds. */
const steadySamples = 50;
/** Missing permissions and wrong passwords are mended by people. */
const hopelessDelayMs = 60_000;

export class Sampler {
  readonly #options: SamplerOptions;
  #attempt = 0;
  #pause = new AbortController();
  /** Of the last loss, until a sample comes. */
  #toldOf: string | undefined;

  constructor(options: SamplerOptions) {
    this.#options = options;
  }

  /** Resolves when `signal` stops it. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    for (;;) {
      try {
        await this.#sampleUntilLost(signal);
      } catch (error) {
        if (signal.aborted) return;
        const lost = asLinkError(error);
        this.#tell(lost);
        this.#attempt += 1;
        const delayMs = lost.retry === 'never' ? hopelessDelayMs : retryDelayMs(lost.retry, this.#attempt, random());
        this.#pause = new AbortController();
        await clock.sleep(delayMs, AbortSignal.any([signal, this.#pause.signal])).catch(() => undefined);
      }
    }
  }

  /** The server is known to answer: tries now, if it was waiting to try again. Not to be called more often than links are made. */
  hurry(): void {
    this.#pause.abort();
  }

  /** Ends by throwing only. */
  async #sampleUntilLost(signal: AbortSignal): Promise<never> {
    const { clock, address, events } = this.#options;
    const source = formatAddress(address);
    using side = await SideConnection.open({ ...this.#options, timeoutMs: answerTimeoutMs }, signal);
    for (let count = 1; ; count += 1) {
      const sentAt = clock.monotonic();
      const replies = await side.transaction(sampleCommands);
      const receivedAt = clock.monotonic();
      signal.throwIfAborted();
      const sample = readSample(replies, { sentAt, receivedAt, source });
      this.#toldOf = undefined;
      if (count === steadySamples) this.#attempt = 0;
      events.sampled(sample);
      await clock.sleep(Math.max(0, periodMs - (receivedAt - sentAt) / 1000), signal);
    }
  }

  #tell(error: LinkError): void {
    if (this.#toldOf === error.code) return;
    this.#toldOf = error.code;
    this.#options.events.lost(error);
  }
}

/** Certificates that cannot be used end the link as well; here they are one more reason to have no samples. */
function asLinkError(error: unknown): LinkError {
  if (error instanceof LinkError) return error;
  if (!(error instanceof JournalError)) throw error;
  return new LinkError(error.code, error.message, 'never', { hint: error.hint, cause: error });
}
