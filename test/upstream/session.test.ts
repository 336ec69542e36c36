// One session with a primary that is a script, over a wire without a network, with a clock that the test turns: what is
// kept, what is acknowledged, and how it ends. Real primaries are in test/redis.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IntegrityError, LinkError, StorageError } from '../../src/core/errors.ts';
import { fakeId, fullSync, getAck, smallRdb, streamCommand } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import { turns } from './turning-clock.ts';
import { MemorySink } from './memory-sink.ts';
import { Rig } from './rig.ts';

const otherId = 'b'.repeat(40);
const start = 1000;
const written = Buffer.concat([
  streamCommand('SELECT', '3'),
  streamCommand('SET', 'key', 'value\r\n*1\r\n'),
  streamCommand('MULTI'),
  streamCommand('INCR', 'n'),
  streamCommand('EXEC'),
]);

/** A primary that grants a full sync and goes on with `then`. */
function fullSyncScript(form: 'length' | 'mark', then: Buffer = written): FakeScript {
  return { psync: () => Buffer.concat([fullSync(fakeId, start, form), then]) };
}

function continueScript(id: string, then: Buffer): FakeScript {
  return { psync: () => Buffer.concat([Buffer.from(`+CONTINUE ${id}\r\n`), then]) };
}

const handshakeBytes =
  '+PONG\r\n'.length +
  2 * '+OK\r\n'.length +
  'xx'.length +
  '-ERR Unrecognized REPLCONF option: version\r\n'.length +
  64;

describe('whatever the reads are', () => {
  test.each(['length', 'mark'] as const)(
    'a full sync of known %s is taken whole when cut at every byte',
    async (form) => {
      const total = handshakeBytes + fullSync(fakeId, start, form).length + written.length;
      for (let cut = 1; cut < total; cut++) {
        const rig = new Rig({ ...fullSyncScript(form), cuts: [cut] });
        await rig.open();
        await rig.until(`the stream, cut at ${cut}`, () => rig.sink.stream.length === written.length);
        expect(rig.sink.rdb, `cut at ${cut}`).toEqual(smallRdb(fakeId, start));
        expect(rig.sink.stream, `cut at ${cut}`).toEqual(written);
        expect(rig.told, `cut at ${cut}`).toEqual(['greeted 7.0.15', `fullSync ${start}`, 'published']);
        await rig.end();
      }
    },
  );

  test.each(['length', 'mark'] as const)('a full sync of known %s is taken whole byte by byte', async (form) => {
    const rig = new Rig({ ...fullSyncScript(form), readBytesMax: 1 });
    await rig.open();
    await rig.until('the stream', () => rig.sink.stream.length === written.length);
    expect(rig.sink.rdb).toEqual(smallRdb(fakeId, start));
    expect(rig.sink.stream).toEqual(written);
    await rig.end();
  });

  test('a stream goes on where it was when cut at every byte, also in the middle of a command', async () => {
    for (const at of [0, 3, 25, written.length]) {
      const [before, after] = [written.subarray(0, at), written.subarray(at)];
      const total = handshakeBytes + `+CONTINUE ${otherId}\r\n`.length + after.length;
      for (let cut = 1; cut < total; cut += 3) {
        const sink = MemorySink.after({ id: fakeId, offset: start }, before);
        const rig = new Rig({ ...continueScript(otherId, after), cuts: [cut, cut + 1] }, sink);
        await rig.open();
        await rig.until(`the stream, cut at ${cut}`, () => sink.stream.length === written.length);
        expect(sink.stream, `cut at ${cut}`).toEqual(written);
        await rig.until('the attachment to be told', () => rig.told.length === 2);
        expect(rig.told[1]).toBe(`attached bbbb ${start + at}`);
        expect(sink.id).toBe(otherId);
        await rig.end();
      }
    }
  });

  test('the last byte received is what the next one is asked for behind', async () => {
    const sink = MemorySink.after({ id: fakeId, offset: start }, written.subarray(0, 25));
    const rig = new Rig(continueScript(fakeId, Buffer.alloc(0)), sink);
    await rig.open();
    await rig.until('the attachment', () => rig.told.length === 2);
    expect(rig.primary.link.received).toContain(`PSYNC ${fakeId} ${start + 25 + 1}`);
    await rig.end();
  });
});

