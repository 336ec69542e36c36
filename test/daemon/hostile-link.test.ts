// A journal that lies to the one that follows it over a link: whatever comes, the run goes on, says what was wrong, stores
// nothing that is not sound, holds bounded memory, and takes up an honest journal where it was.
import { crc32, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { encodeBase } from '../../journal-format/base.ts';
import { idEntriesMax } from '../../journal-format/limits.ts';
import { linkBodyBytesMax, queueBytesMax } from '../../src/core/limits.ts';
import { baseIdentity } from '../../src/redis/link-state.ts';
import type { LogEntry } from '../../src/redis/link-log.ts';
import { fakeId, smallRdb, streamCommand } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import {
  attachEntry,
  journalReplies,
  linkChunkOfBase,
  linkedRecord,
  linkStamp,
  LinkTalk,
  noteEntry,
  sampleEntry,
  streamEntry,
} from '../support/link-talk.ts';
import { Random } from '../support/random.ts';
import { baseOffset, HostileRig } from './hostile-rig.ts';

const asksLink = true;
const otherId = 'b'.repeat(40);
const rdb = smallRdb(fakeId, baseOffset);
const record = linkedRecord(rdb, fakeId, baseOffset);
const before = Buffer.concat(Array.from({ length: 10 }, (_, i) => streamCommand('SET', `key:${i}`, 'before')));
const after = streamCommand('SET', 'key', 'after');
const end = baseOffset + before.length;
const next = end + 1;
const resync = `+FULLRESYNC ${fakeId} ${baseOffset}\r\n`;

/** A journal that keeps to the page: `talk` says what it has behind the offset asked for, or behind its base. */
function journal(talk: (from: number | undefined) => LinkTalk, answer = resync): FakeScript {
  return {
    replies: journalReplies,
    psync: (id, offset) => {
      const goesOn = id === fakeId && offset > 0;
      const head = goesOn ? '+CONTINUE\r\n' : answer;
      return Buffer.concat([Buffer.from(head), talk(goesOn ? offset : undefined).bytes]);
    },
    readBytesMax: 60_000,
  };
}

const all = Buffer.concat([before, after]);
const honest = journal((from) => {
  const talk = from === undefined ? new LinkTalk().base(rdb, record) : new LinkTalk();
  const start = from ?? baseOffset + 1;
  const left = all.subarray(start - baseOffset - 1);
  return left.length === 0 ? talk : talk.stream(start, left);
});

/** One that has followed an honest journal: `before` is durable. */
async function following(segmentBytes = 300): Promise<HostileRig> {
  const rig = await HostileRig.start(
    journal((from) =>
      from === undefined ? new LinkTalk().base(rdb, record).stream(baseOffset + 1, before) : new LinkTalk(),
    ),
    { segmentBytes, asksLink },
  );
  await rig.untilDurable(end);
  return rig;
}

interface Lie {
  readonly what: string;
  /** Behind +FULLRESYNC, or behind +CONTINUE. */
  readonly talk: LinkTalk;
  /** It says no more, and hangs up. */
  readonly hangsUp?: true;
  readonly code?: string;
  readonly message: RegExp;
}

const say = (): LinkTalk => new LinkTalk();
const based = (): LinkTalk => say().base(rdb, record);
const document = encodeBase(record).bytes;

/** A frame whose header was altered behind its making. */
function altered(talk: LinkTalk, change: (bytes: Buffer) => void, seals = true): LinkTalk {
  const { bytes } = talk;
  change(bytes);
  if (seals) bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
  return say().raw(bytes);
}

const frames: readonly Lie[] = [
  { what: 'garbage', talk: say().raw('garbage '.repeat(100)), message: /no frame/ },
  { what: 'a plain stream', talk: say().raw(streamCommand('SET', 'a'.repeat(30), 'b')), message: /no frame/ },
  { what: 'a plain full sync', talk: say().raw(`$${rdb.length}\r\n${rdb.toString('latin1')}`), message: /no frame/ },
  {
    what: 'a body longer than any',
    talk: altered(say().state(), (bytes) => {
      bytes.writeUInt32LE(0xffff_ffff, 8);
      bytes.writeUInt32LE(0xffff_ffff, 12);
    }),
    message: /4294967295 bytes/,
  },
  {
    what: 'a body that claims to become longer than any',
    talk: altered(say().frame('log', next, Buffer.alloc(1000), 'packed'), (bytes) =>
      bytes.writeUInt32LE(linkBodyBytesMax + 1, 12),
    ),
    message: /stand for 10485761/,
  },
  {
    what: 'a bomb of zstd',
    talk: bomb(64 * 1024 * 1024, 1024 * 1024),
    message: /cannot be decompressed/,
  },
  { what: 'a body that becomes shorter than it claims', talk: bomb(1000, 2000), message: /1000 bytes instead of 2000/ },
  {
    what: 'a header with a wrong checksum',
    talk: altered(say().state(), (bytes) => bytes.writeUInt8(bytes.readUInt8(28) ^ 1, 28), false),
    message: /no frame/,
  },
  {
    what: 'a body with a wrong checksum',
    talk: altered(say().state(), (bytes) => bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40)),
    message: /wrong checksum/,
  },
  { what: 'a frame twice', talk: twice(say().state()), message: /one is missing/ },
  {
    what: 'a frame that does not end',
    talk: say().raw(say().state().bytes.subarray(0, 40)),
    hangsUp: true,
    code: 'link-lost',
    message: /lost/,
  },
  { what: 'nothing more', talk: say(), hangsUp: true, code: 'link-lost', message: /lost/ },
  { what: 'a state that is too short', talk: say().frame('state', 0, Buffer.alloc(10)), message: /a state of 10/ },
  { what: 'a state whose head is behind', talk: say().state({ durable: 5, head: 4 }), message: /head 4 is before 5/ },
  {
    what: 'a required frame of a later version',
    talk: altered(say().frame('log', next, Buffer.alloc(0)), (bytes) => (bytes[4] = 9)),
    code: 'link-unsupported',
    message: /kind 9/,
  },
];

