/**
 * The client of running servers that are restored to. The package is loaded when the first of them is connected to: it takes
 * a quarter of a second, and most calls of ours talk to no server.
 */
import type { createClient, RedisClientOptions } from 'redis';

export type ServerClient = ReturnType<typeof createClient>;
export type BytesClient = Pick<ServerClient, 'sendCommand' | 'destroy'>;
export type ServerSocket = NonNullable<NonNullable<Parameters<typeof createClient>[0]>['socket']>;

/** `$`: how the package calls strings of bytes. */
const bulkString = 36;

/** It is told of a lost connection by what it is asked next, and never connects again by itself. */
export async function createServerClient(
  options: Pick<RedisClientOptions, 'username' | 'password'> & { readonly socket: ServerSocket },
): Promise<ServerClient> {
  const redis = await import('redis');
  const socket = { ...options.socket, reconnectStrategy: false } as const;
  const client: ServerClient = redis.createClient({ ...options, RESP: 2, socket });
  client.on('error', () => undefined);
  return client;
}

/** The same connection; keys and values are bytes. */
export function bytesClient(client: ServerClient): BytesClient {
  return client.withTypeMapping({ [bulkString]: Buffer });
}

/** What a server answered that refused; undefined when it is not an answer that failed, but the connection. */
export async function refusalIn(error: unknown): Promise<Error | undefined> {
  const { ErrorReply } = await import('redis');
  return error instanceof ErrorReply ? error : undefined;
}
