// RespClient: a raw RESP2 connection for tests: bytes in, bytes out, nothing interpreted, nothing retried.
// Neighbours: redis-server.ts hands out connected ones, workload.ts and fingerprint.ts talk through it. node-redis is
// for the program itself; here replies must arrive exactly as the server gave them.
// Invariant: replies come back in the order of the calls, and none is left waiting once the connection has ended.
import { createConnection, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import RedisParser from 'redis-parser';

export type Arg = string | number | bigint | Uint8Array;
export type Command = readonly Arg[];

/** Bulk and simple strings arrive as Buffer, integers beyond 2^53 as bigint, errors inside arrays as values. */
export type Reply = Buffer | number | bigint | null | ReplyError | Reply[];

/** An error reply, for example `WRONGTYPE Operation against a key...`. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
}

export interface RespTarget {
  readonly host?: string;
  readonly port?: number;
  /** A unix socket, in place of host and port. */
  readonly path?: string;
  readonly username?: string;
  readonly password?: string;
  /** PEM texts; the server's name is not checked. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class RespClient implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  /** Resolved when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  #ended = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const parser = new RedisParser({
      returnBuffers: true,
      stringNumbers: true,
      returnReply: (reply: unknown) => this.#waiting.shift()?.resolve(toReply(reply)),
      returnError: (error) => this.#waiting.shift()?.reject(toReplyError(error)),
      returnFatalError: (error) => socket.destroy(error),
    });
    let failure: Error | undefined;
    socket.on('data', (chunk: Buffer) => parser.execute(chunk));
    socket.on('error', (error) => (failure = error));
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#ended = true;
        const error = new Error('the connection has ended', { cause: failure });
        for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
        resolve();
      });
    });
  }

  static async connect(target: RespTarget): Promise<RespClient> {
    const client = new RespClient(await openSocket(target));
    if (target.password !== undefined) {
      const user = target.username === undefined ? [] : [target.username];
      await client.call('AUTH', ...user, target.password);
    }
    return client;
  }

  /** One command; an error reply is thrown as ReplyError. */
  call(...args: Command): Promise<Reply> {
    return this.#send([args])[0] ?? Promise.reject(new Error('nothing was sent'));
  }

  /** The reply as text, for commands whose reply is one. */
  async text(...args: Command): Promise<string> {
    return replyText(await this.call(...args));
  }

  /** Sends all commands at once; error replies are returned in their place. */
  async callMany(commands: readonly Command[]): Promise<Reply[]> {
    const replies = this.#send(commands).map((reply) =>
      reply.catch((error: unknown) => {
        if (error instanceof ReplyError) return error;
        throw error;
      }),
    );
    return Promise.all(replies);
  }

  #send(commands: readonly Command[]): Promise<Reply>[] {
    if (this.#ended) throw new Error('the connection has ended');
    const replies = commands.map(
      () => new Promise<Reply>((resolve, reject) => void this.#waiting.push({ resolve, reject })),
    );
    this.#socket.write(Buffer.concat(commands.map(encodeCommand)));
    return replies;
  }

  async close(): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A command as clients and the replication stream write it: an array of bulk strings. */
export function encodeCommand(args: Command): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = arg instanceof Uint8Array ? arg : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** A string or integer reply as text. */
export function replyText(reply: Reply | undefined): string {
  if (Buffer.isBuffer(reply)) return reply.toString();
  if (typeof reply === 'number' || typeof reply === 'bigint') return String(reply);
  throw unexpected('a string', reply);
}

export function replyBytes(reply: Reply | undefined): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw unexpected('a string', reply);
}

export function replyNumber(reply: Reply | undefined): number {
  if (typeof reply === 'number') return reply;
  throw unexpected('a number', reply);
}

export function replyList(reply: Reply | undefined): Reply[] {
  if (Array.isArray(reply)) return reply;
  throw unexpected('an array', reply);
}

/** A flat array of names and values, as RESP2 writes maps. */
export function replyMap(reply: Reply | undefined): Map<string, Reply> {
  const list = replyList(reply);
  const map = new Map<string, Reply>();
  for (let index = 0; index + 1 < list.length; index += 2) map.set(replyText(list[index]), list[index + 1] ?? null);
  return map;
}

function unexpected(wanted: string, reply: Reply | undefined): Error {
  if (reply instanceof ReplyError) return reply;
  return new Error(`expected ${wanted}, got ${reply === undefined ? 'nothing' : String(reply)}`);
}

function openSocket(target: RespTarget): Promise<Socket> {
  const { host = '127.0.0.1', port = 6379, path, tls } = target;
  const address = path === undefined ? { host, port } : { path };
  return new Promise((resolve, reject) => {
    const socket =
      tls === undefined
        ? createConnection(address, () => settle())
        : connectTls({ ...address, ...tls, checkServerIdentity: () => undefined }, () => settle());
    socket.once('error', reject);
    const settle = (): void => {
      socket.off('error', reject);
      if (path === undefined) socket.setNoDelay(true);
      resolve(socket);
    };
  });
}

/** With stringNumbers the parser gives integers as strings, and everything that was a string as a Buffer. */
function toReply(value: unknown): Reply {
  if (typeof value === 'string') return toInteger(value);
  if (Array.isArray(value)) return value.map(toReply);
  if (value instanceof Error) return toReplyError(value);
  return Buffer.isBuffer(value) ? value : null;
}

function toInteger(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** The parser's own error shows its own stack, and a test wants the text only. */
function toReplyError(error: Error): ReplyError {
  return new ReplyError(error.message);
}
