/**
 * The SealFunction of the daemon: hands each segment to the sealing thread and waits for its word. The sealer
 * (log/sealer.ts) asks for one at a time.
 */
import type { Worker } from 'node:worker_threads';
import { StorageError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
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

  /** Not to be called again before it returned. */
  seal(path: string, end: Offset): Promise<Sealed | undefined> {
    this.#worker ??= startWorker('seal-worker', undefined);
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
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
