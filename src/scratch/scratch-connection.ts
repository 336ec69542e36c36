/**
 * A connection to a server of our own, on its Unix socket, for values of any size: of an answer nothing is held but itself,
 * once. client.ts is for servers of others; to load it would take twenty megabytes and most of the time in which a scratch
 * server starts.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { LinkError } from '../core/errors.ts';
import { encodeCommand } from '../redis/commands-out.ts';
import { ReplyStream } from '../redis/reply-stream.ts';

const readBytes = 256 * 1024;

export class ScratchConnection implements Disposable {
  readonly #socket: Socket;
  readonly #asked: PromiseWithResolvers<unknown>[] = [];
  readonly #replies = new ReplyStream((reply) => {
    const asked = this.#asked.shift();
    if (reply instanceof Error) asked?.reject(reply);
    else asked?.resolve(reply);
  });

  private constructor(path: string) {
    const room = Buffer.allocUnsafeSlow(readBytes);
    const callback = (length: number): boolean => {
      this.#take(room.subarray(0, length));
      return true;
    };
    this.#socket = connect({ path, onread: { buffer: room, callback } });
    this.#socket.on('close', () => {
      for (const { reject } of this.#asked.splice(0)) reject(lost());
    });
    // What it means is told by 'close'.
    this.#socket.on('error', () => undefined);
  }

  static async open(path: string): Promise<ScratchConnection> {
    const connection = new ScratchConnection(path);
    await once(connection.#socket, 'connect');
    return connection;
  }

  /** The answer, its bulk strings as bytes; rejects with an error reply. */
  sendCommand<T>(words: readonly (string | Buffer)[]): Promise<T> {
    const asked = Promise.withResolvers<unknown>();
    if (this.#socket.destroyed) asked.reject(lost());
    else {
      this.#asked.push(asked);
      this.#socket.write(encodeCommand(...words));
    }
    return asked.promise as Promise<T>;
  }

  async info(section: string): Promise<string> {
    return String(await this.sendCommand<Buffer>(['INFO', section]));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #take(bytes: Buffer): void {
    try {
      this.#replies.push(bytes);
    } catch (error) {
      this.#asked.shift()?.reject(error);
      this.#socket.destroy();
    }
  }
}

function lost(): LinkError {
  return new LinkError('server-lost', 'the connection to the scratch server was lost', 'never');
}