const bases: readonly Lie[] = [
  { what: 'the stream without a base', talk: say().stream(baseOffset + 1, before), message: /the stream from 1001 on/ },
  { what: 'a piece without a base', talk: say().frame('piece', 0, rdb), message: /a piece of \d+ bytes at 0/ },
  { what: 'a base that is none', talk: say().frame('base', 0, Buffer.alloc(500, 7)), message: /makes no sense/ },
  {
    what: 'a base with a byte altered',
    talk: say().frame('base', 0, flipped(document, 60)),
    message: /makes no sense/,
  },
  {
    what: 'a base of another id',
    talk: say().base(rdb, { ...record, id: otherId }),
    message: /a base at bbbb.*instead of aaaa/,
  },
  {
    what: 'a base of another offset',
    talk: say().base(rdb, { ...record, offset: 7 }),
    message: /a base at a{40}:7 instead/,
  },
  {
    what: 'a base whose document says another position than its RDB',
    talk: say().base(rdb, { ...record, aux: { ...record.aux, 'repl-offset': '999' } }),
    code: 'base-position',
    message: /:999/,
  },
  { what: 'a base in another db', talk: say().base(rdb, { ...record, db: 3 }), message: /in db 3/ },
  {
    what: 'a base in a db that is none',
    talk: say().base(rdb, { ...record, aux: { ...record.aux, 'repl-stream-db': 'x' } }),
    code: 'rdb-broken',
    message: /repl-stream-db 'x'/,
  },
  {
    what: 'a base in chunks that nobody holds in memory',
    talk: say().frame('base', 0, encodeBase({ ...record, chunk: 0xffff_ffff }).bytes),
    message: /in chunks of 4294967295/,
  },
  { what: 'a base that goes on where nothing is held', talk: say().base(rdb, record, 10), message: /goes on at 10/ },
  { what: 'a base that goes on behind its end', talk: say().base(rdb, record, rdb.length), message: /begins at \d+/ },
  {
    what: 'two bases',
    talk: say().frame('base', 0, document).frame('base', 0, document),
    message: /a base that begins at 0/,
  },
  {
    what: 'a base behind the stream',
    talk: based()
      .stream(baseOffset + 1, before)
      .frame('base', 0, document),
    message: /a base that begins at 0/,
  },
  {
    what: 'a piece of nothing',
    talk: say().frame('base', 0, document).frame('piece', 0, Buffer.alloc(0)),
    message: /piece of 0/,
  },
  {
    what: 'a hole between pieces',
    talk: say().frame('base', 0, document).frame('piece', 1, rdb.subarray(1)),
    message: /at 1/,
  },
  {
    what: 'a piece that goes back',
    talk: say().frame('base', 0, document).frame('piece', 0, rdb.subarray(0, 9)).frame('piece', 5, rdb.subarray(5)),
    message: /at 5/,
  },
  {
    what: 'a piece behind the end',
    talk: say()
      .frame('base', 0, document)
      .frame('piece', 0, Buffer.concat([rdb, rdb])),
    message: /at 0/,
  },
  {
    what: 'half a base',
    talk: say().frame('base', 0, document).frame('piece', 0, rdb.subarray(0, 50)),
    hangsUp: true,
    code: 'link-lost',
    message: /lost/,
  },
  {
    what: 'the stream in the middle of a base',
    talk: say()
      .frame('base', 0, document)
      .frame('piece', 0, rdb.subarray(0, 9))
      .stream(baseOffset + 1, before),
    message: /the stream from 1001 on/,
  },
  {
    what: 'an RDB that is not the one of its document',
    talk: say().base(flipped(rdb, rdb.length - 20), record),
    code: 'base-differs',
    message: /is not the base that the other journal has/,
  },
  {
    what: 'a document of which the RDB knows nothing',
    talk: say().base(rdb, { ...record, aux: { ...record.aux, 'redis-ver': '99.0.0' } }),
    code: 'base-differs',
    message: /is not the base/,
  },
  {
    what: 'a document with another version of RDB',
    talk: say().base(rdb, { ...record, version: 99 }),
    code: 'base-differs',
    message: /is not the base/,
  },
];

