// Stock replicas on a journal: they get base and stream at the primary's own id and offsets, go on from where they were
// over restarts of either, move from primary to journal and back, and are at the end what the primary is. Whether any of
// that took a full sync is counted where it would be made.
import { expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { fullSyncs } from './capture-rig.ts';
import { FeedRig } from './feed-rig.ts';

describeServers('a replica of the journal', (binary) => {
  test('gets the dataset, follows it, and ends as what the primary is, at its id and offset', async () => {
    const seed = Date.now() >>> 0;
    await using rig = await FeedRig.start(binary, seed);
    await rig.write(400);
    await rig.attach();
    await using replica = await rig.replica();
    await rig.write(400);
    await rig.expectSame(replica, `seed ${seed}`);
    expect(rig.journal.of('replica-full-sync')).toHaveLength(1);
    // The one that the primary made was for the journal.
    expect(await fullSyncs(rig.client)).toBe(1);
  });

  test('goes on where it was after its link broke, and after the journal was killed', async () => {
    const seed = Date.now() >>> 0;
    await using rig = await FeedRig.start(binary, seed);
    await rig.write(200);
    await rig.attach();
    await using replica = await rig.replica();
    await rig.expectSame(replica, `seed ${seed}`);
    for (let round = 0; round < 3; round += 1) {
      await rig.journal.kill9();
      await rig.write(200);
      await rig.attach();
      await rig.expectSame(replica, `seed ${seed}, round ${round}`);
      expect(rig.journal.of('replica-full-sync')).toEqual([]);
      expect(rig.journal.of('replica-continues')).not.toEqual([]);
    }
  });

  test('moves from primary to journal and back while it is written to, by partial resyncs alone', async () => {
    const seed = Date.now() >>> 0;
    await using rig = await FeedRig.start(binary, seed);
    await rig.attach();
    await rig.write(200);
    await using replica = await rig.replicaOfPrimary();
    await rig.level(replica);
    const before = await fullSyncs(rig.client);
    for (let round = 0; round < 6; round += 1) {
      const toJournal = round % 2 === 0;
      const writing = rig.write(150);
      await replica.follow(toJournal ? rig.port : rig.primary.port, toJournal);
      await writing;
      await rig.expectSame(replica, `seed ${seed}, round ${round}`);
      if (toJournal) await eventually('it is fed', () => rig.journal.of('replica-continues').length === round / 2 + 1);
    }
    expect(await fullSyncs(rig.client)).toBe(before);
    expect(rig.journal.of('replica-full-sync')).toEqual([]);
  });

  test('full-syncs and resumes with the primary gone', async () => {
    const seed = Date.now() >>> 0;
    await using rig = await FeedRig.start(binary, seed);
    await rig.write(300);
    await rig.attach();
    await using old = await rig.replica();
    await rig.expectSame(old, `seed ${seed}`);
    await rig.capture.journaled();
    await rig.primary.stop();
    await using fresh = await rig.replica();
    await eventually('the fresh one to be level', async () => {
      const offsets = await Promise.all(
        [old, fresh].map(async (replica) => (await replica.info('replication')).get('slave_repl_offset')),
      );
      return offsets[0] === offsets[1];
    });
    await old.client.call('CLIENT', 'KILL', 'TYPE', 'master');
    await eventually('the old one to be back', () => rig.journal.of('replica-continues').length === 1);
    expect(rig.journal.of('replica-full-sync')).toHaveLength(2);
  });
});
