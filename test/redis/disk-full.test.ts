// A disk that is full for a while, a real one, under load from a real primary: reading stops, the link stays, nothing is
// lost, and when there is room again it goes on by itself.
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { readStatus } from '../../src/daemon/status.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { replyNumber } from '../support/resp-client.ts';
import { SmallDisk } from '../support/small-disk.ts';
import type { SmallDiskKind } from '../support/small-disk.ts';
import { CaptureRig, followers, fullSyncs, primaryOffset } from './capture-rig.ts';

const value = 'v'.repeat(100_000);

describe.each(['tmpfs', 'ext4'] as const)('a full disk (%s)', (kind: SmallDiskKind) => {
  const refusal = SmallDisk.refusal(kind);
  if (refusal !== undefined) {
    test.skip(refusal, () => undefined);
    return;
  }

  describeServers('with', (binary) => {
    /** Journals until the disk is full and much more waits. */
    async function fillUp(rig: CaptureRig, disk: SmallDisk): Promise<void> {
      await rig.attach({ dir: path.join(disk.path, 'journal-data') });
      await rig.client.call('SET', 'before', '1');
      await rig.journaled();
      disk.fill();
      await write(rig, 20);
      await rig.journal.waitFor('disk-full');
    }

    async function write(rig: CaptureRig, count: number): Promise<void> {
      for (let i = 0; i < count; i += 1) await rig.client.call('SET', `key:${i}`, value);
    }

    test('for a while under load: the link stays, status is red, and all goes on when there is room', async () => {
      using disk = SmallDisk.mount(kind, 128);
      await using rig = await CaptureRig.start(binary);
      await fillUp(rig, disk);
      await write(rig, 200);
      expect(replyNumber(await rig.client.call('WAIT', 1, 200)), 'nothing more is acknowledged').toBe(0);
      const [follower] = await followers(rig.client);
      const acknowledged = follower?.get('offset');
      await eventually('a red status', async () => {
        const { state, healthy, disk: told } = await readStatus(localDisk, rig.journal.tree, systemClock);
        return state === 'stalled' && !healthy && told?.trouble?.code === 'disk-full';
      });
      await sleep(2500);
      const [later] = await followers(rig.client);
      expect(later?.get('state')).toBe('online');
      expect(later?.get('offset')).toBe(acknowledged);
      expect(Number(later?.get('lag')), 'acknowledged as often as before').toBeLessThanOrEqual(2);

      disk.free();
      await rig.journal.waitFor('disk-has-room');
      await rig.journaled();
      const offset = await primaryOffset(rig.client);
      expect(rig.journal.of('disk-full')).toHaveLength(1);
      expect(rig.journal.of('disk-has-room')).toHaveLength(1);
      expect(rig.journal.of('link-interrupted')).toEqual([]);
      expect(await fullSyncs(rig.client)).toBe(1);
      await eventually('a green status', async () => {
        return (await readStatus(localDisk, rig.journal.tree, systemClock)).healthy;
      });
      expect(await rig.journal.stop()).toBe(0);
      const [history] = await rig.expectIdentity();
      expect((history?.offset ?? 0) + (history?.stream.length ?? 0)).toBe(offset);
    });

    test('when told to stop: the reserve takes what was received, and the record of the stop', async () => {
      using disk = SmallDisk.mount(kind, 128);
      await using rig = await CaptureRig.start(binary);
      await fillUp(rig, disk);
      expect(await rig.journal.stop()).toBe(0);
      const [history] = await rig.expectIdentity();
      const { received = '0', durable } = readState(rig).position;
      expect(durable).toBe(received);
      expect((history?.offset ?? 0) + (history?.stream.length ?? 0)).toBe(Number(received));

      disk.free();
      await rig.attach({ dir: path.join(disk.path, 'journal-data') });
      await rig.journaled();
      expect(rig.journal.of('recovered')).toEqual([]);
      expect(await fullSyncs(rig.client)).toBe(1);
      await rig.journal.stop();
      await rig.expectIdentity();
    });

    test('when the journal is killed: what was acknowledged is there, and the next one goes on', async () => {
      using disk = SmallDisk.mount(kind, 128);
      await using rig = await CaptureRig.start(binary);
      await fillUp(rig, disk);
      await rig.journal.kill9();
      await rig.expectIdentity();
      disk.free();
      await rig.attach({ dir: path.join(disk.path, 'journal-data') });
      await rig.journaled();
      expect(await fullSyncs(rig.client)).toBe(1);
      await rig.journal.stop();
      await rig.expectIdentity();
    });

    test('to the last byte when the journal starts again: it comes up, red, and goes on when there is room', async () => {
      using disk = SmallDisk.mount(kind, 128);
      await using rig = await CaptureRig.start(binary);
      await fillUp(rig, disk);
      await rig.journal.kill9();
      // What the reserve gave up.
      disk.fill();
      expect(disk.freeBytes).toBe(0);
      const journal = rig.run({ dir: path.join(disk.path, 'journal-data') });
      await journal.waitFor('disk-full');
      await write(rig, 20);
      await eventually('a red status of this very process', async () => {
        const { state, healthy, disk: told, writer } = await readStatus(localDisk, journal.tree, systemClock);
        const isRed = state === 'stalled' && !healthy && told?.trouble?.code === 'disk-full';
        return isRed && writer?.pid === journal.pid;
      });
      disk.free();
      await journal.waitFor('disk-has-room');
      await rig.journaled();
      expect(await fullSyncs(rig.client)).toBe(1);
      await eventually('a green status', async () => {
        return (await readStatus(localDisk, journal.tree, systemClock)).healthy;
      });
      expect(await journal.stop()).toBe(0);
      await rig.expectIdentity();
    });

    test('to the last byte, and the last write torn: recovery waits for room, says so, and can be stopped', async () => {
      using disk = SmallDisk.mount(kind, 128);
      await using rig = await CaptureRig.start(binary);
      const dir = path.join(disk.path, 'journal-data');
      await rig.attach({ dir });
      await rig.client.call('SET', 'before', '1');
      await rig.journaled();
      await rig.journal.kill9();
      const [timeline] = (await loadCatalog(localDisk, rig.journal.tree)).timelines;
      appendFileSync(timeline?.segments.at(-1)?.path ?? '', 'half a frame');
      rmSync(rig.journal.tree.reserve);
      disk.fill();
      expect(disk.freeBytes).toBe(0);
      const waiting = rig.run({ dir });
      await waiting.waitFor('disk-full');
      await eventually('a red status', async () => {
        const { state, disk: told } = await readStatus(localDisk, waiting.tree, systemClock);
        return state === 'stalled' && told?.trouble?.code === 'disk-full';
      });
      expect(await waiting.stop()).toBe(9);
      expect((await readStatus(localDisk, waiting.tree, systemClock)).error).toMatchObject({ code: 'no-space' });

      const journal = rig.run({ dir });
      await journal.waitFor('disk-full');
      disk.free();
      await journal.waitFor('recovered');
      await rig.journaled();
      expect(await fullSyncs(rig.client)).toBe(1);
      expect(await journal.stop()).toBe(0);
      await rig.expectIdentity();
    });

    test('and a link that is lost meanwhile: the stream goes on where it was', async () => {
      using disk = SmallDisk.mount(kind, 128);
      await using rig = await CaptureRig.start(binary);
      await fillUp(rig, disk);
      await rig.client.call('CLIENT', 'KILL', 'TYPE', 'replica');
      await rig.journal.waitFor('link-interrupted');
      await write(rig, 10);
      disk.free();
      await rig.journal.waitFor('disk-has-room');
      await rig.journal.waitFor('attached');
      await rig.journaled();
      expect(await fullSyncs(rig.client)).toBe(1);
      await rig.journal.stop();
      await rig.expectIdentity();
    });

    test('during the full sync: the RDB waits, and is published when there is room', async () => {
      using disk = SmallDisk.mount(kind, 128);
      await using rig = await CaptureRig.start(binary, { config: { rdbcompression: 'no' } });
      await write(rig, 400);
      disk.fill(30 * 1024 * 1024);
      const journal = rig.run({ dir: path.join(disk.path, 'journal-data') });
      await journal.waitFor('disk-full');
      await sleep(1500);
      disk.free();
      await journal.waitFor('ready');
      await rig.journaled();
      expect(await fullSyncs(rig.client)).toBe(1);
      expect(journal.of('link-interrupted')).toEqual([]);
      await journal.stop();
      await rig.expectIdentity();
    });
  });
});

function readState(rig: CaptureRig): { readonly position: { readonly received?: string; readonly durable?: string } } {
  return JSON.parse(readFileSync(rig.journal.tree.state, 'utf8')) as ReturnType<typeof readState>;
}