const logs: readonly Lie[] = [
  { what: 'a base in the stream', talk: say().base(rdb, record), message: /a base that begins at 0/ },
  { what: 'a piece in the stream', talk: say().frame('piece', 0, rdb), message: /a piece of/ },
  { what: 'a stream that goes back', talk: say().stream(next - 5, after), message: /the stream from \d+ on/ },
  { what: 'a stream with a hole', talk: say().stream(next + 5, after), message: /the stream from \d+ on/ },
  { what: 'a stream from nowhere', talk: say().frame('log', 0, Buffer.from([1])), message: /the stream from 0 on/ },
  { what: 'a log frame of nothing', talk: say().frame('log', next, Buffer.alloc(0)), message: /without entries/ },
  {
    what: 'an entry of a kind that nobody has',
    talk: say().frame('log', next, Buffer.from([0, 0, 0, 0, 0, 0])),
    message: /kind 0/,
  },
  {
    what: 'a required entry of a later version',
    talk: say().frame('log', next, Buffer.from([9, 1, 0, 0, 0, 0])),
    code: 'link-unsupported',
    message: /kind 9/,
  },
  {
    what: 'an entry that runs over the end',
    talk: say().frame('log', next, Buffer.from([2, 0, 0, 0, 100, 0])),
    message: /over the end/,
  },
  {
    what: 'an attachment without an id',
    talk: say().log([noteEntry('attach', next, linkStamp, Buffer.alloc(56, 'X'))]),
    message: /replication id/,
  },
  {
    what: 'an attachment that is too short',
    talk: say().log([noteEntry('attach', next, linkStamp, Buffer.alloc(5))]),
    message: /attach meta/,
  },
  {
    what: 'a sample that is cut',
    talk: say().log([noteEntry('sample', next, linkStamp, Buffer.alloc(9, 1))]),
    message: /samples in/,
  },
  {
    what: 'a tick with more than a stamp',
    talk: say().log([noteEntry('tick', next, linkStamp, Buffer.alloc(1))]),
    message: /a tick with 1/,
  },
  {
    what: 'what is no command',
    talk: say().stream(next, Buffer.from('SET a b\r\n')),
    code: 'protocol-broken',
    message: /must begin with '\*'/,
  },
];

