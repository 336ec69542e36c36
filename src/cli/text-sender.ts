/**
 * Standard output as a pipe: nothing more is made than the reader takes, and when nobody reads any more (`| head`), that is
 * an end like any other.
 */
import { StorageError } from '../core/errors.ts';
import type { TextStream } from './io.ts';

/** Nobody reads any more. */
export class ReaderGone extends Error {}

export class TextSender {
  readonly #stream: TextStream;

  constructor(stream: TextStream) {
    this.#stream = stream;
  }

  /** The same for what has no other way to end; throws ReaderGone. */
  readonly sendAll = async (text: string | Uint8Array): Promise<void> => {
    if (!(await this.send(text))) throw new ReaderGone();
  };

  /** Resolves when it is taken; false: nobody reads any more. */
  send(text: string | Uint8Array): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#stream.write(text, (error) => {
        if (error === undefined || error === null) resolve(true);
        else if ('code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED')) resolve(false);
        else if (error instanceof StorageError) reject(error);
        else reject(new StorageError('io', `cannot write to standard output: ${error.message}`, { cause: error }));
      });
    });
  }
}
