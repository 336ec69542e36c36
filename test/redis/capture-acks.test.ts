// What a real primary is told: nothing that is not on disk, and that at once when somebody waits for it; and how a
// journal says goodbye.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { journaledEnd } from '../support/journal-content.ts';
import type { RespClient } from '../support/resp-client.ts';
import { isAtLeast } from '../support/servers.ts';
import { parseReplication, recordedAcks, replicationConnections } from '../support/tap-parser.ts';
import type { Tap } from '../support/tap.ts';
import { runTransfers } from '../support/transfers.ts';
import { CaptureRig, followers, fullSyncs, primaryOffset } from './capture-rig.ts';

/** The highest offset that was acknowledged over any connection. */
function acknowledged(tap: Tap): number {
  const acks = replicationConnections(tap).flatMap(({ toPrimary }) => recordedAcks(toPrimary));
  return Math.max(-1, ...acks.map(({ ack, fack = -1 }) => Math.max(ack, fack)));
}

describeServers('a primary', (binary) => {
  test('is told at once what is durable when somebody waits for it, and not only once a second', async () => {
    await using rig = await CaptureRig.start(binary);
    await rig.attach();
    const clients = await Promise.all(Array.from({ length: 8 }, () => rig.primary.connect()));
    const began = performance.now();
    const rounds = 15;
    const waits = clients.map(async (client, number) => {
      for (let round = 0; round < rounds; round++) {
        await client.call('SET', `key:${number}`, round);
        expect(await client.call('WAIT', 1, 20_000)).toBe(1);
      }
    });
    await Promise.all(waits);
    // Each of them follows the one before: by the second they would take fifteen seconds.
    expect(performance.now() - began).toBeLessThan((rounds * 1000) / 2);
    await Promise.all(clients.map((client) => client.close()));
  });

  test('finds nothing acknowledged that is not on disk, under constant load', async () => {
    await using rig = await CaptureRig.start(binary);
    await using money = await rig.primary.connect();
    const journal = await rig.attach();
    const ending = new AbortController();
    const load = runTransfers(money, { seed: 1, signal: ending.signal, batch: 16 });
    let seen = 0;
    for (let look = 0; look < 12; look++) {
      await rig.client.callMany([
        ['SET', 'look', look],
        ['WAIT', 1, 20_000],
      ]);
      const ack = acknowledged(rig.tap);
      const end = await journaledEnd(journal.tree);
      expect(ack).toBeGreaterThan(seen);
      expect(ack).toBeLessThanOrEqual(end);
      seen = ack;
    }
    ending.abort();
    await load;
  });

  test('counts the journal as a follower without a port, which Sentinel never promotes', async () => {
    await using rig = await CaptureRig.start(binary);
    await rig.attach();
    await rig.client.call('SET', 'key', 'value');
    await rig.journaled();
    const [follower, ...others] = await followers(rig.client);
    expect(others).toEqual([]);
    expect(follower?.get('port')).toBe('0');
    expect(follower?.get('state')).toBe('online');
    expect(Number(follower?.get('offset'))).toBe(await primaryOffset(rig.client));
  });

  test('gets the last acknowledgement at a clean stop: of all that is on disk', async () => {
    await using rig = await CaptureRig.start(binary);
    await using money = await rig.primary.connect();
    const journal = await rig.attach();
    const ending = new AbortController();
    const load = runTransfers(money, { seed: 2, signal: ending.signal, batch: 16 });
    await sleep(300);
    await rig.client.call('SET', 'before', 'the stop');
    const floor = await primaryOffset(rig.client);
    await eventually('the bytes to arrive', () => receivedEnd(rig.tap) >= floor);
    expect(await journal.stop()).toBe(0);
    ending.abort();
    await load;
    const end = await journaledEnd(journal.tree);
    expect(acknowledged(rig.tap)).toBe(end);
    expect(journal.lines.at(-1)).toMatchObject({ event: 'stopped', position: expect.stringMatching(`:${end}$`) });
    await rig.expectIdentity();
  });

  test('keeps no byte from a journal that was ended by a second signal, which does not wait', async () => {
    await using rig = await CaptureRig.start(binary);
    await using money = await rig.primary.connect();
    const journal = await rig.attach();
    const ending = new AbortController();
    const load = runTransfers(money, { seed: 3, signal: ending.signal });
    await sleep(200);
    journal.signal('SIGTERM');
    journal.signal('SIGINT');
    expect(await journal.exited).toMatchObject({ code: 130 });
    expect(journal.of('stopped')).toEqual([]);
    const again = await rig.attach();
    ending.abort();
    await load;
    await rig.client.call('SET', 'last', 'write');
    await rig.journaled();
    expect(await again.stop()).toBe(0);
    await rig.expectIdentity();
    expect(await fullSyncs(rig.client)).toBe(1);
  });
});

describeServers(
  'a primary that knows WAITAOF',
  (binary) => {
    test('is told by WAITAOF 0 1 that a write is on disk here', async () => {
      await using rig = await CaptureRig.start(binary);
      await rig.attach();
      const began = performance.now();
      for (let round = 0; round < 10; round++) {
        await rig.client.call('SET', 'key', round);
        expect(await rig.client.call('WAITAOF', 0, 1, 20_000)).toEqual([0, 1]);
      }
      expect(performance.now() - began).toBeLessThan(5000);
    });
  },
  { where: (server) => isAtLeast(server, { redis: 7.2, valkey: 7.2 }) },
);

describeServers('journal run --once', (binary) => {
  test('stops when all that the primary had is journaled, under load too, and goes on from there the next time', async () => {
    await using rig = await CaptureRig.start(binary);
    await using money = await rig.primary.connect();
    const ending = new AbortController();
    const load = runTransfers(money, { seed: 4, signal: ending.signal, batch: 8 });
    for (let round = 0; round < 3; round++) {
      const had = await writtenOffset(rig.client);
      const journal = rig.run({ args: ['--once', '--json'] });
      expect(await journal.exited, journal.stderr).toMatchObject({ code: 0 });
      expect(await journaledEnd(journal.tree)).toBeGreaterThanOrEqual(had);
      const status = JSON.parse(journal.stdout) as { position: { durable: string } };
      expect(Number(status.position.durable)).toBe(await journaledEnd(journal.tree));
    }
    ending.abort();
    await load;
    await rig.expectIdentity();
    expect(await fullSyncs(rig.client)).toBe(1);
  });
});

/** Before anybody has followed it a primary does not count. */
async function writtenOffset(client: RespClient): Promise<number> {
  await client.call('SET', 'once', 'more');
  return primaryOffset(client);
}

/** The offset of the last byte that was passed on. */
function receivedEnd(tap: Tap): number {
  const ends = replicationConnections(tap).map(({ fromPrimary, forwarded, toPrimary }) => {
    const recorded = parseReplication(fromPrimary.subarray(0, forwarded), toPrimary);
    return recorded === undefined ? -1 : recorded.firstOffset + recorded.stream.length - 1;
  });
  return Math.max(-1, ...ends);
}
