/**
 * Progress on stderr: a bar on a terminal, a line every ten seconds elsewhere. What takes less than a second shows
 * nothing at all.
 */
import { SingleBar } from 'cli-progress';
import type { Clock, Micros } from '../core/clock.ts';
import type { TextStream } from './io.ts';
import { formatBytes, formatSeconds } from './units.ts';

export interface Progress {
  /** How much is done, and in all where that is known. */
  update(done: number, total: number | undefined): void;
  /** Takes the bar away. May be called twice. */
  stop(): void;
}

/** An amount in words: of bytes, unless it is said otherwise. */
export type FormatAmount = (amount: number) => string;

const quietMicros: Micros = 1_000_000;
const lineEveryMicros: Micros = 10_000_000;

/** `stream` undefined: says nothing. */
export function openProgress(
  stream: TextStream | undefined,
  clock: Clock,
  label: string,
  format: FormatAmount = formatBytes,
): Progress {
  if (stream === undefined) return silent;
  return stream.isTTY === true ? new Bar(stream, clock, label, format) : new Lines(stream, clock, label, format);
}

const silent: Progress = { update: () => undefined, stop: () => undefined };

class Bar implements Progress {
  readonly #clock: Clock;
  readonly #begun: Micros;
  readonly #bar: SingleBar;
  readonly #format: FormatAmount;
  #isShown = false;

  constructor(stream: TextStream, clock: Clock, label: string, format: FormatAmount) {
    this.#format = format;
    this.#clock = clock;
    this.#begun = clock.monotonic();
    this.#bar = new SingleBar({
      // What it needs of a stream is in TextStream; its types ask for all of one.
      stream: stream as unknown as NodeJS.WritableStream,
      format: `${label}  {bar}  {percentage} %  {done} of {all}  {rate}/s`,
      barCompleteChar: '━',
      barIncompleteChar: ' ',
      barsize: 30,
      hideCursor: true,
      clearOnComplete: true,
      fps: 5,
    });
  }

  update(done: number, total: number | undefined): void {
    const elapsed = this.#clock.monotonic() - this.#begun;
    if (elapsed < quietMicros) return;
    const all = total ?? done;
    const rate = this.#format(Math.round((done * 1_000_000) / elapsed));
    const shown = { done: this.#format(done), all: total === undefined ? '?' : this.#format(total), rate };
    if (this.#isShown) {
      this.#bar.setTotal(all);
      this.#bar.update(done, shown);
    } else {
      this.#isShown = true;
      this.#bar.start(all, done, shown);
    }
  }

  stop(): void {
    if (this.#isShown) this.#bar.stop();
    this.#isShown = false;
  }
}

class Lines implements Progress {
  readonly #stream: TextStream;
  readonly #clock: Clock;
  readonly #label: string;
  readonly #format: FormatAmount;
  readonly #begun: Micros;
  #next: Micros;

  constructor(stream: TextStream, clock: Clock, label: string, format: FormatAmount) {
    this.#format = format;
    this.#stream = stream;
    this.#clock = clock;
    this.#label = label;
    this.#begun = clock.monotonic();
    this.#next = this.#begun + lineEveryMicros;
  }

  update(done: number, total: number | undefined): void {
    const now = this.#clock.monotonic();
    if (now < this.#next) return;
    this.#next = now + lineEveryMicros;
    const share =
      total === undefined || total === 0 ? '' : ` of ${this.#format(total)} (${Math.floor((done / total) * 100)} %)`;
    const elapsed = formatSeconds((now - this.#begun) / 1_000_000);
    this.#stream.write(`journal: ${this.#label}: ${this.#format(done)}${share} after ${elapsed}\n`);
  }

  stop(): void {
    this.#next = Infinity;
  }
}