function flipped(bytes: Buffer, at: number): Buffer {
  const other = Buffer.from(bytes);
  other.writeUInt8(other.readUInt8(at) ^ 1, at);
  return other;
}

function twice(talk: LinkTalk): LinkTalk {
  return say().raw(talk.bytes).raw(talk.bytes);
}

/** So much in it, and what is claimed. */
function bomb(bytes: number, claimed: number): LinkTalk {
  const packed = zstdCompressSync(Buffer.alloc(bytes));
  return altered(say().frame('log', next, packed), (header) => {
    header[5] = 3;
    header.writeUInt32LE(claimed, 12);
  });
}

/** It told what was wrong, goes on with an honest journal, and has every byte that was right. */
async function expectToGoOn(rig: HostileRig, lie: Lie, told: number): Promise<void> {
  if (lie.hangsUp === true) {
    await rig.clock.advance(2000);
    rig.primary.link.lose();
  }
  await rig.until('the lie to be noticed', () => rig.interruptions.length > told);
  const error = rig.interruptions[told];
  expect(error).toMatchObject({ name: 'LinkError', code: lie.code ?? 'link-broken' });
  expect(error?.message).toMatch(lie.message);
  expect(error?.message.length).toBeLessThan(400);
  expect(error?.message).toMatch(/^[\x20-\x7e…]*$/);
  rig.primary.script = honest;
  await rig.untilDurable(baseOffset + all.length);
  const timelines = await rig.end();
  expect(timelines).toHaveLength(1);
  for (const timeline of timelines) expect(await rig.streamOf(timeline)).toEqual(all);
  expect(timelines[0]?.base.record).toMatchObject({
    id: fakeId,
    offset: baseOffset,
    size: rdb.length,
    aux: record.aux,
  });
}

describe.each(['in large reads', 'in single bytes'])('%s', (how) => {
  const readBytesMax = how === 'in large reads' ? 60_000 : 1;
  const toldHere = (lies: readonly Lie[]): Lie[] =>
    lies.filter(({ talk }) => readBytesMax > 1 || talk.bytes.length < 2000);

  test.each([...toldHere(frames), ...toldHere(bases)])('instead of a base: $what', async (lie) => {
    const psync = (): Buffer => Buffer.concat([Buffer.from(resync), lie.talk.bytes]);
    await using rig = await HostileRig.start({ replies: journalReplies, psync, readBytesMax }, { asksLink });
    await expectToGoOn(rig, lie, 0);
  });

  test.each([...toldHere(frames), ...toldHere(logs)])('in the stream: $what', async (lie) => {
    await using rig = await following();
    const psync = (): Buffer => Buffer.concat([Buffer.from('+CONTINUE\r\n'), lie.talk.bytes]);
    await rig.next({ replies: journalReplies, psync, readBytesMax });
    await expectToGoOn(rig, lie, 1);
  });
});

test('silence ends the link after a minute: before a base, in it, in the stream', async () => {
  const silences = [
    resync,
    Buffer.concat([Buffer.from(resync), say().frame('base', 0, document).bytes]),
    Buffer.concat([Buffer.from(resync), based().bytes]),
  ];
  for (const said of silences) {
    await using rig = await HostileRig.start(
      { replies: journalReplies, psync: () => Buffer.from(said as string) },
      { asksLink },
    );
    await rig.clock.advance(58_000);
    expect(rig.interruptions).toEqual([]);
    await rig.until('it to be noticed', () => rig.interruptions.length > 0);
    expect(rig.interruptions[0]).toMatchObject({ code: 'silent' });
  }
});

