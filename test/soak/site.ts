// Site: a primary, its replica, and a journal that follows whichever of the two is the primary, through a tap that stands
// for the primary's address. Here is what can happen to them; faults.ts says when and what must come of it.
//
//   server ⇄ server       tap ◄── journal (stopped, killed, started again)
//      ▲ the primary ◄─────┘
//
// Invariant: between faults both are attached to the primary, and nothing else follows it, so WAIT 2 means "journaled,
// and known to the one that would be promoted".
import path from 'node:path';
import { eventually } from '../support/eventually.ts';
import { type JournalLine, JournalProcess } from '../support/journal-process.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type RespClient, replyNumber } from '../support/resp-client.ts';
import type { ServerBinary } from '../support/servers.ts';
import { Tap } from '../support/tap.ts';

const config = {
  'repl-backlog-size': '256mb',
  'repl-ping-replica-period': '1',
  // One in a day: what matters is that an orderly end saves the dataset.
  save: '86400 1',
};

export class Site implements AsyncDisposable {
  readonly binary: ServerBinary;
  readonly tap: Tap;
  readonly dir: string;
  #primary: RedisServer;
  #replica: RedisServer;
  /** Every life of the journal, the present one last. */
  readonly lives: JournalProcess[] = [];

  private constructor(primary: RedisServer, replica: RedisServer, tap: Tap, directory: string) {
    this.binary = primary.binary;
    this.#primary = primary;
    this.#replica = replica;
    this.tap = tap;
    this.dir = path.join(directory, 'journal-data');
  }

  /** The journal's directory is made in `directory`. */
  static async start(binary: ServerBinary, directory: string): Promise<Site> {
    const [primary, replica] = await Promise.all([1, 2].map(() => RedisServer.start(binary, { config })));
    if (primary === undefined || replica === undefined) throw new Error('two servers were to be started');
    const site = new Site(primary, replica, await Tap.start(primary, { keepsBytes: false }), directory);
    await site.#attachReplica();
    await site.startJournal().waitFor('ready', { timeoutMs: 60_000 });
    return site;
  }

  get primary(): RedisServer {
    return this.#primary;
  }

  get journal(): JournalProcess {
    const journal = this.lives.at(-1);
    if (journal === undefined) throw new Error('no journal has been started');
    return journal;
  }

  /** What the journal has logged of this event, in all of its lives. */
  logged(event: string): JournalLine[] {
    return this.lives.flatMap((life) => life.of(event));
  }

  startJournal(): JournalProcess {
    const journal = JournalProcess.start({ source: `redis://127.0.0.1:${this.tap.port}`, dir: this.dir });
    this.lives.push(journal);
    return journal;
  }

  /** Replica and journal have all that the primary has, or an error after a minute. */
  async settled(): Promise<void> {
    let last = '';
    try {
      await eventually(
        'replica and journal to be level with the primary',
        async () => {
          await using client = await this.#primary.connect();
          last = await client.text('INFO', 'replication');
          await client.call('SELECT', 12);
          await client.call('SET', 'settled', Date.now());
          return replyNumber(await client.call('WAIT', 2, 2000)) >= 2;
        },
        { timeoutMs: 60_000, everyMs: 200 },
      );
    } catch (error) {
      const { stderr, isRunning } = this.journal;
      throw new Error(`${last}\nthe journal ${isRunning ? 'runs' : 'has ended'}:\n${stderr.slice(-4000)}`, {
        cause: error,
      });
    }
  }

  async withPrimary<T>(work: (client: RespClient) => Promise<T>): Promise<T> {
    await using client = await this.#primary.connect();
    return await work(client);
  }

  /** By FAILOVER, which loses nothing. */
  async failOver(): Promise<void> {
    const [old, chosen] = [this.#primary, this.#replica];
    await this.withPrimary((client) => client.call('FAILOVER', 'TO', '127.0.0.1', chosen.port, 'TIMEOUT', 10_000));
    await eventually('the replica to be promoted', async () => {
      await using client = await chosen.connect();
      return (await client.text('INFO', 'replication')).includes('role:master');
    });
    this.#promoted(chosen, old);
  }

  /** The primary dies, the replica is promoted with what it has, and the old one comes back as its replica. */
  async loseThePrimary(): Promise<void> {
    const [old, chosen] = [this.#primary, this.#replica];
    await old.kill9();
    await using client = await chosen.connect();
    await client.call('REPLICAOF', 'NO', 'ONE');
    this.#promoted(chosen, old);
    await old.restart();
    await this.#attachReplica();
  }

  /** It saves its dataset, ends, and comes back with it. */
  async restartThePrimary(): Promise<void> {
    await this.#primary.restart();
  }

  async restartTheReplica(): Promise<void> {
    await this.#replica.restart();
    await this.#attachReplica();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const life of this.lives) await life[Symbol.asyncDispose]();
    await this.tap[Symbol.asyncDispose]();
    await this.#primary[Symbol.asyncDispose]();
    await this.#replica[Symbol.asyncDispose]();
  }

  /** The address now is that of the promoted one. */
  #promoted(chosen: RedisServer, old: RedisServer): void {
    [this.#primary, this.#replica] = [chosen, old];
    this.tap.redirect(chosen);
    this.tap.cut();
  }

  async #attachReplica(): Promise<void> {
    await using client = await this.#replica.connect();
    await client.call('REPLICAOF', '127.0.0.1', this.#primary.port);
  }
}
