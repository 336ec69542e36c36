// Door: a way to a server on which something happens, once it was armed, before the next bytes with a word go through, or on
// which that word becomes another.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

interface Armed {
  happen?: (() => Promise<void>) | undefined;
}

export class Door implements AsyncDisposable {
  readonly port: number;
  readonly #close: () => Promise<void>;
  readonly #armed: Armed;

  private constructor(port: number, armed: Armed, close: () => Promise<void>) {
    this.port = port;
    this.#armed = armed;
    this.#close = close;
  }

  /** `instead` of the word goes through. */
  static async open(to: number, word: string, instead = word): Promise<Door> {
    const sockets = new Set<Socket>();
    const armed: Armed = {};
    const server = createServer((inner) => {
      const outer = connect(to, '127.0.0.1');
      for (const [from, into] of [
        [inner, outer],
        [outer, inner],
      ] as const) {
        sockets.add(from);
        from.on('error', () => into.destroy());
        from.on('close', () => into.destroy());
      }
      outer.pipe(inner);
      let before = Promise.resolve();
      inner.on('data', (bytes: Buffer) => {
        before = before.then(async () => {
          if (!bytes.includes(word)) {
            outer.write(bytes);
            return;
          }
          const { happen } = armed;
          armed.happen = undefined;
          await happen?.();
          outer.write(bytes.toString('latin1').replaceAll(word, instead), 'latin1');
        });
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Door((server.address() as AddressInfo).port, armed, async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });
  }

  arm(happen: () => Promise<void>): void {
    this.#armed.happen = happen;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}
