// Twenty replicas at once, each at its own place: every one gets its bytes, and what they all need is read once.
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from '../support/eventually.ts';
import { diskWithFiles } from '../support/wrapped-disk.ts';
import { baseOffset, id, ListenerRig } from './listener-rig.ts';
import type { RawClient } from './listener-rig.ts';

const count = 20;

/** Bytes that were read of sealed segments. */
function countingDisk(): { readonly disk: Disk; readonly read: { bytes: number } } {
  const read = { bytes: 0 };
  const disk = diskWithFiles((file) => ({
    read: async (target, position) => {
      const got = await file.read(target, position);
      if (file.path.endsWith('.seg')) read.bytes += got;
      return got;
    },
  }));
  return { disk, read };
}

/** One that has all up to `from`, which is told at once. */
async function continuing(rig: ListenerRig, from: number): Promise<RawClient> {
  const client = await rig.known();
  client.say('PSYNC', id, String(from));
  return client;
}

function streamOf(client: RawClient): Buffer {
  const { heard } = client;
  const head = `+CONTINUE ${id}\r\n`;
  return heard.subarray(heard.indexOf(head) + head.length);
}

async function written(rig: ListenerRig, commands: number): Promise<void> {
  for (let i = 0; i < commands; i += 1) {
    await rig.write(encodeCommand('SET', `key:${i}`, randomBytes(1000).toString('base64')));
  }
}

test('twenty replicas at different places get what they lack and what comes, over sealed and open segments', async () => {
  await using rig = await ListenerRig.start({ segmentBytes: 100_000 });
  await written(rig, 300);
  await rig.timeline.seal(2);
  const { length } = rig.timeline.stream;
  const replicas: { readonly from: number; readonly client: RawClient }[] = [];
  for (let i = 0; i < count; i += 1) {
    const from = baseOffset + 1 + Math.floor((length * i) / count);
    replicas.push({ from, client: await continuing(rig, from) });
    await written(rig, 3);
  }
  await written(rig, 50);
  for (const { from, client } of replicas) {
    const wanted = rig.timeline.stream.subarray(from - baseOffset - 1);
    await eventually(`all from ${from} on`, () => streamOf(client).length >= wanted.length);
    expect(streamOf(client).equals(wanted)).toBe(true);
  }
});

test('what twenty replicas lack of sealed segments is read from the disk about once', async () => {
  const { disk, read } = countingDisk();
  await using rig = await ListenerRig.start({ segmentBytes: 1_000_000, disk });
  await written(rig, 3000);
  await rig.timeline.seal();
  const { directory } = rig.timeline;
  const sealed = (await localDisk.list(directory)).filter((name) => name.endsWith('.seg'));
  const sizes = await Promise.all(sealed.map((name) => localDisk.size(`${directory}/${name}`)));
  const all = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  expect(all).toBeGreaterThan(2_000_000);
  const clients: RawClient[] = [];
  for (let i = 0; i < count; i += 1) clients.push(await continuing(rig, baseOffset + 1));
  for (const client of clients) {
    await eventually('everything', () => streamOf(client).length >= rig.timeline.stream.length);
  }
  // Headers, footers and filters are each reader's own.
  expect(read.bytes).toBeLessThan(all * 2);
});
