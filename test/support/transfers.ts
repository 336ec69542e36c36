// Transfers: money moved between accounts in MULTI, as fast as the server takes it. Whatever instant is restored, the
// sum is what it was at the beginning, or the cut went through a transaction.
// Neighbours: workload.ts for variety in place of speed. Invariant: within a db the sum of all accounts is constant
// from its first transaction on, and `transfers` counts the transactions, so that none is missing before the cut.
import { Random } from './random.ts';
import { type Command, type RespClient, ReplyError, replyBytes, replyList } from './resp-client.ts';

export interface TransferOptions {
  readonly seed: number;
  /** Ends the transfers; what has been sent is still waited for. */
  readonly signal: AbortSignal;
  readonly dbs?: readonly number[];
  readonly accounts?: number;
  readonly balance?: number;
  /** Transactions sent at once. */
  readonly batch?: number;
  /** Waited for before each batch; by default only the next turn of the event loop, so at full speed. */
  readonly turn?: () => Promise<void>;
}

export interface Totals {
  readonly sum: number;
  /** Transactions so far, opening included. */
  readonly transfers: number;
}

const counterKey = 'transfers';

/** Opens the accounts, moves money until the signal; returns the number of transactions per db. */
export async function runTransfers(client: RespClient, options: TransferOptions): Promise<Map<number, number>> {
  const { seed, signal, dbs = [0, 11], accounts = 50, balance = 1000, batch = 64, turn = nextTurn } = options;
  const random = new Random(seed);
  const counts = new Map<number, number>();
  for (const db of dbs) {
    const opening = Array.from({ length: accounts }, (_, index) => [accountKey(index), balance]).flat();
    await exchange(client, [['SELECT', db], ['MULTI'], ['MSET', ...opening], ['INCR', counterKey], ['EXEC']]);
    counts.set(db, 1);
  }
  // Two batches under way, so that the server never waits for us.
  let before: Promise<void> = Promise.resolve();
  while (!signal.aborted) {
    const db = random.pick(dbs);
    const commands: Command[] = [['SELECT', db]];
    for (let left = batch; left > 0; left--) commands.push(...transfer(random, accounts));
    counts.set(db, (counts.get(db) ?? 0) + batch);
    const current = exchange(client, commands);
    // Thrown when it is waited for, which may be a while later.
    current.catch(() => undefined);
    await Promise.all([before, turn()]);
    before = current;
  }
  await before;
  return counts;
}

/** The totals of one db, in one command; undefined if its accounts have not been opened. */
export async function readTotals(client: RespClient, db: number, accounts = 50): Promise<Totals | undefined> {
  await client.call('SELECT', db);
  const names = Array.from({ length: accounts }, (_, index) => accountKey(index));
  const replies = replyList(await client.call('MGET', counterKey, ...names));
  if (replies.every((reply) => reply === null)) return undefined;
  const [transfers = 0, ...balances] = replies.map((reply) => Number(replyBytes(reply).toString()));
  return { transfers, sum: balances.reduce((sum, value) => sum + value, 0) };
}

function transfer(random: Random, accounts: number): Command[] {
  const amount = random.between(1, 100);
  const [from, to] = [random.below(accounts), random.below(accounts)].map(accountKey);
  return [['MULTI'], ['DECRBY', from ?? '', amount], ['INCRBY', to ?? '', amount], ['INCR', counterKey], ['EXEC']];
}

function accountKey(index: number): string {
  return `account:${index}`;
}

async function exchange(client: RespClient, commands: readonly Command[]): Promise<void> {
  const replies = await client.callMany(commands);
  const error = replies.find((reply) => reply instanceof ReplyError);
  if (error !== undefined) throw error;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
