// The runbook of the README between two sites, by its own commands: each line of its blocks is run as it stands there, and
// must say what stands behind it.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SwitchOver } from '../../src/daemon/check-switch-over.ts';
import type { Status } from '../../src/daemon/status.ts';
import { cli, json } from '../cli/cli.ts';
import type { CliResult } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
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

interface Step {
  readonly site: 'A' | 'B';
  readonly command: string;
  /** What stands behind it. */
  readonly must: string;
}

/** The discard service. */
const nowhere = 9;

const readme = readFileSync(path.resolve(import.meta.dirname, '../../README.md'), 'utf8');
const [, section = ''] = readme.split('### Switch over to another site\n');
const blocks = [...(section.split(/^#{2,3} /m)[0] ?? '').matchAll(/^```\n(.*?)^```$/gms)].map(([, block = '']) =>
  block.trim().split('\n').map(stepOf),
);
const [setUp = [], planned = [], back = [], fence = [], unplanned = [], reached = [], again = []] = blocks;

function stepOf(line: string): Step {
  const [, site, command = '', must = ''] = /^([AB])\$ (.*?)(?:\s+# (.*))?$/.exec(line) ?? [];
  if (site !== 'A' && site !== 'B') throw new Error(`not a step: ${line}`);
  return { site, command, must };
}

/** Two sites: a server and a journal at each; taps are on the way of the journal of B to that of A, and of that to `r.b`. */
class Sites implements AsyncDisposable {
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

  static async start(binary: ServerBinary): Promise<Sites> {
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

const checkAtB = planned.find(({ command }) => command.startsWith('journal check'))?.command ?? '';

describe('the runbook', () => {
  test('has its seven blocks of steps', () => {
    expect(blocks.map(({ length }) => length)).toEqual([3, 10, 9, 2, 3, 2, 3]);
  });
});

describeServers('a switch-over by the runbook', (binary) => {
  test('that is planned loses nothing, there and back, by partial resyncs alone', { timeout: 120_000 }, async () => {
    await using sites = await Sites.start(binary);
    await sites.write('p.a', 'before');
    await sites.follow(planned);
    await sites.write('r.b', 'there');
    await sites.expectSame();
    expect(await fullSyncs(sites.client('r.b'))).toBe(0);
    await sites.follow(back);
    await sites.write('p.a', 'back');
    await sites.expectSame();
    for (const name of ['p.a', 'r.b'] as const) {
      // The journal's own, at the beginning.
      expect(await fullSyncs(sites.client(name))).toBe(name === 'p.a' ? 1 : 0);
    }
    for (const name of ['journal.a', 'journal.b'] as const) {
      expect(sites.journal(name).of('full-sync')).toHaveLength(1);
      expect(sites.journal(name).of('replica-full-sync')).toHaveLength(1);
      expect(sites.journal(name).of('gap')).toEqual([]);
    }
  });

  test('that is not planned loses what the check says, before and after', { timeout: 120_000 }, async () => {
    await using sites = await Sites.start(binary);
    const client = sites.client('p.a');
    await sites.write('p.a', 'before');
    await eventually('nothing to be on the way', async () => (await sites.asked('B', checkAtB)).exitCode === 0);
    const atB = await primaryOffset(client);
    await sites.loseLine();
    await sites.write('p.a', 'lost', 50);
    const lost = (await primaryOffset(client)) - atB;
    await eventually(
      'the journal of A to have it',
      async () => (await sites.status('A')).position.durable === String(atB + lost),
    );
    const before = await sites.asked('B', checkAtB);
    expect(before.exitCode).toBe(3);
    expect(json(before)).toMatchObject({ verdict: 'some', loss: { bytes: lost }, lost: null });
    // It knows where it was, and was ahead.
    await client.call('SAVE');
    await sites.killSiteA();
    await sites.follow(unplanned);
    await sites.write('r.b', 'after');
    expect(await fullSyncs(sites.client('r.b'))).toBe(0);
    const asked = again[0]?.command ?? '';
    const after = json(await sites.asked('A', asked)) as unknown as SwitchOver;
    expect(after).toMatchObject({ verdict: 'parted', loss: { bytes: lost }, there: [{ shared: String(atB) }] });
    expect(after.lost).toEqual({
      after: expect.stringMatching(`:${atB}$`),
      to: expect.stringMatching(`:${atB + lost}$`),
    });
    const rows = await sites.exported(asked);
    await sites.reconnect();
    await sites.follow(again);
    await sites.expectSame();
    const names = Array.from({ length: 50 }, (_, i) => [
      { command: 'HSET', args: [`lost:${i}`, 'n', String(i), 'text', 'x'.repeat(i)] },
      { command: 'PEXPIREAT', args: [`lost:${i}`, expect.any(String)] },
    ]);
    expect(rows).toMatchObject(names.flat());
    const { orphans } = await sites.status('A');
    expect(orphans.map(({ fromPosition, toPosition }) => [offsetOf(fromPosition), offsetOf(toPosition)])).toEqual([
      [atB + 1, atB + lost],
    ]);
    expect(await sites.client('p.a').call('EXISTS', 'lost:0')).toBe(0);
    for (const event of ['full-sync', 'replica-full-sync'])
      expect(sites.journal('journal.a').of(event)).toHaveLength(1);
  });

  test('a site that was lost and had no more comes back by partial resyncs alone', { timeout: 120_000 }, async () => {
    await using sites = await Sites.start(binary);
    await sites.write('p.a', 'before');
    await eventually('nothing to be on the way', async () => (await sites.asked('B', checkAtB)).exitCode === 0);
    await sites.client('p.a').call('SAVE');
    await sites.killSiteA();
    await sites.follow(unplanned);
    await sites.write('r.b', 'after');
    const asked = json(await sites.asked('A', again[0]?.command ?? '')) as unknown as SwitchOver;
    expect(asked).toMatchObject({ verdict: 'some', lost: null });
    await sites.follow(again);
    await sites.expectSame();
    await sites.expectNoFullSync({ before: 0 });
  });

  test('a site that was cut off and fenced comes back by partial resyncs alone', { timeout: 120_000 }, async () => {
    await using sites = await Sites.start(binary);
    const client = sites.client('p.a');
    await sites.write('p.a', 'before');
    await eventually('nothing to be on the way', async () => (await sites.asked('B', checkAtB)).exitCode === 0);
    await sites.cutOff();
    const [refused, readOnly] = fence;
    for (const [step, error] of [
      [refused, 'NOREPLICAS'],
      [readOnly, 'READONLY'],
    ] as const) {
      if (step === undefined) throw new Error('the runbook has no fence');
      await sites.step(step);
      await expect(client.call('SET', 'fenced', 'x')).rejects.toThrow(error);
    }
    await sites.follow(unplanned);
    await sites.write('r.b', 'after');
    await sites.reconnect();
    await sites.follow(reached);
    await sites.expectSame();
    await sites.expectNoFullSync({ before: 1 });
    expect(await fullSyncs(client)).toBe(1);
  });
});

function offsetOf(position: string): number {
  return Number(position.split(':')[1]);
}