describe('what may be said, though it is odd,', () => {
  /** Behind the stream so far; then the honest end of it. */
  async function afterNotes(entries: readonly LogEntry[]): Promise<HostileRig> {
    const rig = await following();
    await rig.next(journal((from) => say().log([...entries, streamEntry(from ?? 0, after, linkStamp + 10_000)])));
    await rig.untilDurable(end + after.length);
    return rig;
  }

  test('is a stamp before those that came: they do not go back', async () => {
    await using rig = await afterNotes([noteEntry('tick', next, 5)]);
    expect(rig.progress?.lastStamp).toBe(linkStamp + 10_000);
    await rig.end();
  });

  test('is an attachment that contradicts: an older one is none, a name that was left is no switch back', async () => {
    await using rig = await afterNotes([
      attachEntry(next, otherId, linkStamp + 5000),
      attachEntry(next, fakeId, linkStamp + 4000),
      attachEntry(next, fakeId, linkStamp + 6000, linkStamp + 9_999_999),
    ]);
    const [timeline] = await rig.end();
    expect(timeline?.ids).toEqual([
      { id: fakeId, offset: baseOffset + 1 },
      { id: otherId, offset: next },
    ]);
  });

  test('is a sample of anything', async () => {
    const sample = {
      stamp: linkStamp + 5000,
      primaryTime: 0,
      primaryOffset: Number.MAX_SAFE_INTEGER,
      roundTripMicros: 0xffff_ffff,
    };
    await using rig = await afterNotes([sampleEntry(next, [sample, { ...sample, stamp: 1 }])]);
    await rig.end();
  });

  test('is a history of many names, up to as many as a segment can tell', async () => {
    await using rig = await following();
    const entries = Array.from({ length: idEntriesMax + 1 }, (_, i) =>
      attachEntry(next, i.toString(16).padStart(40, '0'), linkStamp + 5000 + i),
    );
    await rig.next(journal(() => say().log(entries)));
    await rig.until('the refusal', () => rig.interruptions.length > 1);
    expect(rig.interruptions[1]).toMatchObject({ code: 'too-many-names', retry: 'later' });
    await rig.next(journal((from) => say().stream(from ?? 0, all.subarray((from ?? 0) - baseOffset - 1))));
    const [timeline] = await rig.end();
    expect(timeline?.ids).toHaveLength(idEntriesMax);
  });
});

describe('a base that was broken off', () => {
  const large = largeRdb(2_600_000);
  const itsRecord = linkedRecord(large, fakeId, baseOffset);
  const half = say().base(large, itsRecord).bytes.subarray(0, 2_200_000);
  const held = 2 * linkChunkOfBase;
  const identity = baseIdentity(itsRecord);

  async function brokenOff(): Promise<HostileRig> {
    const psync = (): Buffer => Buffer.concat([Buffer.from(resync), half]);
    const rig = await HostileRig.start(
      { replies: journalReplies, psync, readBytesMax: 60_000 },
      { segmentBytes: 1 << 20, asksLink },
    );
    await rig.clock.advance(3000);
    return rig;
  }

  const others: readonly { readonly what: string; readonly talk: LinkTalk; readonly message: RegExp }[] = [
    {
      what: 'a base with other bytes',
      talk: say().base(large, { ...itsRecord, chunks: Uint32Array.of(1, 2, 3) }, held),
      message: /goes on at 2097152, where nothing of it is held/,
    },
    {
      what: 'a base of another id',
      talk: say().base(large, { ...itsRecord, id: otherId }, held),
      message: /goes on at|a base at b/,
    },
    { what: 'another place', talk: say().base(large, itsRecord, linkChunkOfBase), message: /goes on at 1048576/ },
    {
      what: 'a piece of another place',
      talk: say().frame('base', held, encodeBase(itsRecord).bytes).frame('piece', 0, large.subarray(0, 9)),
      message: /at 0/,
    },
  ];

  test.each(others)('does not go on with $what, and goes on where it was after that', async ({ talk, message }) => {
    await using rig = await brokenOff();
    await rig.next({
      replies: journalReplies,
      psync: () => Buffer.concat([Buffer.from(resync), talk.bytes]),
      readBytesMax: 60_000,
    });
    await rig.until('the lie to be noticed', () => rig.interruptions.length > 1);
    expect(rig.primary.link.received).toContain(`REPLCONF journal-base ${identity} ${held}`);
    expect(rig.interruptions[1]).toMatchObject({ code: 'link-broken' });
    expect(rig.interruptions[1]?.message).toMatch(message);
    rig.primary.script = journal((from) =>
      from === undefined
        ? say()
            .base(large, itsRecord, held)
            .stream(baseOffset + 1, after)
        : say(),
    );
    await rig.untilDurable(baseOffset + after.length);
    expect(rig.primary.link.received).toContain(`REPLCONF journal-base ${identity} ${held}`);
    const [timeline] = await rig.end();
    expect(timeline?.base.record).toMatchObject({ size: large.length, stamp: linkStamp });
  });

  test('with wrong bytes under the right checksums of frames is thrown away, and fetched anew', async () => {
    await using rig = await brokenOff();
    const wrong = flipped(large, large.length - 100);
    await rig.next({
      replies: journalReplies,
      psync: () => Buffer.concat([Buffer.from(resync), say().base(wrong, itsRecord, held).bytes]),
      readBytesMax: 60_000,
    });
    await rig.until('the lie to be noticed', () => rig.interruptions.length > 1);
    expect(rig.interruptions[1]).toMatchObject({ code: 'base-differs', retry: 'later' });
    rig.primary.script = journal((from) =>
      from === undefined
        ? say()
            .base(large, itsRecord)
            .stream(baseOffset + 1, after)
        : say(),
    );
    await rig.untilDurable(baseOffset + after.length);
    expect(rig.primary.link.received.join()).not.toContain('journal-base');
    await rig.end();
  });
});