describe('while the sink gets ready', () => {
  test.each([
    ['a full sync', 'beginFullSync'],
    ['an attachment', 'attach'],
  ] as const)('reading pauses, and what still comes is held: %s', async (_title, call) => {
    const ready = Promise.withResolvers<undefined>();
    const isFull = call === 'beginFullSync';
    const sink = isFull ? new MemorySink() : MemorySink.after({ id: fakeId, offset: start }, Buffer.alloc(0));
    sink.before = (what) => (what === call ? ready.promise : undefined);
    const payload = isFull ? Buffer.concat([fullSync(fakeId, start, 'mark'), written]) : written;
    const [line, behind] = isFull
      ? [payload.subarray(0, 60), payload.subarray(60)]
      : [Buffer.from(`+CONTINUE ${fakeId}\r\n`), payload];
    const rig = new Rig({ psync: () => line }, sink);
    await rig.open();
    await rig.until('the pause', () => rig.primary.link.isPaused);
    const half = Math.floor(behind.length / 2);
    rig.primary.link.read(behind.subarray(0, half));
    rig.primary.link.say(behind.subarray(half));
    await turns(20);
    expect(sink.stream.length + sink.rdb.length).toBe(0);
    ready.resolve(undefined);
    await rig.until('the stream', () => sink.stream.length === written.length);
    expect(sink.stream).toEqual(written);
    if (isFull) expect(sink.rdb).toEqual(smallRdb(fakeId, start));
    expect(rig.primary.link.isPaused).toBe(false);
    await rig.end();
  });

  test('a link that is lost meanwhile ends the session, and nothing is told or acknowledged any more', async () => {
    const ready = Promise.withResolvers<undefined>();
    const sink = MemorySink.after({ id: fakeId, offset: start }, written);
    sink.before = (what) => (what === 'attach' ? ready.promise : undefined);
    const rig = new Rig(continueScript(fakeId, Buffer.alloc(0)), sink);
    await rig.open();
    await rig.until('the pause', () => rig.primary.link.isPaused);
    rig.primary.link.lose();
    ready.resolve(undefined);
    await rig.until('the end', () => rig.isOver);
    await turns(20);
    expect(rig.failure).toMatchObject({ code: 'link-lost' });
    expect(rig.told).toEqual(['greeted 7.0.15']);
    expect(rig.primary.link.acks).toEqual([]);
  });
});

describe('the primary is told', () => {
  test('that we live during the transfer, and that we are there while the base is pending, but no offset', async () => {
    const published = Promise.withResolvers<undefined>();
    const whole = Buffer.concat([fullSync(fakeId, start, 'mark'), written]);
    const rig = new Rig({ psync: () => whole.subarray(0, 130) });
    rig.sink.before = (what) => (what === 'publish' ? published.promise : undefined);
    await rig.open();
    await rig.until('the RDB to begin', () => rig.sink.rdb.length > 0);
    await rig.clock.advance(3000);
    expect(rig.primary.link.received.slice(-4)).toEqual([`PSYNC ? -1`, '\n', '\n', '\n']);
    rig.primary.link.say(whole.subarray(130));
    await rig.until('the stream', () => rig.sink.stream.length > 0);
    rig.sink.commit();
    await rig.clock.advance(2000);
    expect(rig.primary.link.acks).toEqual([0, 0, 0]);
    published.resolve(undefined);
    await rig.until('the publication', () => rig.told.includes('published'));
    await turns(4);
    expect(rig.primary.link.acks).toEqual([0, 0, 0, start + written.length]);
    await rig.end();
  });

  test('at once, when it asked and all before the question is durable', async () => {
    const sink = MemorySink.after({ id: fakeId, offset: start }, Buffer.alloc(0));
    const rig = new Rig(continueScript(fakeId, Buffer.alloc(0)), sink);
    await rig.open();
    await rig.until('the attachment', () => rig.told.length === 2);
    rig.primary.link.say(Buffer.concat([written, getAck]));
    await rig.until('the question', () => sink.calls.includes('hurry'));
    expect(rig.primary.link.acks).toEqual([start]);
    sink.commit();
    expect(rig.primary.link.acks).toEqual([start, start + written.length + getAck.length]);
    await rig.end();
  });

  test('never of a byte that is not durable, whatever comes, is asked and is committed in whatever order', async () => {
    const move = fc.constantFrom('write', 'part', 'ask', 'commit', 'second', 'turn');
    await fc.assert(
      fc.asyncProperty(fc.array(move, { maxLength: 40 }), async (moves) => {
        const sink = MemorySink.after({ id: fakeId, offset: start }, Buffer.alloc(0));
        const rig = new Rig(continueScript(fakeId, Buffer.alloc(0)), sink);
        await rig.open();
        await rig.until('the attachment', () => rig.told.length === 2);
        const pending: Buffer[] = [];
        for (const what of moves) {
          if (what === 'write') pending.push(written);
          if (what === 'ask') pending.push(getAck);
          if (what === 'part') pending.push(...splitOnce(pending.splice(0)));
          if (what === 'commit') sink.commit();
          if (what === 'second') await rig.clock.advance(1000);
          const next = pending.shift();
          if (next !== undefined) rig.primary.link.read(next);
          expect(Math.max(0, ...rig.primary.link.acks)).toBeLessThanOrEqual(sink.durable);
        }
        for (const rest of pending) rig.primary.link.read(rest);
        sink.commit();
        await rig.clock.advance(1000);
        expect(rig.primary.link.acks.at(-1)).toBe(sink.received);
        expect(rig.failure).toBeUndefined();
        await rig.end();
      }),
      { numRuns: 60 },
    );
  });
});

