/**
 * The progress of a restore, one step after the other: bytes of the journal, then what a running server is sent, or compared
 * with. Each begins anew.
 */
import type { ServerStep } from '../restore/outputs/output.ts';
import type { Output } from './output.ts';
import type { Progress } from './progress.ts';
import { formatCount } from './units.ts';

type Step = 'restoring' | ServerStep;

export class StepProgress {
  readonly #output: Output;
  #step: Step | undefined;
  #progress: Progress | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  update(done: number, total: number, step: Step): void {
    if (step !== this.#step) {
      this.stop();
      this.#step = step;
      const isOfKeys = step === 'writing' || step === 'comparing';
      this.#progress = isOfKeys ? this.#output.progress(`${step} keys`, formatCount) : this.#output.progress(step);
    }
    this.#progress?.update(done, total);
  }

  stop(): void {
    this.#progress?.stop();
  }
}
