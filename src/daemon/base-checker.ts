/**
 * The BaseChecker of the daemon: a worker thread that reads the RDB behind its writer, so that checking costs the link
 * nothing. Log hands in the path; here is the thread's life.
 */
import type { Worker } from 'node:worker_threads';
import { StorageError } from '../core/errors.ts';
import type { BaseChecked, BaseChecker } from '../log/base-receiver.ts';
import { startWorker, uncarry } from './workers.ts';
import type { CarriedError } from './workers.ts';

export type CheckRequest =
  { readonly kind: 'available'; readonly size: number } | { readonly kind: 'finish'; readonly size: number };

export type CheckReply =
  | { readonly kind: 'checked'; readonly checked: BaseChecked }
  | { readonly kind: 'error'; readonly error: CarriedError };

/** The thread is told of new bytes in steps of this, not at each write. */
const tellEveryBytes = 8 * 1024 * 1024;

export class WorkerBaseChecker implements BaseChecker {
  readonly #worker: Worker;
  readonly #answer = Promise.withResolvers<BaseChecked>();
  #told = 0;

  constructor(path: string) {
    this.#worker = startWorker('base-check-worker', path);
    this.#answer.promise.catch(() => undefined); // heard in finish(), or by nobody when the sync was broken off
    this.#worker.on('message', (reply: CheckReply) => {
      if (reply.kind === 'checked') this.#answer.resolve(reply.checked);
      else this.#answer.reject(uncarry(reply.error));
    });
    this.#worker.on('error', (cause) => {
      this.#answer.reject(new StorageError('io', `cannot check ${path}: ${String(cause)}`, { cause }));
    });
    this.#worker.on('exit', () => {
      this.#answer.reject(new StorageError('io', `the check of ${path} was broken off`));
    });
  }

  available(size: number): void {
    if (size - this.#told < tellEveryBytes) return;
    this.#told = size;
    this.#worker.postMessage({ kind: 'available', size } satisfies CheckRequest);
  }

  finish(size: number): Promise<BaseChecked> {
    this.#worker.postMessage({ kind: 'finish', size } satisfies CheckRequest);
    return this.#answer.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}
