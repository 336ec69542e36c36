// The journal among real servers that hand the primary's role around, by hand and by Sentinel: it follows, is never given
// the role, holds nobody up, and its own replicas follow it through.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { fingerprint } from '../support/fingerprint.ts';
import type { JournalProcess } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { freePort, RedisServer } from '../support/redis-server.ts';
import { RespClient } from '../support/resp-client.ts';
import { Sentinel } from '../support/sentinel.ts';
import { isAtLeast } from '../support/servers.ts';
import type { ServerBinary } from '../support/servers.ts';
import { fullSyncs, info, primaryOffset, startJournal } from './capture-rig.ts';
import { FedReplica, password } from './feed-rig.ts';

const quiet = { 'repl-ping-replica-period': '3600' };

/** A primary and its replica, with one password for all, and a journal of both that listens. */
class Group implements AsyncDisposable {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly clients: readonly [RespClient, RespClient];
  readonly dir = temporaryDirectory('group');
  journal: JournalProcess | undefined;

  private constructor(primary: RedisServer, replica: RedisServer, clients: readonly [RespClient, RespClient]) {
    this.primary = primary;
    this.replica = replica;
    this.clients = clients;
  }

  static async start(binary: ServerBinary): Promise<Group> {
    const oneChannel = isAtLeast(binary, { redis: 8 }) && { 'repl-rdb-channel': 'no' };
    const config = { ...quiet, ...oneChannel };
    const primary = await RedisServer.start(binary, { password, config });
    const replica = await RedisServer.start(binary, {
      password,
      config: { ...config, replicaof: `127.0.0.1 ${primary.port}` },
    });
    const group = new Group(primary, replica, [await primary.connect(), await replica.connect()]);
    await group.clients[0].call('SET', 'first', 'key');
    await group.level();
    return group;
  }

  /** What it announces is the port that it listens on. */
  async listen(announced: boolean): Promise<number> {
    const port = await freePort();
    const [first, second] = [this.primary.port, this.replica.port].map((one) => `redis://127.0.0.1:${one}`);
    this.journal = startJournal(this.primary.binary, {
      source: `${first},${second}`,
      dir: this.dir,
      args: ['--listen', `127.0.0.1:${port}`, ...(announced ? ['--announce', String(port)] : [])],
      env: { JOURNAL_LISTEN_PASSWORD: password, JOURNAL_PASSWORD: password },
    });
    await this.journal.waitFor('ready');
    return port;
  }

  get running(): JournalProcess {
    if (this.journal === undefined) throw new Error('no journal has been started');
    return this.journal;
  }

