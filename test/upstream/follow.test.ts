// The loop of sessions: how long it waits for what, when it gives up, and that it never storms a primary.
import { describe, expect, test } from 'vitest';
import { LinkError, StorageError } from '../../src/core/errors.ts';
import type { RetryClass } from '../../src/core/errors.ts';
import { fakeId, fullSync, streamCommand } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import { turns } from './turning-clock.ts';
import { MemorySink } from './memory-sink.ts';
import { Rig } from './rig.ts';

const start = 1000;
const written = streamCommand('SET', 'key', 'value');

const continues: FakeScript = { psync: () => Buffer.from(`+CONTINUE ${fakeId}\r\n`) };
const syncsFully: FakeScript = { psync: () => Buffer.concat([fullSync(fakeId, start, 'mark'), written]) };

function refusal(retry: RetryClass): LinkError {
  return new LinkError('refused', 'no', retry, { exitCode: 10 });
}

/** The next `count` pauses between attempts; random() is 1, so each is as long as can be. */
async function pauses(rig: Rig, count: number): Promise<number[]> {
  const from = rig.interruptions.length;
  for (let more = 1; more <= count; more++) {
    await rig.until('an interruption', () => rig.interruptions.length >= from + more);
    if (more < count) await rig.clock.advance(rig.interruptions.at(-1)?.delayMs ?? 0);
  }
  return rig.interruptions.slice(from).map(({ delayMs }) => delayMs);
}

function returning(): MemorySink {
  return MemorySink.after({ id: fakeId, offset: start }, Buffer.alloc(0));
}

describe('between attempts', () => {
  test.each([
    ['soon', [200, 400, 800, 1600, 3200, 5000, 5000]],
    ['later', [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]],
  ] as const)('it waits longer and longer, up to a limit: %s', async (retry, expected) => {
    const rig = new Rig(continues, returning());
    rig.primary.refusal = refusal(retry);
    rig.follow();
    expect(await pauses(rig, expected.length)).toEqual(expected);
    expect(rig.primary.attempts).toBe(expected.length);
    await rig.end();
    expect(rig.failure).toBeUndefined();
  });

  test('no session is current', async () => {
    const rig = new Rig(continues, returning());
    rig.follow();
    await rig.until('the attachment', () => rig.session !== undefined && rig.told.length === 2);
    rig.primary.link.lose();
    await rig.until('the interruption', () => rig.interruptions.length === 1);
    expect(rig.session).toBeUndefined();
    await rig.end();
  });

  test('it starts over with a short wait once the stream has gone on', async () => {
    const rig = new Rig(continues, returning());
    rig.primary.refusal = refusal('soon');
    rig.follow();
    await pauses(rig, 6);
    rig.primary.refusal = undefined;
    await rig.clock.advance(5000);
    await rig.until('the attachment', () => rig.told.includes(`attached aaaa ${start}`));
    rig.primary.link.lose();
    await rig.until('the interruption', () => rig.interruptions.length === 7);
    expect(rig.interruptions.at(-1)?.delayMs).toBe(200);
    await rig.end();
  });

  test('a primary that loses us at the same byte again and again is asked for it ever later, until it goes on', async () => {
    const rig = new Rig(continues, returning());
    rig.follow();
    const delays: number[] = [];
    const loseOften = async (times: number): Promise<void> => {
      for (let more = 1; more <= times; more++) {
        const ended = rig.interruptions.length;
        await rig.until(
          'the attachment',
          () => rig.session !== undefined && rig.told.at(-1)?.startsWith('att') === true,
        );
        rig.primary.link.lose();
        await rig.until('the interruption', () => rig.interruptions.length > ended);
        delays.push(rig.interruptions.at(-1)?.delayMs ?? 0);
        rig.told.push('lost');
        if (more < times) await rig.clock.advance(delays.at(-1) ?? 0);
      }
    };
    await loseOften(6);
    expect(delays).toEqual([200, 400, 800, 1600, 3200, 5000]);
    rig.primary.script = { psync: () => Buffer.concat([Buffer.from(`+CONTINUE ${fakeId}\r\n`), written]) };
    await rig.clock.advance(5000);
    await rig.until('the stream', () => rig.sink.stream.length > 0);
    rig.primary.script = continues;
    await loseOften(1);
    await rig.clock.advance(5000);
    await loseOften(2);
    expect(delays.slice(6)).toEqual([5000, 200, 400]);
    await rig.end();
  });

  test('a primary that loses us after every full sync is asked for the next one ever later', async () => {
    const rig = new Rig(syncsFully);
    const delays: number[] = [];
    rig.follow();
    for (let sync = 1; sync <= 7; sync++) {
      await rig.until('a full sync', () => rig.told.filter((line) => line === 'published').length === sync);
      rig.primary.link.lose();
      await rig.until('the interruption', () => rig.interruptions.length === sync);
      delays.push(rig.interruptions.at(-1)?.delayMs ?? 0);
      await rig.clock.advance(delays.at(-1) ?? 0);
    }
    expect(delays).toEqual([200, 400, 800, 1600, 3200, 5000, 5000]);
    await rig.end();
  });

  test('a stop ends the waiting', async () => {
    const rig = new Rig(continues, returning());
    rig.primary.refusal = refusal('later');
    rig.follow();
    await rig.until('the interruption', () => rig.interruptions.length === 1);
    await rig.end();
    expect(rig.failure).toBeUndefined();
    expect(rig.clock.pending).toBe(0);
    expect(rig.primary.attempts).toBe(1);
  });
});