describe('a disk that is behind', () => {
  test.each(['length', 'mark'] as const)('stops the reading until it has caught up: %s', async (form) => {
    const rig = new Rig({ ...fullSyncScript(form, Buffer.alloc(0)) });
    rig.sink.congested = true;
    await rig.open();
    await rig.until('the publication', () => rig.told.includes('published'));
    expect(rig.primary.link.isPaused).toBe(true);
    rig.primary.link.say(written);
    await turns(20);
    expect(rig.sink.stream.length).toBe(0);
    rig.sink.relieve();
    await rig.until('the stream', () => rig.sink.stream.length === written.length);
    rig.sink.congested = true;
    rig.primary.link.say(written);
    await rig.until('the pause', () => rig.primary.link.isPaused);
    rig.sink.relieve();
    await rig.until('the reading', () => !rig.primary.link.isPaused);
    expect(rig.sink.stream).toEqual(Buffer.concat([written, written]));
    await rig.end();
  });

  test('does not make the primary look silent', async () => {
    const sink = MemorySink.after({ id: fakeId, offset: start }, Buffer.alloc(0));
    const rig = new Rig(continueScript(fakeId, written), sink);
    sink.congested = true;
    await rig.open();
    await rig.until('the pause', () => rig.told.length === 2 && sink.stream.length > 0);
    await rig.clock.advance(300_000);
    expect(rig.isOver).toBe(false);
    sink.relieve();
    await rig.clock.advance(59_000);
    expect(rig.isOver).toBe(false);
    await rig.clock.advance(3_000);
    expect(rig.failure).toMatchObject({ code: 'silent' });
  });
});

