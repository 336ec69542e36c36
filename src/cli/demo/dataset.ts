/**
 * The demo's application: a small shop with customers, carts, sessions that expire, a ranking and an order stream. Enough
 * of everything that a dataset can hold, small enough to be filled in a blink.
 */
import type { ScratchConnection } from '../../scratch/scratch-connection.ts';

const customers = 2_000;
const tradesPerRound = 20_000;
const batch = 500;

/** Fills the shop; returns the number of keys. */
export async function fillShop(client: ScratchConnection): Promise<number> {
  const commands: string[][] = [];
  for (let i = 0; i < customers; i += 1) {
    commands.push([
      'HSET',
      `customer:${i}`,
      'name',
      `Customer ${i}`,
      'city',
      cities[i % cities.length] ?? '',
      'visits',
      '1',
    ]);
    commands.push(['RPUSH', `cart:${i}`, `article-${i % 97}`, `article-${i % 89}`]);
    commands.push(['SET', `session:${i}`, `token-${i}`, 'EX', String(3600 + i)]);
    commands.push(['ZADD', 'ranking', String(i % 500), `customer:${i}`]);
  }
  await send(client, commands);
  return Number(await client.sendCommand(['DBSIZE']));
}

/** Live traffic: orders as transactions, and everything that goes with them. Returns the number of commands. */
export async function keepTrading(client: ScratchConnection, round: number, signal: AbortSignal): Promise<number> {
  let sent = 0;
  while (sent < tradesPerRound) {
    signal.throwIfAborted();
    const commands: string[][] = [];
    for (let i = 0; i < batch / 5; i += 1) {
      const customer = String((sent * 7 + i * 13 + round) % customers);
      commands.push(['MULTI']);
      commands.push(['XADD', 'orders', '*', 'customer', customer, 'round', String(round)]);
      commands.push(['INCR', 'orders:count']);
      commands.push(['EXEC']);
      commands.push(['HINCRBY', `customer:${customer}`, 'visits', '1']);
    }
    await send(client, commands);
    sent += commands.length;
  }
  return sent;
}

const cities = ['Lisbon', 'Oslo', 'Kraków', 'Valencia', 'Ghent', 'Tallinn'];

async function send(client: ScratchConnection, commands: readonly string[][]): Promise<void> {
  for (let at = 0; at < commands.length; at += batch) {
    await Promise.all(commands.slice(at, at + batch).map((command) => client.sendCommand(command)));
  }
}
