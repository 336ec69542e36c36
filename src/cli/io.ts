/**
 * What the command line is given to work with, so that a test can run it with everything its own.
 */
import type { Clock } from '../core/clock.ts';
import type { Environment } from '../daemon/layers.ts';
import type { Disk } from '../storage/disk.ts';

/** The part of a terminal, pipe or file that we use; process.stdout is one. */
export interface TextStream {
  /** Calls back when it has taken all of it, with an error when it never will. */
  write(text: string | Uint8Array, taken?: (error?: Error | null) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface CliIo {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  /** Where a list may come from; nothing when left out. */
  readonly stdin?: AsyncIterable<Uint8Array> | undefined;
  readonly env: Environment;
  readonly disk: Disk;
  readonly clock: Clock;
  /** Aborted when the user wants it to end; the reason is an InterruptedError. */
  readonly signal: AbortSignal;
  /** Asks whoever sits at the terminal; undefined where there is none. */
  readonly ask?: ((question: string) => Promise<string>) | undefined;
}
