// A command or MULTI whose end does not come: told once, how far it has come, and when it is over; what came before it
// and what comes after it are journaled as ever.
import { describe, expect, test } from 'vitest';
import { UnendedWatch } from '../../src/daemon/unended-command.ts';
import type { UnendedCommand } from '../../src/daemon/unended-command.ts';
import { streamCommand } from '../support/fake-primary.ts';
import { HostileRig, baseOffset } from './hostile-rig.ts';

interface Watched {
  readonly watch: UnendedWatch;
  readonly begun: UnendedCommand[];
  readonly ended: UnendedCommand[];
}

const bytesTold = 1000;

function watched(): Watched {
  const begun: UnendedCommand[] = [];
  const ended: UnendedCommand[] = [];
  const events = {
    begun: (command: UnendedCommand): void => void begun.push(command),
    ended: (command: UnendedCommand): void => void ended.push(command),
  };
  return { watch: new UnendedWatch(events, bytesTold), begun, ended };
}

/** 2026-11-20T14:30:00Z and some seconds. */
function at(seconds: number): number {
  return (Date.UTC(2026, 10, 20, 14, 30) + seconds * 1000) * 1000;
}

describe('a command that does not end', () => {
  test('is told once, since when and behind which offset, however long it goes on', () => {
    const { watch, begun, ended } = watched();
    watch.look({ timeline: 1, boundary: 500, received: 500, lastStamp: at(0) });
    watch.look({ timeline: 1, boundary: 500, received: 1500, lastStamp: at(1) });
    expect(watch.state).toBeNull();
    watch.look({ timeline: 1, boundary: 500, received: 1501, lastStamp: at(2) });
    expect(begun).toEqual([{ behind: '500', since: '2026-11-20T14:30:00.000000Z', bytes: 1001 }]);
    watch.look({ timeline: 1, boundary: 500, received: 9500, lastStamp: at(3) });
    expect(watch.state).toEqual({ behind: '500', since: '2026-11-20T14:30:00.000000Z', bytes: 9000 });
    expect(begun).toHaveLength(1);
    expect(ended).toEqual([]);
  });

  test.each([
    ['when its end comes', { timeline: 1, boundary: 9600, received: 9600 }],
    ['when another timeline begins', { timeline: 2, boundary: 500, received: 500 }],
  ])('is over %s, and the next one is told of its own', (_, then) => {
    const { watch, begun, ended } = watched();
    watch.look({ timeline: 1, boundary: 500, received: 9500, lastStamp: at(0) });
    watch.look({ ...then, lastStamp: at(5) });
    expect(watch.state).toBeNull();
    expect(ended).toEqual([{ behind: '500', since: '2026-11-20T14:30:00.000000Z', bytes: 9000 }]);
    watch.look({ ...then, received: then.received + 2000, lastStamp: at(6) });
    expect(begun.map(({ behind, since }) => [behind, since])).toEqual([
      ['500', '2026-11-20T14:30:00.000000Z'],
      [String(then.boundary), '2026-11-20T14:30:05.000000Z'],
    ]);
  });

  test.each([
    ['a MULTI', streamCommand('MULTI'), streamCommand('SET', 'key', 'v'.repeat(200)), streamCommand('EXEC')],
    ['a value', Buffer.from('*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4000\r\n'), Buffer.alloc(200, 'v'), Buffer.from('\r\n')],
  ])('as the stream brings it: %s', async (_, beginning, piece, end) => {
    const before = streamCommand('SELECT', '0');
    await using rig = await HostileRig.after(before);
    const { watch, begun, ended } = watched();
    const pieces = Array.from({ length: 20 }, () => piece);
    let offset = baseOffset + before.length;
    for (const bytes of [beginning, ...pieces]) {
      rig.primary.link.say(bytes);
      offset += bytes.length;
      await rig.untilDurable(offset);
      if (rig.progress !== undefined) watch.look(rig.progress);
    }
    expect(begun).toMatchObject([{ behind: String(baseOffset + before.length) }]);
    expect(watch.state?.bytes).toBe(offset - baseOffset - before.length);
    rig.primary.link.say(end);
    await rig.untilDurable(offset + end.length);
    if (rig.progress !== undefined) watch.look(rig.progress);
    expect(ended).toHaveLength(1);
    expect(watch.state).toBeNull();
    await rig.end();
  });
});