describe('a stream that breaks at the same byte again and again', () => {
  const goesOnBroken = Buffer.from(`+CONTINUE ${fakeId}\r\n\n`);
  const broken: FakeScript = {
    psync: (_id, offset) => (offset < 0 ? Buffer.concat([fullSync(fakeId, start, 'length'), written]) : goesOnBroken),
  };
  const syncs = (rig: Rig): number => rig.told.filter((line) => line.startsWith('fullSync')).length;

  test('is left after three breaks for a full sync, asked for without hurry, once', async () => {
    const rig = new Rig(broken, returning());
    rig.follow();
    expect(await pauses(rig, 3)).toEqual([200, 400, 8000]);
    expect(rig.interruptions.map(({ error }) => error.code)).toEqual([
      'protocol-broken',
      'protocol-broken',
      'stream-broken',
    ]);
    expect(rig.interruptions[2]?.error.message).toMatch(/broke 3 times behind offset 1000,.*at offset 1001/);
    expect(syncs(rig)).toBe(0);
    await rig.clock.advance(8000);
    await rig.until('the full sync', () => rig.told.includes('published'));
    await rig.clock.advance(50_000);
    expect(syncs(rig)).toBe(1);
    expect(rig.interruptions).toHaveLength(3);
    await rig.end();
  });

  test('is not left for one that breaks at another byte each time: it goes on', async () => {
    const rig = new Rig(
      { psync: () => Buffer.concat([goesOnBroken.subarray(0, -1), written, Buffer.from('\n')]) },
      returning(),
    );
    rig.primary.script = { ...rig.primary.script, cuts: [], readBytesMax: 1 };
    rig.follow();
    await pauses(rig, 8);
    expect(rig.interruptions.map(({ error }) => error.code)).not.toContain('stream-broken');
    expect(syncs(rig)).toBe(0);
    await rig.end();
  });

  test('is left again only an hour later when a full sync did not help', async () => {
    const rig = new Rig(broken, returning());
    rig.follow();
    await pauses(rig, 3);
    await rig.clock.advance(8000);
    await rig.until('the full sync', () => rig.told.includes('published'));
    rig.primary.link.lose();
    await rig.until('the interruption', () => rig.interruptions.length === 4);
    const from = rig.clock.monotonic();
    while (syncs(rig) < 2) {
      const ended = rig.interruptions.length;
      await rig.clock.advance(rig.interruptions.at(-1)?.delayMs ?? 0);
      await rig.until('what comes next', () => rig.interruptions.length > ended || syncs(rig) > 1);
    }
    const minutes = (rig.clock.monotonic() - from) / 60_000_000;
    expect(minutes).toBeGreaterThan(59.8);
    expect(minutes).toBeLessThan(63);
    const held = rig.interruptions.filter(({ error }) => error.hint?.includes('min at the earliest'));
    expect(held.length).toBeGreaterThan(50);
    expect(held.length).toBeLessThan(130);
    expect(held[0]?.error.code).toBe('protocol-broken');
    await rig.end();
  });

  test('is asked for in full until a full sync is complete', async () => {
    const rig = new Rig(broken, returning());
    rig.follow();
    await pauses(rig, 3);
    rig.primary.script = { psync: (_id, offset) => (offset < 0 ? Buffer.from('-LOADING\r\n') : goesOnBroken) };
    await rig.clock.advance(8000);
    await rig.until('the refusal', () => rig.interruptions.length === 4);
    expect(rig.interruptions[3]?.error.code).not.toBe('protocol-broken');
    rig.primary.script = broken;
    await rig.clock.advance(60_000);
    await rig.until('the full sync', () => rig.told.includes('published'));
    expect(rig.interruptions).toHaveLength(4);
    await rig.end();
  });
});

