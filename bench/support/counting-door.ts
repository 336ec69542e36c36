// CountingDoor: a way from one journal to another that counts what comes over it, and sees in the acknowledgements how far the
// far one is. Told to, it alters the word for the link, so that the plain protocol goes on.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

/** Milliseconds by one clock, and bytes as the journals have them. */
export interface Passage {
  readonly asked: number;
  /** The whole base was received. */
  readonly base: number;
  /** All of the stream was durable. */
  readonly end: number;
}

export class CountingDoor implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  readonly #done = Promise.withResolvers<Passage>();
  readonly #goal: number;
  #asked = 0;
  #base = 0;
  #forwarded = 0;

  private constructor(to: number, hasLink: boolean, goal: number) {
    this.#goal = goal;
    this.#done.promise.catch(() => undefined);
    this.#server = createServer({ noDelay: true }, (inner) => {
      this.#accept(inner, connect({ port: to, host: '127.0.0.1', noDelay: true }), hasLink);
    });
  }

  /** `goal`: the offset that is to be acknowledged. */
  static async open(to: number, hasLink: boolean, goal: number): Promise<CountingDoor> {
    const door = new CountingDoor(to, hasLink, goal);
    door.#server.listen(0, '127.0.0.1');
    await once(door.#server, 'listening');
    return door;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Bytes to the far journal. */
  get forwarded(): number {
    return this.#forwarded;
  }

  done(): Promise<Passage> {
    return this.#done.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(inner: Socket, outer: Socket, hasLink: boolean): void {
    this.#sockets.push(inner, outer);
    for (const [from, into] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      from.on('error', () => into.destroy());
      from.on('close', () => into.destroy());
    }
    outer.on('data', (bytes: Buffer) => {
      this.#forwarded += bytes.length;
    });
    outer.pipe(inner);
    inner.on('data', (bytes: Buffer) => {
      const words = bytes.toString('latin1');
      this.#heard(words);
      outer.write(hasLink ? words : words.replaceAll('journal-link', 'journal-none'), 'latin1');
    });
  }

  #heard(words: string): void {
    const now = performance.now();
    if (words.includes('PSYNC')) this.#asked = now;
    for (const [, offset] of words.matchAll(/\$3\r\nACK\r\n\$\d+\r\n(\d+)\r\n/g)) {
      if (this.#base === 0) this.#base = now;
      if (Number(offset) >= this.#goal) this.#done.resolve({ asked: this.#asked, base: this.#base, end: now });
    }
  }
}
