/**
 * The way out to a client: a socket, and what is under way on it. A writer asks for room before it sends more, so a slow
 * client holds what feedSocketBytesMax allows, and one piece beside it.
 */
import type { Socket } from 'node:net';
import { Bell } from '../core/bell.ts';
import { LinkError } from '../core/errors.ts';
import type { Slab } from '../core/slabs.ts';

export class Outlet {
  /** Rings when bytes were taken, or the connection ended. */
  readonly #moved = new Bell();
  readonly #socket: Socket;
  readonly #flushed: () => void;
  #sent = 0;

  /** `flushed` is called whenever the client has taken something. */
  constructor(socket: Socket, flushed: () => void) {
    this.#socket = socket;
    this.#flushed = flushed;
    for (const event of ['drain', 'close'] as const) {
      socket.on(event, () => {
        this.#moved.ring();
      });
    }
  }

  /** Bytes that were given to it. */
  get sent(): number {
    return this.#sent;
  }

  /** latin-1, or bytes that stay as they are; those of a slab are retained until they are sent. */
  send(bytes: Buffer | string, slab?: Slab): void {
    slab?.retain();
    this.#sent += bytes.length;
    const taken = (error?: Error | null): void => {
      slab?.release();
      if (error === undefined || error === null) this.#flushed();
    };
    if (typeof bytes === 'string') this.#socket.write(bytes, 'latin1', taken);
    else this.#socket.write(bytes, taken);
  }

  /** Rejects when the client is gone; `requireGoing` is asked each time that it may be of no use to wait. */
  async room(requireGoing: () => void): Promise<void> {
    while (this.#socket.writableNeedDrain && !this.#socket.destroyed) {
      requireGoing();
      await this.#moved.rung();
    }
    if (this.#socket.destroyed) throw new LinkError('replica-gone', 'the client went away', 'never');
  }

  /** Who waits for room asks again whether to go on. */
  wake(): void {
    this.#moved.ring();
  }
}
