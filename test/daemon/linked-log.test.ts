// What another journal tells is written once, and none of it is taken for told already that is news.
import { expect, test } from 'vitest';
import type { Attach } from '../../journal-format/attach.ts';
import { LinkedLog } from '../../src/daemon/linked-log.ts';
import { lastNotes } from '../../src/log/evidence.ts';
import type { LinkNote } from '../../src/upstream/sink.ts';
import { directory, idA, idB, LogRig } from '../log/log-rig.ts';

const seconds = 1_000_000;

function attach(rig: LogRig, attach: Attach): LinkNote {
  return { kind: 'attach', start: rig.writer.received + 1, attach };
}

test('a name that is new is taken though our clock was ahead of the other journal’s', async () => {
  const rig = await LogRig.fresh();
  await rig.commits(50);
  const ours = rig.clock.wall();
  rig.writer.attach(idA, ours);
  await rig.writer.drain();
  const log = new LinkedLog(rig.writer, await lastNotes(rig.disk, directory));
  const stamp = ours - 5 * seconds;
  log.note(attach(rig, { id: idB, lostStamp: stamp - seconds, stamp }));
  expect(rig.writer.id).toBe(idB);
  expect(rig.writer.ids.at(-1)?.offset).toBe(rig.writer.received + 1);
});

test('an interruption that was told already is not written again, nor is its name one to switch back to', async () => {
  const rig = await LogRig.fresh();
  await rig.commits(50);
  const stamp = rig.clock.wall();
  rig.writer.attach(idB, stamp);
  await rig.writer.drain();
  const known = await lastNotes(rig.disk, directory);
  const log = new LinkedLog(rig.writer, known);
  log.note(attach(rig, { id: idB, lostStamp: stamp - seconds, stamp }));
  log.note(attach(rig, { id: idA, lostStamp: stamp - seconds, stamp: stamp - 1 }));
  await rig.writer.drain();
  expect(await lastNotes(rig.disk, directory)).toEqual(known);
  expect(rig.writer.ids.map(({ id }) => id)).toEqual([idA, idB]);
  log.note(attach(rig, { id: idA, lostStamp: stamp, stamp: stamp + seconds }));
  await rig.writer.drain();
  expect(rig.writer.id).toBe(idB);
  expect((await lastNotes(rig.disk, directory)).attached).toBe(stamp + seconds);
});
