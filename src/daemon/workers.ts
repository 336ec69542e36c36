/**
 * Worker threads of the daemon: how they are started, from the sources and from dist/ alike, and how an error of ours
 * crosses from one thread to another without losing its code and hint.
 */
import { getPriority, setPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { IntegrityError, StorageError } from '../core/errors.ts';
import type { JournalError } from '../core/errors.ts';

/** What they make lives long, in buffers, or dies at once: by itself V8 would take 48 MB for what has just been made. */
const resourceLimits = { maxYoungGenerationSizeMb: 6 };

/** `name` without ending, beside this file. */
export function startWorker(name: string, workerData: unknown): Worker {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./${name}.${ending}`, import.meta.url), { workerData, resourceLimits });
}

export interface CarriedError {
  readonly kind: 'integrity' | 'storage';
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** What a worker sends of an error; anything that is not ours counts as a failure of the storage. */
export function carry(error: unknown): CarriedError {
  if (error instanceof IntegrityError || error instanceof StorageError) {
    const { code, message, hint } = error;
    return { kind: error instanceof IntegrityError ? 'integrity' : 'storage', code, message, hint };
  }
  return {
    kind: 'storage',
    code: 'io',
    message: error instanceof Error ? error.message : String(error),
    hint: undefined,
  };
}

export function uncarry({ kind, code, message, hint }: CarriedError): JournalError {
  return kind === 'integrity' ? new IntegrityError(code, message, { hint }) : new StorageError(code, message, { hint });
}

const backgroundNice = 10;

/**
 * For threads that must not take the processor from capture. Linux gives every thread a priority of its own; elsewhere
 * this would slow down all of us, so it is left alone. A process that was started with a lower one keeps it: going up
 * is not allowed, and not wanted.
 */
export function yieldToCapture(): void {
  if (process.platform === 'linux') setPriority(Math.max(getPriority(), backgroundNice));
}
