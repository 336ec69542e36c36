// A journal that is attached to a real primary: when it is, and when it has everything.
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisServer } from '../../test/support/redis-server.ts';
import { durableOffset } from './journal.ts';

/** The full sync is over. */
export async function attached(server: RedisServer): Promise<void> {
  await using client = await server.connect();
  while (!/slave0:.*state=online/.test(await client.text('INFO', 'replication'))) await sleep(50);
}

/** All that the primary has written is durable. */
export async function caughtUp(server: RedisServer, journal: string): Promise<void> {
  await using client = await server.connect();
  const info = await client.text('INFO', 'replication');
  const goal = Number(/^master_repl_offset:(\d+)/m.exec(info)?.[1]);
  while (durableOffset(journal) < goal) await sleep(100);
}
