// The journal of a real primary is what was on the wire, byte for byte: over both forms of full sync, through a link that
// breaks at random, through failovers and through histories that cannot go on.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { journaledEnd } from '../support/journal-content.ts';
import { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { isAtLeast } from '../support/servers.ts';
import { recordedAcks, replicationConnections } from '../support/tap-parser.ts';
import { Tap } from '../support/tap.ts';
import { runTransfers } from '../support/transfers.ts';
import { Workload } from '../support/workload.ts';
import { CaptureRig, fullSyncs, primaryOffset, startReplica } from './capture-rig.ts';

const id = /^[0-9a-f]{40}$/;

describeServers('the journal is what was on the wire', (binary) => {
  test.each([
    ['mark', 'yes'],
    ['length', 'no'],
  ])('over a full sync of known %s, under load, and after a clean stop', async (form, diskless) => {
    const seed = Date.now() >>> 0;
    await using rig = await CaptureRig.start(binary, { config: { 'repl-diskless-sync': diskless } });
    const workload = new Workload(seed, binary, { hashFieldTtl: true });
    await workload.run(rig.client, 300);
    const journal = rig.run();
    // Written while the full sync is under way: the stream begins in the middle of it.
    await workload.run(rig.client, 300);
    await journal.waitFor('ready');
    await workload.run(rig.client, 300);
    await rig.journaled();
    const offset = await primaryOffset(rig.client);
    expect(await journal.stop()).toBe(0);

    const [history] = await rig.expectIdentity(`seed ${seed}`);
    expect(history?.rdb.length).toBeGreaterThan(100);
    expect((history?.offset ?? 0) + (history?.stream.length ?? 0)).toBe(offset);
    expect(await fullSyncs(rig.client)).toBe(1);
    const [connection] = replicationConnections(rig.tap);
    expect(connection?.fromPrimary.includes(form === 'mark' ? '$EOF:' : '\r\n$')).toBe(true);
    expect(journal.of('link-interrupted')).toEqual([]);
    expect(journal.of('recovered')).toEqual([]);
  });

  test('through a link that is cut, stalled, slow and one byte at a time, with one full sync and no byte lost or doubled', async () => {
    const seed = Date.now() >>> 0;
    const random = new Random(seed);
    await using rig = await CaptureRig.start(binary);
    await using moneyClient = await rig.primary.connect();
    const journal = await rig.attach();
    const ending = new AbortController();
    const workload = new Workload(seed, binary, { hashFieldTtl: true });
    const loads = [
      repeatUntil(ending.signal, async () => {
        await workload.run(rig.client, 5);
        await sleep(1);
      }),
      runTransfers(moneyClient, { seed, signal: ending.signal, batch: 4 }),
    ];
    for (let round = 0; round < 25; round++) {
      const links = journal.of('attached').length;
      const isCut = await disturb(rig.tap, random);
      // Sometimes the next mishap comes before the link is up again.
      if (isCut && random.chance(0.7)) {
        await eventually('another link', () => journal.of('attached').length > links, { timeoutMs: 30_000 });
      }
      await sleep(random.below(300));
    }
    ending.abort();
    await Promise.all(loads);
    await rig.client.call('SET', 'last', 'write');
    await rig.journaled(rig.client);
    const offset = await primaryOffset(rig.client);
    expect(await journal.stop()).toBe(0);

    const [history] = await rig.expectIdentity(`seed ${seed}`);
    expect((history?.offset ?? 0) + (history?.stream.length ?? 0)).toBe(offset);
    expect(await fullSyncs(rig.client), `seed ${seed}`).toBe(1);
    const resumed = journal.of('attached').length;
    expect(resumed, `seed ${seed}`).toBeGreaterThan(3);
    expectHonestAcks(rig.tap, offset);
  });

  test('over restarts of the journal, each of which goes on where the one before stopped', async () => {
    const seed = Date.now() >>> 0;
    await using rig = await CaptureRig.start(binary);
    const workload = new Workload(seed, binary);
    for (let round = 0; round < 4; round++) {
      const journal = await rig.attach();
      await workload.run(rig.client, 60);
      await rig.journaled();
      expect(await journal.stop()).toBe(0);
      expect(journal.of('recovered')).toEqual([]);
      expect(journal.of(round === 0 ? 'full-sync' : 'attached')).toHaveLength(1);
      await workload.run(rig.client, 60);
    }
    await rig.expectIdentity(`seed ${seed}`);
    expect(await fullSyncs(rig.client)).toBe(1);
  });
});

describeServers(
  'a primary up to 6.2',
  (binary) => {
    test('that sends an EXEC without its MULTI is followed past it', async () => {
      await using rig = await CaptureRig.start(binary);
      const journal = await rig.attach();
      // PFCOUNT counts as a read, and writes down what it has counted.
      const transaction = [['PFADD', 'hll', 'a'], ['MULTI'], ['PFCOUNT', 'hll'], ['EXEC']];
      await rig.client.callMany(transaction);
      await rig.client.call('SET', 'after', 'it');
      await rig.journaled();
      expect(await journal.stop()).toBe(0);
      const [history] = await rig.expectIdentity();
      expect(history?.stream.toString()).toContain('PFCOUNT\r\n$3\r\nhll\r\n*1\r\n$4\r\nEXEC\r\n');
      expect(journal.of('link-interrupted')).toEqual([]);
    });
  },
  { where: (server) => !isAtLeast(server, { redis: 7, valkey: 7 }) },
);

describeServers('another primary', (binary) => {
  test('that was promoted goes on with the timeline under its own id, recorded as a switch', async () => {
    await using rig = await CaptureRig.start(binary);
    await using replica = await startReplica(rig.primary);
    await using successor = await replica.connect();
    const journal = await rig.attach();
    await rig.client.call('SET', 'before', 'the failover');
    expect(await rig.client.call('WAIT', 2, 20_000)).toBe(2);
    const end = await primaryOffset(rig.client);
    await rig.primary.kill9();
    await successor.call('REPLICAOF', 'NO', 'ONE');
    rig.tap.redirect(replica);
    await journal.waitFor('attached');
    await successor.call('SET', 'after', 'the failover');
    await rig.journaled(successor);
    expect(await journal.stop()).toBe(0);

    const [history, ...more] = await rig.expectIdentity();
    expect(more).toEqual([]);
    expect(history?.ids).toHaveLength(2);
    const [first, second] = history?.ids ?? [];
    expect(first).toEqual({ id: history?.id, offset: (history?.offset ?? 0) + 1 });
    expect(second).toEqual({ id: expect.stringMatching(id), offset: end + 1 });
    expect(history?.stream.includes('$5\r\nafter\r\n')).toBe(true);
    expect(await fullSyncs(successor)).toBe(0);
    expect(journal.of('gap')).toEqual([]);
  });

  test('that was promoted behind us, or has another dataset, begins a new timeline behind a recorded gap', async () => {
    await using rig = await CaptureRig.start(binary);
    await using otherTap = await Tap.start(rig.primary);
    await using replica = await startReplica(rig.primary, otherTap.port);
    await using successor = await replica.connect();
    const journal = await rig.attach();
    await rig.client.call('SET', 'common', 'history');
    expect(await rig.client.call('WAIT', 2, 20_000)).toBe(2);
    await otherTap.refuse();
    otherTap.cut();
    await rig.client.call('SET', 'only', 'ours');
    await rig.journaled();
    const ahead = await primaryOffset(rig.client);
    await rig.primary.kill9();
    await successor.call('REPLICAOF', 'NO', 'ONE');
    rig.tap.redirect(replica);
    await journal.waitFor('gap');
    await successor.call('SET', 'new', 'history');
    await rig.journaled(successor);

    await using stranger = await RedisServer.start(binary);
    await using strangersClient = await stranger.connect();
    await strangersClient.call('SET', 'stranger', 'yes');
    const told = journal.lines.length;
    rig.tap.redirect(stranger);
    rig.tap.cut();
    await journal.waitFor('gap', { from: told });
    await strangersClient.call('SET', 'stranger', 'still');
    await rig.journaled(strangersClient);
    expect(await journal.stop()).toBe(0);

    const histories = await rig.expectIdentity();
    expect(histories.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(histories[0]?.gap).toBeUndefined();
    expect(histories[1]?.gap).toMatchObject({
      cause: 'history-changed',
      from: { timeline: 1, id: histories[0]?.id, offset: ahead },
      to: { timeline: 2, id: histories[1]?.id, offset: histories[1]?.offset },
    });
    expect(histories[2]?.gap).toMatchObject({ cause: 'history-changed', to: { timeline: 3, id: histories[2]?.id } });
    expect(histories[2]?.gap?.from.offset).toBe((histories[1]?.offset ?? 0) + (histories[1]?.stream.length ?? 0));
  });
});

describeServers('a MULTI of more than 128 MiB', (binary) => {
  test('is told as one that has not ended while it comes in, and is journaled as any other', async () => {
    await using rig = await CaptureRig.start(binary);
    const journal = await rig.attach();
    await rig.client.call('SET', 'before', '1');
    await rig.journaled();
    const before = await primaryOffset(rig.client);
    const script = "for i = 1, 2200 do redis.call('SET', 'key:' .. i % 10, ARGV[1]) end";
    await rig.client.call('EVAL', script, 0, 'v'.repeat(100_000));
    await rig.journaled();
    expect(await journal.waitFor('command-not-ended')).toMatchObject({ behind: String(before) });
    expect(await journal.waitFor('command-ended')).toMatchObject({ behind: String(before) });
    expect(await journal.stop()).toBe(0);
    const [history] = await rig.expectIdentity();
    expect((history?.offset ?? 0) + (history?.stream.length ?? 0)).toBe(await primaryOffset(rig.client));
  });
});

describeServers('a primary that no longer has the bytes', (binary) => {
  test('causes a new timeline, and a gap with its interval', async () => {
    await using rig = await CaptureRig.start(binary, { config: { 'repl-backlog-size': '16kb' } });
    const journal = await rig.attach();
    await rig.client.call('SET', 'before', 'the gap');
    await rig.journaled();
    const lastKnown = await primaryOffset(rig.client);
    await rig.tap.refuse();
    rig.tap.cut();
    for (let write = 0; write < 40; write++) await rig.client.call('SET', 'lost', 'x'.repeat(10_000));
    const base = await primaryOffset(rig.client);
    await rig.tap.accept();
    const gap = await journal.waitFor('gap');
    await rig.client.call('SET', 'after', 'the gap');
    await rig.journaled();
    expect(await journal.stop()).toBe(0);

    const histories = await rig.expectIdentity();
    expect(histories).toHaveLength(2);
    const name = histories[0]?.id ?? '';
    expect(histories[1]?.gap).toMatchObject({
      cause: 'backlog-overrun',
      from: { timeline: 1, id: name, offset: lastKnown },
      to: { timeline: 2, id: name, offset: base },
    });
    expect(gap).toMatchObject({ cause: 'backlog-overrun', from: `${name}:${lastKnown}`, to: `${name}:${base}` });
    expect(histories[1]?.offset).toBe(base);
    expect(await fullSyncs(rig.client)).toBe(2);
  });
});

describe('a full sync', () => {
  describeServers('that breaks off', (binary) => {
    test.each(['yes', 'no'])('is begun anew, and nothing of the first is left (diskless: %s)', async (diskless) => {
      await using rig = await CaptureRig.start(binary, { config: { 'repl-diskless-sync': diskless } });
      for (let key = 0; key < 40; key++) await rig.client.call('SET', `key:${key}`, new Random(key).bytes(10_000));
      rig.tap.disturb({ cutAfterBytes: 200_000 });
      const journal = rig.run();
      await journal.waitFor('link-interrupted');
      expect(await journaledEnd(journal.tree)).toBe(-1);
      rig.tap.disturb({});
      await journal.waitFor('ready');
      await rig.client.call('SET', 'after', 'all');
      await rig.journaled();
      expect(await journal.stop()).toBe(0);
      const histories = await rig.expectIdentity();
      expect(histories.map(({ number }) => number)).toEqual([2]);
    });
  });
});

async function repeatUntil(signal: AbortSignal, act: () => Promise<void>): Promise<void> {
  while (!signal.aborted) await act();
}

const mishaps = ['reset', 'end', 'cut at a byte', 'refused', 'dribble', 'slow', 'late', 'stall'] as const;

/** One mishap of a network, of some hundred milliseconds. Returns whether it cost the link. */
async function disturb(tap: Tap, random: Random): Promise<boolean> {
  const mishap = random.pick(mishaps);
  switch (mishap) {
    case 'reset':
    case 'end':
      tap.cut({ orderly: mishap === 'end' });
      break;
    case 'cut at a byte':
      tap.disturb({ cutAfterBytes: random.between(200, 20_000) });
      tap.cut();
      break;
    case 'refused':
      await tap.refuse();
      tap.cut();
      break;
    case 'dribble':
      tap.disturb({ bytesPerSecond: 100 });
      break;
    case 'slow':
      tap.disturb({ bytesPerSecond: random.between(20_000, 2_000_000) });
      break;
    case 'late':
      tap.disturb({ delayMs: random.between(1, 80) });
      break;
    case 'stall':
      tap.disturb({ stalled: true });
      break;
  }
  await sleep(random.between(50, 400));
  tap.disturb({});
  await tap.accept();
  // What is being dribbled would take minutes.
  if (mishap === 'dribble' || mishap === 'slow') tap.cut();
  return mishap !== 'late' && mishap !== 'stall';
}

/** Nothing is acknowledged that had not been sent, and acknowledgements never go back on a connection. */
function expectHonestAcks(tap: Tap, end: number): void {
  for (const connection of replicationConnections(tap)) {
    const acks = recordedAcks(connection.toPrimary);
    expect(acks.every(({ ack, fack }) => ack === fack && ack <= end)).toBe(true);
    expect(acks.map(({ ack }) => ack)).toEqual(acks.map(({ ack }) => ack).sort((a, b) => a - b));
  }
}