describe('a session ends', () => {
  test('when the primary has been silent for a minute, but not while it sends as much as a newline', async () => {
    const rig = new Rig({ psync: () => Buffer.alloc(0) });
    await rig.open();
    await rig.until('PSYNC', () => rig.primary.link.received.length > 4);
    for (let minute = 0; minute < 3; minute++) {
      await rig.clock.advance(55_000);
      rig.primary.link.read('\n');
    }
    expect(rig.isOver).toBe(false);
    await rig.clock.advance(62_000);
    expect(rig.failure).toMatchObject({ code: 'silent', retry: 'soon' });
    expect(rig.primary.link.isClosed).toBe(true);
    expect(rig.clock.pending).toBe(0);
  });

  test('at a byte that no primary sends, and only the read that brought it is dropped', async () => {
    const sink = MemorySink.after({ id: fakeId, offset: start }, Buffer.alloc(0));
    const rig = new Rig(continueScript(fakeId, Buffer.alloc(0)), sink);
    await rig.open();
    await rig.until('the attachment', () => rig.told.length === 2);
    rig.primary.link.read(written);
    rig.primary.link.read(Buffer.concat([streamCommand('SET', 'a', 'b'), Buffer.from('\n')]));
    await rig.until('the end', () => rig.isOver);
    expect(rig.failure).toMatchObject({ code: 'protocol-broken', retry: 'soon' });
    expect(sink.stream).toEqual(written);
  });

  test.each([
    ['-LOADING Redis is loading the dataset in memory', 'loading', 'soon'],
    ['-NOMASTERLINK Can not SYNC while not connected with my master', 'source-has-no-primary', 'soon'],
    ['-ERR BGSAVE failed, replication can not continue', 'snapshot-failed', 'later'],
    ["-NOPERM this user has no permissions to run the 'psync' command", 'no-permission', 'never'],
  ])('with the class of the refusal: %s', async (reply, code, retry) => {
    const rig = new Rig({ psync: () => Buffer.alloc(0), replies: { PSYNC: `${reply}\r\n` } });
    await rig.open();
    await rig.until('the end', () => rig.isOver);
    expect(rig.failure).toMatchObject({ code, retry });
  });

  test('when this server is not one that the sink takes', async () => {
    const rig = new Rig(fullSyncScript('mark'));
    rig.sink.refuse = (): never => {
      throw new LinkError('relative-ttl', 'no', 'never', { exitCode: 2 });
    };
    await rig.open();
    await rig.until('the end', () => rig.isOver);
    expect(rig.failure).toMatchObject({ code: 'relative-ttl', exitCode: 2 });
    expect(rig.primary.link.received.some((line) => line.startsWith('PSYNC'))).toBe(false);
  });

  test('when a server that hides its version tells an unwanted one in its RDB', async () => {
    const rig = new Rig({
      psync: () => fullSync(fakeId, start, 'length', smallRdb(fakeId, start, { 'redis-ver': '6.0.16' })),
      replies: { INFO: "-NOPERM this user has no permissions to run the 'info' command\r\n" },
    });
    rig.sink.refuse = ({ major }): void => {
      if (major < 7) throw new LinkError('relative-ttl', 'no', 'never', { exitCode: 2 });
    };
    await rig.open();
    await rig.until('the end', () => rig.isOver);
    expect(rig.told[0]).toMatch(/^greeted unknown INFO answered: NOPERM/);
    expect(rig.failure).toMatchObject({ code: 'relative-ttl' });
  });

  test('to be tried again when the RDB is the state at another position than announced', async () => {
    const rdb = smallRdb(otherId, start);
    const rig = new Rig({ psync: () => fullSync(fakeId, start, 'mark', rdb) });
    await rig.open();
    await rig.until('the end', () => rig.isOver);
    expect(rig.failure).toBeInstanceOf(LinkError);
    expect(rig.failure).toMatchObject({ code: 'base-position', retry: 'later' });
    expect(rig.sink.isPublished).toBe(false);
  });

  test('but not when a journal sends it, whose RDB is older than the name of the history, unless the offset is another', async () => {
    const text = `role:slave\r\njournal:1\r\nmaster_replid:${fakeId}\r\nmaster_repl_offset:${start}\r\n`;
    for (const [offset, isPublished] of [
      [start, true],
      [start + 1, false],
    ] as const) {
      const rig = new Rig({
        psync: () => fullSync(fakeId, start, 'length', smallRdb(otherId, offset)),
        replies: { INFO: `$${text.length}\r\n${text}\r\n` },
      });
      await rig.open();
      await rig.until('the end', () => rig.isOver || rig.sink.isPublished);
      expect(rig.sink.isPublished).toBe(isPublished);
    }
  });

  test('to be tried again when the base turns out to be damaged, but for good when the disk fails', async () => {
    for (const [error, expected] of [
      [new IntegrityError('base-checksum', 'damaged'), { name: 'LinkError', code: 'base-checksum', retry: 'later' }],
      [new StorageError('no-space', 'full'), { name: 'StorageError', code: 'no-space' }],
    ] as const) {
      const rig = new Rig(fullSyncScript('mark'));
      rig.sink.before = async (what) => {
        if (what === 'publish') throw error;
      };
      await rig.open();
      await rig.until('the end', () => rig.isOver);
      expect(rig.failure).toMatchObject(expected);
      expect(rig.primary.link.acks.every((offset) => offset === 0)).toBe(true);
    }
  });
});