describe('while the disk is slow', () => {
  /** What comes in one go, with no write of it returning: what was taken by then. Then the disk goes on. */
  async function flooded(
    talk: LinkTalk,
  ): Promise<{ readonly rig: HostileRig; readonly taken: HostileRig['progress'] }> {
    const rig = await following(1 << 26);
    const gate = Promise.withResolvers<undefined>();
    rig.disk.gate = ({ kind }) => (kind === 'write' ? gate.promise : undefined);
    await rig.next(journal(() => talk));
    await rig.clock.advance(3000);
    const taken = rig.progress;
    gate.resolve(undefined);
    return { rig, taken };
  }

  test('a stream that is compressed a thousandfold is taken no further than the queue holds', async () => {
    const command = streamCommand('SET', 'key', '0'.repeat(3_000_000));
    const talk = say();
    for (let i = 0; i < 10; i += 1) talk.log([streamEntry(next + i * command.length, command)], 'packed');
    expect(talk.bytes.length).toBeLessThan(20_000);
    const { rig, taken } = await flooded(talk);
    await using _ = rig;
    expect((taken?.received ?? 0) - end).toBeLessThan(queueBytesMax + 2 * command.length);
    await rig.untilDurable(end + 10 * command.length);
    expect(rig.interruptions).toHaveLength(1);
    await rig.end();
  });

  test('notes without end are taken no further than the queue holds', async () => {
    const ticks = 45_000;
    const first = linkStamp + 1_000_000;
    const talk = say().log(
      Array.from({ length: ticks }, (_, i) => noteEntry('tick', next, first + i)),
      'packed',
    );
    const { rig, taken } = await flooded(talk);
    await using _ = rig;
    expect((taken?.lastStamp ?? 0) - first).toBeGreaterThan(1000);
    expect((taken?.lastStamp ?? 0) - first).toBeLessThan(ticks / 2);
    await rig.until('all of them', () => rig.progress?.lastStamp === first + ticks - 1);
    await rig.end();
  });
});

/** One key with so large a value, and no checksum. */
function largeRdb(bytes: number): Buffer {
  const head = Buffer.from([0xfe, 0, 0, 3, 0x6b, 0x65, 0x79, 0x80, 0, 0, 0, 0]);
  head.writeUInt32BE(bytes, 8);
  const random = new Random(1);
  const value = Buffer.alloc(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4) value.writeUInt32LE(random.below(0xffff_ffff), i);
  return Buffer.concat([
    smallRdb(fakeId, baseOffset).subarray(0, -9),
    head,
    value,
    Buffer.from([0xff]),
    Buffer.alloc(8),
  ]);
}
