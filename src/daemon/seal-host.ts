/**
 * The SealFunction of the daemon: hands each segment to the sealing thread and waits for its word. The sealer
 * (log/sealer.ts) asks for one at a time. A thread that yielded to capture may not take that back (Linux lets only the
 * privileged), so that another pace is another thread.
 */
import type { Worker } from 'node:worker_threads';
import { StorageError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { SealPace } from '../log/sealer.ts';
import type { Sealed } from '../log/sealing.ts';
import { startWorker, uncarry } from './workers.ts';
import type { CarriedError } from './workers.ts';

export interface SealRequest {
  readonly path: string;
  readonly end: Offset;
}

export type SealReply =
  | { readonly kind: 'sealed'; readonly sealed: Sealed | undefined }
  | { readonly kind: 'error'; readonly error: CarriedError };

export class SealHost implements AsyncDisposable {
  #worker: Worker | undefined;
  #pace: SealPace = 'background';

  /** Not to be called again before it returned. */
  async seal(path: string, end: Offset, pace: SealPace): Promise<Sealed | undefined> {
    if (pace !== this.#pace) {
      await this.#worker?.terminate();
      this.#worker = undefined;
    }
    this.#pace = pace;
    this.#worker ??= startWorker('seal-worker', pace satisfies SealPace);
    const worker = this.#worker;
    return await new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        worker.off('message', onMessage).off('exit', onExit).off('error', onError);
        act();
      };
      const onMessage = (reply: SealReply): void => {
        settle(() => {
          if (reply.kind === 'sealed') resolve(reply.sealed);
          else reject(uncarry(reply.error));
        });
      };
      const onError = (cause: unknown): void => {
        this.#worker = undefined;
        settle(() => {
          reject(new StorageError('io', `cannot seal ${path}: ${String(cause)}`, { cause }));
        });
      };
      const onExit = (): void => {
        onError('the sealing thread ended');
      };
      worker.on('message', onMessage).on('exit', onExit).on('error', onError);
      worker.postMessage({ path, end } satisfies SealRequest);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate();
  }
}