  /** The replica has all that the primary has. */
  async level(): Promise<void> {
    const [primary, replica] = this.clients;
    await eventually('the replica to be level', async () => {
      const isUp = (await replica.text('INFO', 'replication')).includes('master_link_status:up');
      return isUp && (await primaryOffset(primary)) === (await primaryOffset(replica));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.journal?.[Symbol.asyncDispose]();
    for (const client of this.clients) await client.close();
    await this.replica[Symbol.asyncDispose]();
    await this.primary[Symbol.asyncDispose]();
  }
}

async function expectSame(binary: ServerBinary, of: RespClient, as: RespClient): Promise<void> {
  await eventually('both to be level', async () => (await primaryOffset(of)) === (await primaryOffset(as)), {
    timeoutMs: 20_000,
  });
  const [actual, expected] = await Promise.all([fingerprint(of, binary), fingerprint(as, binary)]);
  expect(explainDifference(expected, actual)).toEqual([]);
  expect(actual.position).toEqual(expected.position);
}

describeServers('after a failover upstream, a replica of the journal', (binary) => {
  test('is disconnected once and goes on under the new name, without a full sync anywhere', async () => {
    await using group = await Group.start(binary);
    const [primary, successor] = group.clients;
    const port = await group.listen(false);
    await using fed = await FedReplica.start(binary, port, { masterauth: password });
    await primary.call('SET', 'before', 'the failover');
    await expectSame(binary, fed.client, primary);
    await group.level();
    await group.primary.kill9();
    await successor.call('REPLICAOF', 'NO', 'ONE');
    await group.running.waitFor('attached');
    await successor.call('SET', 'after', 'the failover');
    await expectSame(binary, fed.client, successor);
    expect(await fullSyncs(successor)).toBe(0);
    expect(group.running.of('gap')).toEqual([]);
    expect(group.running.of('replica-full-sync')).toHaveLength(1);
    expect(group.running.of('replica-continues')).toHaveLength(1);
    expect(group.running.of('replica-left').map(({ code }) => code)).toEqual(['history-moved']);
  });

  test('syncs fully where the journal had to, since the promoted replica was behind it', async () => {
    await using group = await Group.start(binary);
    const [primary, successor] = group.clients;
    const port = await group.listen(false);
    await using fed = await FedReplica.start(binary, port, { masterauth: password });
    await expectSame(binary, fed.client, primary);
    await successor.call('REPLICAOF', '127.0.0.1', 1);
    await primary.call('SET', 'lost', 'with the primary');
    await eventually('it to reach the fed one', async () => (await fed.client.text('GET', 'lost')) !== '');
    await group.primary.kill9();
    await successor.call('REPLICAOF', 'NO', 'ONE');
    await successor.call('SET', 'after', 'the failover');
    await group.running.waitFor('gap');
    await eventually('the full sync of the fed one', () => group.running.of('replica-full-sync').length === 2, {
      timeoutMs: 20_000,
    });
    await expectSame(binary, fed.client, successor);
    expect(await fed.client.call('EXISTS', 'lost')).toBe(0);
  });
});

describeServers('a FAILOVER that picks a journal that listens', (binary) => {
  test.runIf(isAtLeast(binary, { redis: 7, valkey: 7 }))('is given up at once, and writes go on', async () => {
    await using group = await Group.start(binary);
    const [primary, replica] = group.clients;
    await replica.call('REPLICAOF', 'NO', 'ONE');
    await eventually('nobody to be left', async () => (await info(primary, 'replication', 'connected_slaves')) === 0);
    const port = await group.listen(true);
    expect(await primary.text('INFO', 'replication')).toContain(`slave0:ip=127.0.0.1,port=${port},state=online`);
    await eventually('the acknowledgement', async () => (await primary.call('WAIT', 1, 1000)) === 1);
    await primary.call('FAILOVER');
    const began = performance.now();
    await eventually('a write', async () => primary.call('SET', 'after', 'it').catch(() => undefined));
    await eventually('the end of it', async () =>
      (await primary.text('INFO', 'replication')).includes('master_failover_state:no-failover'),
    );
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(await primary.text('INFO', 'replication')).toContain('role:master');
    await eventually('the journal to be level', async () => (await primary.call('WAIT', 1, 1000)) === 1);
    expect(await fullSyncs(primary)).toBe(2);
    expect(group.running.of('gap')).toEqual([]);
  });
});

describeServers('three Sentinels', (binary) => {
  /** How long it takes, with a journal that they know, or know nothing of but that there is somebody. */
  async function failOver(announced: boolean): Promise<number> {
    await using group = await Group.start(binary);
    const [primary] = group.clients;
    const port = await group.listen(announced);
    const watched = { primaryPort: group.primary.port, password, quorum: 2 };
    await using one = await Sentinel.start(binary, watched);
    await using two = await Sentinel.start(binary, watched);
    await using three = await Sentinel.start(binary, watched);
    const all = [one, two, three];
    await eventually(
      'all to know each other and both followers',
      async () => {
        const others = await Promise.all(all.map((sentinel) => sentinel.count('num-other-sentinels')));
        const slaves = await Promise.all(all.map((sentinel) => sentinel.count('num-slaves')));
        return others.every((count) => count === 2) && slaves.every((count) => count === 2);
      },
      { timeoutMs: 30_000 },
    );
    await using fed = await FedReplica.start(binary, port, { masterauth: password });
    await primary.call('SET', 'before', 'the failover');
    if (announced) {
      await eventually(
        'the journal to be known for what it is',
        async () => {
          const ports = await Promise.all(all.map((sentinel) => sentinel.replicaPorts()));
          return ports.every((list) => list.join() === String(group.replica.port));
        },
        { timeoutMs: 30_000 },
      );
    }
    await group.level();
    const began = performance.now();
    await group.primary.kill9();
    await eventually('the end of the failover', () => all.some(({ log }) => log.includes('+failover-end')), {
      timeoutMs: 60_000,
    });
    const took = performance.now() - began;
    await eventually('all to know the new primary', async () => {
      const ports = await Promise.all(all.map((sentinel) => sentinel.primaryPort()));
      return ports.every((one) => one === group.replica.port);
    });
    // Sentinel has ended all connections to it.
    await using successor = await group.replica.connect();
    expect(await successor.text('INFO', 'replication')).toContain('role:master');
    await successor.call('SET', 'after', 'the failover');
    await expectSame(binary, fed.client, successor);
    expect(await fullSyncs(successor)).toBe(0);
    expect(group.running.of('gap')).toEqual([]);
    // Two INFOs of each Sentinel, in which it would see what it wants to mend.
    await sleep(21_000);
    for (const { log } of all) {
      expect(log).not.toMatch(/failover-abort|failover-end-for-timeout/);
      if (!announced) continue;
      expect(log).not.toContain('+fix-slave-config');
      expect(log).not.toContain('+convert-to-slave');
      expect(log).not.toMatch(new RegExp(`\\+sdown slave \\S+:${port} `));
      expect(log).not.toMatch(new RegExp(`selected-slave slave \\S+:${port} `));
    }
    if (announced) {
      const [leader] = all.filter(({ log }) => log.includes('+failover-end'));
      expect(leader?.log).toMatch(new RegExp(`\\+slave-reconf-done slave 127.0.0.1:${port} `));
      for (const sentinel of all) expect(await sentinel.replicaPorts()).toEqual([group.primary.port]);
    }
    return took;
  }

  // Before 6.2 they list whoever announces a port, and 6.2 is not here.
  test.runIf(isAtLeast(binary, { redis: 7, valkey: 7 }))(
    'fail over, never to the journal, not later for it, and are at peace with it',
    { timeout: 180_000 },
    async () => {
      const unannounced = await failOver(false);
      expect(await failOver(true)).toBeLessThan(unannounced + 5_000);
    },
  );
});

describeServers('SLAVEOF to a journal that listens', (binary) => {
  test('makes it look among its own sources, and sends it nowhere else', async () => {
    await using group = await Group.start(binary);
    const port = await group.listen(true);
    await using asker = await RespClient.connect({ host: '127.0.0.1', port, password });
    for (const [host, other] of [
      ['127.0.0.1', 1],
      ['10.0.0.1', group.replica.port],
      ['NO', 'ONE'],
    ] as const) {
      await expect(asker.call('SLAVEOF', host, other)).rejects.toThrow(/^ERR this is a journal/);
    }
    expect(await group.running.waitFor('client-refused')).toMatchObject({ code: 'not-a-source' });
    // A source, but no primary.
    await asker.call('SLAVEOF', '127.0.0.1', group.replica.port);
    await sleep(1500);
    expect(group.running.of('moving')).toEqual([]);
    expect(await asker.text('INFO', 'replication')).toContain(`master_port:${group.primary.port}\r\n`);
    expect(group.running.of('link-interrupted')).toEqual([]);
  });
});
