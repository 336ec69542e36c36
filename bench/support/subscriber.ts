// Takes the numbered messages of a channel, as soon as they arrive.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeCommand } from '../../src/redis/commands-out.ts';

export class Subscriber implements AsyncDisposable {
  readonly #socket: Socket;
  #count = 0;

  private constructor(port: number, take: (n: number) => void) {
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.setNoDelay(true);
    let rest = '';
    this.#socket.on('data', (bytes: Buffer) => {
      rest += bytes.toString('latin1');
      const messages = [...rest.matchAll(/\$7\r\nmessage\r\n\$\d+\r\n\w+\r\n\$\d+\r\n(\d+)\r\n/g)];
      for (const [, n] of messages) take(Number(n));
      this.#count += messages.length;
      const last = messages.at(-1);
      if (last !== undefined) rest = rest.slice(last.index + last[0].length);
    });
  }

  /** Resolves when no message can be missed any more. */
  static async to(port: number, channel: string, take: (n: number) => void): Promise<Subscriber> {
    const subscriber = new Subscriber(port, take);
    subscriber.#socket.write(encodeCommand('SUBSCRIBE', channel));
    await once(subscriber.#socket, 'data');
    return subscriber;
  }

  /** Resolves when so many have come. */
  async got(count: number): Promise<void> {
    while (this.#count < count) await sleep(10);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await once(this.#socket, 'close');
  }
}