describe('what waiting cannot mend', () => {
  test('ends it when there has never been an attachment', async () => {
    const rig = new Rig(continues, returning());
    rig.primary.refusal = refusal('never');
    rig.follow();
    await rig.until('the end', () => rig.isOver);
    expect(rig.failure).toBe(rig.primary.refusal);
    expect(rig.interruptions).toEqual([]);
  });

  test.each([
    ['an attachment', continues, returning, 'attached'],
    ['a full sync', syncsFully, () => new MemorySink(), 'published'],
  ] as const)('is waited for after %s: the primary was right once', async (_title, script, sink, event) => {
    const rig = new Rig(script, sink());
    rig.follow();
    await rig.until('the attachment', () => rig.told.some((line) => line.startsWith(event)));
    rig.primary.refusal = refusal('never');
    rig.primary.link.lose();
    const delays = await pauses(rig, 4);
    expect(delays).toEqual([200, 4000, 8000, 16_000]);
    expect(rig.isOver).toBe(false);
    rig.primary.refusal = undefined;
    rig.primary.script = continues;
    await rig.clock.advance(16_000);
    await rig.until('another attachment', () => rig.told.at(-1)?.startsWith('attached') === true);
    await rig.end();
    expect(rig.failure).toBeUndefined();
  });

  test('of the disk that may pass is waited for as one of the link is, without hurry', async () => {
    const rig = new Rig(continues, returning());
    rig.follow();
    await rig.until('the attachment', () => rig.told.length === 2);
    rig.session?.fail(new StorageError('io', 'the medium is bad'));
    await rig.until('the interruption', () => rig.interruptions.length === 1);
    expect(rig.interruptions).toMatchObject([{ error: { code: 'io' }, delayMs: 2000 }]);
    await rig.clock.advance(2000);
    await rig.until('another attachment', () => rig.told.length === 4);
    await rig.end();
    expect(rig.failure).toBeUndefined();
  });

  test('of the disk that does not pass ends it at any time', async () => {
    const rig = new Rig(continues, returning());
    rig.follow();
    await rig.until('the attachment', () => rig.told.length === 2);
    const failure = new StorageError('not-found', 'the folder is gone');
    rig.session?.fail(failure);
    await rig.until('the end', () => rig.isOver);
    expect(rig.failure).toBe(failure);
  });

  test('of the disk is told even when it comes while we are told to stop', async () => {
    const rig = new Rig(continues, returning());
    const failure = new StorageError('io', 'gone');
    rig.sink.before = async (what) => {
      if (what === 'drain') throw failure;
    };
    rig.follow();
    await rig.until('the attachment', () => rig.told.length === 2);
    await rig.end();
    expect(rig.failure).toBe(failure);
  });
});

test('after an interruption the stream goes on behind the last durable byte, with none lost and none doubled', async () => {
  const stream = Buffer.concat(Array.from({ length: 40 }, (_, index) => streamCommand('SET', 'key', String(index))));
  let syncs = 0;
  const rig = new Rig({
    psync: (_id, offset) => {
      syncs += 1;
      if (offset < 0) return Buffer.concat([fullSync(fakeId, start, 'length'), stream.subarray(0, 37)]);
      const from = offset - start - 1;
      return Buffer.concat([Buffer.from(`+CONTINUE ${fakeId}\r\n`), stream.subarray(from, from + 100)]);
    },
    readBytesMax: 13,
  });
  rig.follow();
  while (rig.sink.stream.length < stream.length) {
    const before = rig.sink.stream.length;
    await rig.until(
      'more',
      () => rig.sink.isPublished && rig.sink.stream.length >= Math.min(stream.length, before + 20),
    );
    rig.primary.link.lose();
    await turns(4);
    await rig.clock.advance(400);
  }
  expect(rig.sink.stream).toEqual(stream);
  expect(syncs).toBeGreaterThan(5);
  expect(rig.sink.calls.filter((call) => call === 'beginFullSync')).toHaveLength(1);
  await rig.end();
});