describe('told to stop', () => {
  test.each([
    ['in the handshake', { psync: () => Buffer.alloc(0), replies: { INFO: '' } }],
    ['while it waits for the full sync', { psync: () => Buffer.from('\n\n') }],
    ['in the middle of the RDB', { psync: () => fullSync(fakeId, start, 'length').subarray(0, 120) }],
  ])('%s it ends at once and acknowledges nothing', async (_title, script) => {
    const rig = new Rig(script);
    await rig.open();
    await turns(40);
    await rig.end();
    expect(rig.failure).toBeUndefined();
    expect(rig.primary.link.acks).toEqual([]);
    expect(rig.primary.link.isClosed).toBe(true);
    expect(rig.clock.pending).toBe(0);
  });

  test('while the base is pending it publishes it, since the RDB is all here, and acknowledges the stream', async () => {
    const published = Promise.withResolvers<undefined>();
    const rig = new Rig(fullSyncScript('mark'));
    rig.sink.before = (what) => (what === 'publish' ? published.promise : undefined);
    await rig.open();
    await rig.until('the stream', () => rig.sink.stream.length === written.length);
    rig.stop.abort(new Error('stop'));
    await turns(20);
    expect(rig.isOver).toBe(false);
    published.resolve(undefined);
    await rig.until('the end', () => rig.isOver);
    expect(rig.failure).toBeUndefined();
    expect(rig.primary.link.acks.at(-1)).toBe(start + written.length);
  });

  test('while streaming it makes durable what it has, acknowledges that, and takes nothing more', async () => {
    const drained = Promise.withResolvers<undefined>();
    const sink = MemorySink.after({ id: fakeId, offset: start }, written);
    sink.before = (what) => (what === 'drain' ? drained.promise : undefined);
    const rig = new Rig(continueScript(fakeId, written), sink);
    await rig.open();
    await rig.until('the stream', () => sink.stream.length === 2 * written.length);
    rig.stop.abort(new Error('stop'));
    await turns(5);
    rig.primary.link.read(written);
    await rig.clock.advance(2_000);
    drained.resolve(undefined);
    await rig.until('the end', () => rig.isOver);
    const durable = start + 2 * written.length;
    expect(sink.durable).toBe(durable);
    expect(rig.primary.link.acks.at(-1)).toBe(durable);
    expect(rig.clock.pending).toBe(0);
  });

  test('and busy with that, it does not go back to acknowledging 0', async () => {
    const drained = Promise.withResolvers<undefined>();
    const sink = MemorySink.after({ id: fakeId, offset: start }, written);
    sink.before = (what) => (what === 'drain' ? drained.promise : undefined);
    const rig = new Rig(continueScript(fakeId, Buffer.alloc(0)), sink);
    await rig.open();
    await rig.until('the attachment', () => rig.told.length === 2);
    rig.stop.abort(new Error('stop'));
    await rig.clock.advance(3_000);
    drained.resolve(undefined);
    await rig.until('the end', () => rig.isOver);
    const durable = start + written.length;
    expect(rig.primary.link.acks).toEqual([durable, durable, durable, durable, durable]);
  });

  test('when the link breaks meanwhile, what it has becomes durable all the same', async () => {
    const drained = Promise.withResolvers<undefined>();
    const sink = MemorySink.after({ id: fakeId, offset: start }, Buffer.alloc(0));
    sink.before = (what) => (what === 'drain' ? drained.promise : undefined);
    const rig = new Rig(continueScript(fakeId, written), sink);
    await rig.open();
    await rig.until('the stream', () => sink.stream.length === written.length);
    rig.stop.abort(new Error('stop'));
    await turns(5);
    rig.primary.link.lose();
    drained.resolve(undefined);
    await rig.until('the end', () => rig.isOver);
    expect(rig.failure).toBeUndefined();
    expect(sink.durable).toBe(start + written.length);
  });
});

/** The same bytes in two reads. */
function splitOnce(parts: readonly Buffer[]): Buffer[] {
  const bytes = Buffer.concat(parts);
  const middle = Math.floor(bytes.length / 2);
  return [bytes.subarray(0, middle), bytes.subarray(middle)].filter((part) => part.length > 0);
}
