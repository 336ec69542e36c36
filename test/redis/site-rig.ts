// Two sites, and the steps of a runbook between them: each is run as it stands there, and must say what stands behind it.
import path from 'node:path';
import { expect } from 'vitest';
import type { Status } from '../../src/daemon/status.ts';
import { cli, json } from '../cli/cli.ts';
import type { CliResult } from '../cli/cli.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import type { JournalProcess } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { freePort, RedisServer } from '../support/redis-server.ts';
import type { RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import type { ServerBinary } from '../support/servers.ts';
import { Tap } from '../support/tap.ts';
import { fullSyncs, primaryOffset, startJournal } from './capture-rig.ts';
import { password } from './feed-rig.ts';

export interface Step {
  readonly site: 'A' | 'B';
  readonly command: string;
  /** What stands behind it. */
  readonly must: string;
}

/** The discard service. */
const nowhere = 9;

/** Two sites: a server and a journal at each; taps are on the way of the journal of B to that of A, and of that to `r.b`. */
export class Sites implements AsyncDisposable {
  readonly binary: ServerBinary;
  readonly #ports: Readonly<Record<string, number>>;
  readonly #taps: Readonly<Record<'A' | 'B', Tap>>;
  #isCutOff = false;
  readonly journals = new Map<string, JournalProcess>();
  readonly #directories = { A: temporaryDirectory('site'), B: temporaryDirectory('site') };
  #p: RedisServer;
  readonly r: RedisServer;
  readonly clients = new Map<string, RespClient>();

  private constructor(p: RedisServer, r: RedisServer, taps: Record<'A' | 'B', Tap>, ports: readonly [number, number]) {
    this.binary = p.binary;
    this.#p = p;
    this.r = r;
    this.#taps = taps;
    this.#ports = { 'p.a:6379': p.port, 'r.b:6379': r.port, 'journal.a:6380': ports[0], 'journal.b:6380': ports[1] };
  }

  /** `setUp`: how each is told to follow. */
  static async start(binary: ServerBinary, setUp: readonly Step[]): Promise<Sites> {
    const ports = [await freePort(), await freePort()] as const;
    const [p, r] = [await startServer(binary), await startServer(binary)];
    const taps = { A: await Tap.start(r), B: await Tap.start({ port: ports[0] }) };
    const sites = new Sites(p, r, taps, ports);
    sites.clients.set('p.a', await p.connect());
    sites.clients.set('r.b', await r.connect());
    await sites.write('p.a', 'first');
    await sites.follow(setUp);
    await eventually('the replica to be level', () => sites.isLevel('p.a', 'r.b'), { timeoutMs: 20_000 });
    return sites;
  }

  client(name: 'p.a' | 'r.b'): RespClient {
    const client = this.clients.get(name);
    if (client === undefined) throw new Error(`nobody is connected to ${name}`);
    return client;
  }

  journal(name: 'journal.a' | 'journal.b'): JournalProcess {
    const journal = this.journals.get(name);
    if (journal === undefined) throw new Error(`${name} was not started`);
    return journal;
  }

  async write(name: 'p.a' | 'r.b', prefix: string, count = 100): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      await this.client(name).call('HSET', `${prefix}:${i}`, 'n', i, 'text', 'x'.repeat(i));
      await this.client(name).call('PEXPIREAT', `${prefix}:${i}`, Date.now() + 86_400_000 + i);
    }
  }

  async isLevel(one: 'p.a' | 'r.b', other: 'p.a' | 'r.b'): Promise<boolean> {
    const offsets = [await primaryOffset(this.client(one)), await primaryOffset(this.client(other))];
    return offsets[0] === offsets[1];
  }

  async expectSame(): Promise<void> {
    await eventually('both to be level', () => this.isLevel('p.a', 'r.b'), { timeoutMs: 30_000 });
    const [p, r] = await Promise.all([
      fingerprint(this.client('p.a'), this.binary),
      fingerprint(this.client('r.b'), this.binary),
    ]);
    expect(explainDifference(p, r)).toEqual([]);
    expect(r.position, this.#course()).toEqual(p.position);
  }

  /** Neither the journal of A nor a replica of it took one; `before`: how many there had been, at the beginning. */
  async expectNoFullSync({ before }: { readonly before: number }): Promise<void> {
    expect(await fullSyncs(this.client('r.b'))).toBe(0);
    const journal = this.journal('journal.a');
    for (const event of ['full-sync', 'replica-full-sync']) expect(journal.of(event), event).toHaveLength(before);
    await eventually('the replica to have been told of', () => journal.of('replica-continues').length > 0);
  }

  /** Each step says what it must. */
  async follow(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.step(step);
  }

  async step({ site, command, must }: Step): Promise<void> {
    const [program = '', ...words] = command.split(' ');
    if (program === 'redis-cli') await this.#redisCli(words);
    else if (program === 'redis-server') await this.#restart(words);
    else if (words[0] === 'run') await this.#run(site, words);
    else await this.#expectAnswer(site, words, must);
  }

  /** Of `check` and `status`, as JSON. */
  async asked(site: 'A' | 'B', command: string): Promise<CliResult> {
    const [, ...words] = command.split(' ');
    return this.#cli(site, [...words, '--json']);
  }

  status(site: 'A' | 'B'): Promise<Status> {
    return this.asked(site, 'journal status').then((result) => json(result) as unknown as Status);
  }

  /** Nothing comes through between the sites. */
  async cutOff(): Promise<void> {
    this.#isCutOff = true;
    for (const tap of Object.values(this.#taps)) {
      await tap.refuse();
      tap.cut();
    }
  }

  /** The journal of B hears nothing from that of A; people at B can still reach both servers there. */
  async loseLine(): Promise<void> {
    await this.cutOff();
    this.#isCutOff = false;
  }

  async reconnect(): Promise<void> {
    this.#isCutOff = false;
    for (const tap of Object.values(this.#taps)) await tap.accept();
  }

  /** What the journal of A tells of that range of positions: `journal export`, as `check` printed it. */
  async exported(check: string): Promise<unknown[]> {
    const [, ...words] = check.split(' ');
    const { stdout } = await this.#cli('A', words);
    const [, printed = ''] = /^what they wrote: journal (.*)$/m.exec(stdout) ?? [];
    const rows = await this.#cli('A', printed.split(' '));
    expect(rows.exitCode, printed).toBe(0);
    return rows.stdout
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row) as unknown);
  }

  async killSiteA(): Promise<void> {
    this.clients.delete('p.a');
    await this.#p.kill9();
    await this.journal('journal.a').kill9();
  }

  /** Followed by `journal.a`'s process as long as it runs. */
  get p(): RedisServer {
    return this.#p;
  }

  async #redisCli([option, host, ...words]: readonly string[]): Promise<void> {
    if (option !== '-h' || (host !== 'p.a' && host !== 'r.b')) throw new Error(`redis-cli ${option} ${host}`);
    const isMove = words[0] === 'REPLICAOF' && words[1] !== 'NO';
    const call = isMove ? ['REPLICAOF', '127.0.0.1', this.#port(`${words[1]}:${words[2]}`)] : words;
    await this.client(host).call(...call);
  }

  async #run(site: 'A' | 'B', words: readonly string[]): Promise<void> {
    const own = this.#port(`journal.${site.toLowerCase()}:6380`);
    const sources = words.filter((_, i) => words[i - 1] === '--source').map((url) => this.#local(url, site));
    const journal = startJournal(this.binary, {
      source: sources.join(),
      dir: path.join(this.#directories[site], 'journal-data'),
      args: ['--listen', `127.0.0.1:${own}`],
      env: { JOURNAL_PASSWORD: password, JOURNAL_LISTEN_PASSWORD: password },
    });
    this.journals.set(`journal.${site.toLowerCase()}`, journal);
    await journal.waitFor('ready');
  }

  /** The old primary, in its place, as a replica. */
  async #restart(words: readonly string[]): Promise<void> {
    const at = words.indexOf('--replicaof');
    const { port, dir } = this.#p;
    const replicaof = `127.0.0.1 ${this.#port(`${words[at + 1]}:${words[at + 2]}`)}`;
    this.#p = await startServer(this.binary, { replicaof }, { dir, choosePort: () => Promise.resolve(port) });
    this.clients.set('p.a', await this.#p.connect());
  }

  async #expectAnswer(site: 'A' | 'B', words: readonly string[], must: string): Promise<void> {
    const [, exit, , says = ''] = /^exit (\d+)( within 10 s)?(?:: (.*))?$/.exec(must) ?? [];
    if (exit === undefined) {
      await this.#cli(site, words);
      return;
    }
    const followed = /^it follows (\S+)$/.exec(says)?.[1];
    let told = '';
    const isSaid = async (): Promise<boolean> => {
      const { exitCode, stdout, stderr } = await this.#cli(site, words);
      told = `${words.join(' ')} at ${site}: exit ${exitCode}\n${stdout}${stderr}`;
      const isThere = followed === undefined || stdout.includes(this.#followedBy(followed, site));
      return (
        exitCode === Number(exit) &&
        isThere &&
        (followed !== undefined || says.split(', or ').some((one) => stdout.includes(one)))
      );
    };
    if (words[0] === 'check') expect(await isSaid(), told).toBe(true);
    else
      await eventually(`${must} of status`, isSaid, { timeoutMs: 20_000 }).catch((error: unknown) => {
        throw new Error(told, { cause: error });
      });
  }

  #followedBy(name: string, site: 'A' | 'B'): string {
    const [, address = ''] = this.#local(`redis://${name}:${name.startsWith('journal') ? 6380 : 6379}`, site).split(
      '//',
    );
    return `primary      ${address}`.replace(/\s+/, ' ').split(' ')[1] ?? '';
  }

  /** What the journals went through. */
  #course(): string {
    const lines = [...this.journals].flatMap(([name, { lines }]) =>
      lines.map((line) => JSON.stringify({ name, ...line })),
    );
    return lines.join('\n');
  }

  #cli(site: 'A' | 'B', words: readonly string[]): Promise<CliResult> {
    const local = words.map((word) => (word.startsWith('redis://') ? this.#seen(word, site) : word));
    const env = { JOURNAL_DIR: path.join(this.#directories[site], 'journal-data'), JOURNAL_PASSWORD: password };
    return cli(local, { env });
  }

  /** As the journal of `site` reaches it. */
  #local(url: string, site: 'A' | 'B'): string {
    const far = site === 'A' ? 'redis://r.b:6379' : 'redis://journal.a:6380';
    return url === far ? `redis://127.0.0.1:${this.#taps[site].port}` : this.#direct(url);
  }

  /** As somebody at that site reaches it. */
  #seen(url: string, site: 'A' | 'B'): string {
    const isFar = url.includes('.a:') === (site === 'B');
    return this.#isCutOff && isFar ? `redis://127.0.0.1:${nowhere}` : this.#direct(url);
  }

  #direct(url: string): string {
    return `redis://127.0.0.1:${this.#port(url.slice('redis://'.length))}`;
  }

  #port(place: string): number {
    const port = this.#ports[place];
    if (port === undefined) throw new Error(`the runbook names ${place}, which is nowhere`);
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const journal of this.journals.values()) await journal[Symbol.asyncDispose]();
    for (const client of this.clients.values()) await client.close();
    for (const tap of Object.values(this.#taps)) await tap[Symbol.asyncDispose]();
    await this.r[Symbol.asyncDispose]();
    await this.#p[Symbol.asyncDispose]();
  }
}

function startServer(
  binary: ServerBinary,
  config: Readonly<Record<string, string>> = {},
  options: Pick<Parameters<typeof RedisServer.start>[1] & object, 'dir' | 'choosePort'> = {},
): Promise<RedisServer> {
  const oneChannel = isAtLeast(binary, { redis: 8 }) && { 'repl-rdb-channel': 'no' };
  const quiet = { 'repl-ping-replica-period': '3600', 'repl-backlog-size': '256mb', masterauth: password };
  return RedisServer.start(binary, { password, ...options, config: { ...quiet, ...oneChannel, ...config } });
}
