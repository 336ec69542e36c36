// A primary that lies, or a wire that changes what it says: whatever comes, the run goes on, says what was wrong, keeps
// what was journaled, and takes up an honest primary where it was. The rig lets time pass and judges what is on disk.
import { describe, expect, test } from 'vitest';
import { fakeId, fullSync, smallRdb, streamCommand } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import { HostileRig, baseOffset, honestPsync } from './hostile-rig.ts';

const before = Buffer.concat([
  streamCommand('SELECT', '3'),
  ...Array.from({ length: 20 }, (_, i) => streamCommand('SET', `key:${i}`, 'before')),
]);
const after = Buffer.concat([streamCommand('SET', 'key', 'after'), streamCommand('SET', 'key', 'last')]);
const end = baseOffset + before.length;
const resync = `+FULLRESYNC ${fakeId} ${baseOffset}\r\n`;
const mark = 'e'.repeat(40);

interface Lie {
  readonly what: string;
  /** What PSYNC is answered with, and what follows. */
  readonly says: Buffer | string;
  /** The connection is lost behind it. */
  readonly hangsUp?: boolean;
  readonly code: string;
  readonly retry: 'soon' | 'later';
  readonly message: RegExp;
}

const broken = { code: 'protocol-broken', retry: 'soon' } as const;
const brokenLater = { code: 'protocol-broken', retry: 'later' } as const;
const rdbBroken = { code: 'rdb-broken', retry: 'later' } as const;

/** An RDB with these bytes between its AUX fields and its end. */
function rdbWith(...middle: (number | string | Buffer)[]): Buffer {
  const rdb = smallRdb(fakeId, baseOffset);
  const parts = middle.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part as string)));
  return Buffer.concat([rdb.subarray(0, -9), ...parts, rdb.subarray(-9)]);
}

function aux(name: Buffer | string, value: Buffer | string): Buffer {
  const text = (of: Buffer | string): Buffer =>
    Buffer.concat([Buffer.of(Buffer.byteLength(of)), Buffer.from(of as string)]);
  return Buffer.concat([Buffer.of(0xfa), text(name), text(value)]);
}

const sync = (rdb: Buffer): Buffer => fullSync(fakeId, baseOffset, 'length', rdb);

const answers: readonly Lie[] = [
  { what: 'a bad id', says: `+FULLRESYNC ${'x'.repeat(40)} 1\r\n`, ...brokenLater, message: /FULLRESYNC xxxx/ },
  { what: 'an id that is too short', says: '+FULLRESYNC abc 1\r\n', ...brokenLater, message: /FULLRESYNC abc 1/ },
  { what: 'no offset', says: `+FULLRESYNC ${fakeId}\r\n`, ...brokenLater, message: /FULLRESYNC/ },
  { what: 'a negative offset', says: `+FULLRESYNC ${fakeId} -1\r\n`, ...brokenLater, message: /-1/ },
  { what: 'an offset of letters', says: `+FULLRESYNC ${fakeId} 12ab\r\n`, ...brokenLater, message: /12ab/ },
  {
    what: 'an offset above 2^53',
    says: `+FULLRESYNC ${fakeId} 9007199254740993\r\n`,
    ...brokenLater,
    message: /9007199254740993/,
  },
  {
    what: 'an offset of 2^53 - 1, behind which there is no room',
    says: fullSync(fakeId, Number.MAX_SAFE_INTEGER, 'length'),
    ...brokenLater,
    message: /9007199254740991/,
  },
  { what: 'words behind the offset', says: `+FULLRESYNC ${fakeId} 1 2\r\n`, ...brokenLater, message: /FULLRESYNC/ },
  { what: 'an offset behind +CONTINUE', says: `+CONTINUE ${fakeId} 5\r\n`, ...brokenLater, message: /CONTINUE/ },
  { what: 'a bad id behind +CONTINUE', says: '+CONTINUE abc\r\n', ...brokenLater, message: /CONTINUE abc/ },
  { what: 'a null', says: '$-1\r\n', code: 'unexpected-reply', retry: 'later', message: /null/ },
  {
    what: 'a length beyond everything',
    says: '$99999999999999999999\r\n',
    ...broken,
    message: /length '99999999999999999999'/,
  },
  { what: 'a negative count', says: '*-5\r\n', ...broken, message: /length '-5'/ },
  { what: 'a length of letters', says: '$abc\r\n', ...broken, message: /length 'abc'/ },
  { what: 'a count of a thousand million', says: '*1000000000\r\n', ...broken, message: /longer than/ },
  { what: 'arrays in arrays in arrays', says: '*1\r\n'.repeat(10_000), ...broken, message: /nested/ },
  { what: 'a line without end', says: `+${'x'.repeat(100_000)}`, ...broken, message: /line longer than/ },
  {
    what: 'a bulk string without end',
    says: `$900000\r\n${'x'.repeat(900_000)}garbage`,
    ...broken,
    message: /not followed by CR LF/,
  },
  { what: 'garbage', says: 'HTTP/1.1 400 Bad Request\r\n\r\n', ...broken, message: /cannot begin with 'H'/ },
  {
    what: 'an error with control characters',
    says: '-ERR \x1b[31mred\r\n',
    code: 'refused',
    retry: 'later',
    message: /\?\[31mred/,
  },
];

const transfers: readonly Lie[] = [
  { what: 'no length', says: `${resync}$\r\n`, ...broken, message: /announced the full sync with '\$'/ },
  { what: 'a negative length', says: `${resync}$-1\r\n`, ...broken, message: /'\$-1'/ },
  { what: 'a length of zero', says: `${resync}$0\r\n`, ...broken, message: /'\$0'/ },
  { what: 'a length of 2^60', says: `${resync}$1152921504606846976\r\n`, ...broken, message: /1152921504606846976/ },
  {
    what: 'a length beyond everything',
    says: `${resync}$99999999999999999999\r\n`,
    ...broken,
    message: /99999999999999999999/,
  },
  { what: 'a length of letters', says: `${resync}$12abc\r\n`, ...broken, message: /12abc/ },
  { what: 'an array', says: `${resync}*-5\r\n`, ...broken, message: /announced the full sync with/ },
  { what: 'a mark that is too short', says: `${resync}$EOF:abc\r\n`, ...broken, message: /EOF:abc/ },
  { what: 'a line without end', says: `${resync}$${'1'.repeat(100_000)}`, ...broken, message: /line without end/ },
  { what: 'an error', says: `${resync}-ERR no disk\r\n`, code: 'refused', retry: 'later', message: /no disk/ },
  {
    what: 'newlines, and then nothing',
    says: `${resync}${'\n'.repeat(300_000)}`,
    hangsUp: true,
    code: 'link-lost',
    retry: 'soon',
    message: /lost/,
  },
  { what: 'no RDB', says: `${resync}$12\r\nnothing here`, ...rdbBroken, message: /does not begin with REDIS/ },
  {
    what: 'a mark at once, which is data then',
    says: `${resync}$EOF:${mark}\r\n${mark}`,
    hangsUp: true,
    code: 'link-lost',
    retry: 'soon',
    message: /lost/,
  },
  {
    what: 'half an RDB',
    says: sync(rdbWith()).subarray(0, -30),
    hangsUp: true,
    code: 'link-lost',
    retry: 'soon',
    message: /lost/,
  },
  {
    what: 'an RDB that ends in its head',
    says: Buffer.from(`${resync}$20\r\nREDIS0010\xfa\x20unfinishe`, 'latin1'),
    ...broken,
    code: 'protocol-broken',
    retry: 'later',
    message: /ended before its first key/,
  },
  {
    what: 'another id in the RDB',
    says: sync(smallRdb('c'.repeat(40), baseOffset)),
    code: 'base-position',
    retry: 'later',
    message: /cccc.*:1000/,
  },
  {
    what: 'another offset in the RDB',
    says: sync(smallRdb(fakeId, 999)),
    code: 'base-position',
    retry: 'later',
    message: /:999/,
  },
  {
    what: 'a position of garbage in the RDB',
    says: sync(smallRdb('\x1b[31m', baseOffset)),
    code: 'base-position',
    retry: 'later',
    message: /\?\[31m:1000/,
  },
  {
    what: 'a db that is none',
    says: sync(smallRdb(fakeId, baseOffset, { 'repl-stream-db': 'x' })),
    ...rdbBroken,
    message: /repl-stream-db 'x'/,
  },
  {
    what: 'a db beyond 32 bits',
    says: sync(smallRdb(fakeId, baseOffset, { 'repl-stream-db': '9999999999' })),
    ...rdbBroken,
    message: /repl-stream-db '9999999999'/,
  },
  {
    what: 'a field of 2^60 bytes',
    says: sync(rdbWith(0xfa, 0x81, Buffer.from('1000000000000000', 'hex'))),
    ...rdbBroken,
    message: /AUX field of/,
  },
  {
    what: 'a field that claims to be a gigabyte when unpacked',
    says: sync(rdbWith(0xfa, 0xc3, 5, 0x80, Buffer.from('40000000', 'hex'), 'xxxxx')),
    ...rdbBroken,
    message: /AUX field of 1073741824/,
  },
  {
    what: 'a value of 2^60 bytes',
    says: sync(rdbWith(0, 1, 'k', 0x81, Buffer.from('1000000000000000', 'hex'))),
    ...rdbBroken,
    message: /ends too early/,
  },
  {
    what: 'a list of 2^64 - 1 elements',
    says: sync(rdbWith(1, 1, 'k', 0x81, Buffer.from('ffffffffffffffff', 'hex'))),
    ...rdbBroken,
    message: /RDB is broken/,
  },
  { what: 'a string in no encoding', says: sync(rdbWith(0, 1, 'k', 0xc7)), ...rdbBroken, message: /encoded as 199/ },
  {
    what: 'its end in its middle',
    says: sync(rdbWith(0xff, 'trailing bytes, more than a checksum')),
    ...rdbBroken,
    message: /bytes follow its end/,
  },
  {
    what: 'a wrong checksum',
    says: sync(Buffer.concat([smallRdb(fakeId, baseOffset).subarray(0, -8), Buffer.from('checksum')])),
    code: 'base-checksum',
    retry: 'later',
    message: /checksum is/,
  },
];

const streams: readonly Lie[] = [
  { what: 'inline commands', says: 'SET a b\r\n', ...broken, message: /must begin with '\*'/ },
  { what: 'a newline', says: '\n', ...broken, message: /must begin with '\*'/ },
  { what: 'a bulk string', says: '$3\r\nabc\r\n', ...broken, message: /must begin with '\*'/ },
  { what: 'a command without arguments', says: '*0\r\n', ...broken, message: /must have arguments/ },
  { what: 'a negative count', says: '*-5\r\n', ...broken, message: /count must be decimal/ },
  { what: 'a count beyond everything', says: '*99999999999999999999\r\n', ...broken, message: /count above/ },
  { what: 'a null argument', says: '*1\r\n$-1\r\n', ...broken, message: /length must be decimal/ },
  { what: 'a length beyond everything', says: '*1\r\n$99999999999999999999\r\n', ...broken, message: /length above/ },
  { what: 'a length of letters', says: '*1\r\n$abc\r\n', ...broken, message: /length must be decimal/ },
  {
    what: 'a length that begins with 0',
    says: '*1\r\n$00000000000000000000000001\r\n',
    ...broken,
    message: /must not begin with 0/,
  },
  { what: 'arrays in arrays', says: '*1\r\n'.repeat(1000), ...broken, message: /argument must begin with '\$'/ },
  {
    what: 'a length that is too short for its argument',
    says: '*1\r\n$3\r\nabcd\r\n',
    ...broken,
    message: /followed by CR LF/,
  },
  { what: 'a SELECT of no db', says: streamCommand('SELECT', 'x'), ...broken, message: /without a db/ },
  {
    what: 'a SELECT of a db beyond 32 bits',
    says: streamCommand('SELECT', '9999999999'),
    ...broken,
    message: /without a db/,
  },
  {
    what: 'a MULTI in a MULTI',
    says: Buffer.concat([streamCommand('MULTI'), streamCommand('MULTI')]),
    ...broken,
    message: /MULTI inside MULTI/,
  },
  { what: 'a DISCARD without a MULTI', says: streamCommand('DISCARD'), ...broken, message: /DISCARD without/ },
];

/** The run told what was wrong, goes on with an honest primary where it was, and has every byte that was right. */
async function expectToGoOn(rig: HostileRig, lie: Lie): Promise<void> {
  await rig.until('the lie to be noticed', () => rig.interruptions.length > 1);
  const told = rig.interruptions[1];
  expect(told).toMatchObject({ name: 'LinkError', code: lie.code, retry: lie.retry });
  expect(told?.message).toMatch(lie.message);
  expect(told?.message.length).toBeLessThan(400);
  expect(told?.message).toMatch(/^[\x20-\x7e…]*$/);
  rig.primary.script = { psync: honestPsync };
  const { attempts } = rig.primary;
  await rig.until('another attempt', () => rig.primary.attempts > attempts);
  rig.primary.link.say(after);
  await rig.untilDurable(end + after.length);
  const timelines = await rig.end();
  expect(timelines).toHaveLength(1);
  for (const timeline of timelines) expect(await rig.streamOf(timeline)).toEqual(Buffer.concat([before, after]));
}

describe.each(['in large reads', 'in single bytes'])('%s', (how) => {
  const isWhole = how === 'in large reads';
  const readBytesMax = isWhole ? 50_000 : 1;
  const told = (lies: readonly Lie[]): Lie[] => lies.filter(({ says }) => isWhole || says.length < 2000);

  test.each([...told(answers), ...told(transfers)])('after PSYNC: $what', async (lie) => {
    await using rig = await HostileRig.after(before);
    await rig.next({ psync: () => Buffer.from(lie.says as string), readBytesMax });
    if (lie.hangsUp === true) {
      await rig.clock.advance(2000);
      rig.primary.link.lose();
    }
    await expectToGoOn(rig, lie);
  });
});

/** The stream goes on with this. */
function going(on: Buffer | string): FakeScript {
  return { psync: () => Buffer.concat([Buffer.from('+CONTINUE\r\n'), Buffer.from(on as string)]) };
}

describe('in the stream', () => {
  test.each(streams)('$what', async (lie) => {
    await using rig = await HostileRig.after(before);
    await rig.next(going(lie.says));
    await expectToGoOn(rig, lie);
  });

  test.each(streams)('$what, byte by byte: what came before the wrong one is journaled as it came', async (lie) => {
    await using rig = await HostileRig.after(before);
    await rig.next({ ...going(lie.says), readBytesMax: 1 });
    await rig.until('the lie to be noticed', () => rig.interruptions.length > 1);
    expect(rig.interruptions[1]).toMatchObject({ name: 'LinkError', code: lie.code, retry: lie.retry });
    const [timeline] = await rig.end();
    if (timeline === undefined) throw new Error('the timeline is gone');
    const stream = await rig.streamOf(timeline);
    expect(Buffer.concat([before, Buffer.from(lie.says as string)]).subarray(0, stream.length)).toEqual(stream);
    expect(stream.length).toBeGreaterThanOrEqual(before.length);
    expect(timeline.boundary).toBeGreaterThanOrEqual(end);
  });

  test('a length that was altered and journaled breaks each resumption at the same byte, and a full sync ends that', async () => {
    await using rig = await HostileRig.after(before);
    // Sent as two commands: the altered length swallows the end of the first.
    const altered = Buffer.from(streamCommand('SET', 'key', 'value').toString().replace('$5', '$7'));
    const honest = streamCommand('SET', 'other', 'value');
    const fresh = end + 500;
    const scripts: string[] = [];
    await rig.next({
      psync: (_id, offset) => {
        scripts.push(offset < 0 ? 'full' : String(offset));
        if (offset < 0) return fullSync(fakeId, fresh, 'length');
        const sent = Buffer.concat([altered, honest]).subarray(offset - end - 1);
        return Buffer.concat([Buffer.from('+CONTINUE\r\n'), sent]);
      },
      readBytesMax: 10,
    });
    await rig.until('a full sync', () => rig.progress?.timeline === 2 && rig.progress.isEstablished);
    expect(scripts.at(-1)).toBe('full');
    expect(new Set(scripts.slice(1, -1)).size).toBe(1);
    rig.primary.link.say(after);
    await rig.untilDurable(fresh + after.length);
    expect(rig.interruptions.at(-1)).toMatchObject({ code: 'stream-broken', retry: 'later' });
    const [old, young] = await rig.end();
    expect(old?.boundary).toBe(end);
    expect(young?.gap).toMatchObject({
      cause: 'stream-broken',
      from: { timeline: 1 },
      to: { timeline: 2, offset: fresh },
    });
    expect(young?.gap?.detail).toMatch(/broke 3 times behind offset \d+: .*followed by CR LF/);
    if (young !== undefined) expect(await rig.streamOf(young)).toEqual(after);
  });

  test('a value of many megabytes and a command of a million arguments are as good as any other', async () => {
    await using rig = await HostileRig.after(before, { segmentBytes: 1 << 20 });
    const large = streamCommand('SET', 'key', 'x'.repeat(3_000_000));
    const many = Buffer.concat([Buffer.from('*1100000\r\n'), Buffer.from('$1\r\nx\r\n'.repeat(1_100_000))]);
    await rig.next({ psync: honestPsync, readBytesMax: 60_000 });
    rig.primary.link.say(Buffer.concat([large, many]));
    await rig.untilDurable(end + large.length + many.length);
    expect(rig.interruptions).toHaveLength(1);
    const [timeline] = await rig.end();
    expect(timeline?.boundary).toBe(end + large.length + many.length);
  });

  test('a MULTI that never ends makes one segment without end, and what is before it can be restored', async () => {
    await using rig = await HostileRig.after(before);
    const commands = Array.from({ length: 300 }, (_, i) => streamCommand('SET', `key:${i}`, 'inside'));
    const endless = Buffer.concat([streamCommand('MULTI'), ...commands]);
    await rig.next({ psync: honestPsync, readBytesMax: 500 });
    rig.primary.link.say(endless);
    await rig.untilDurable(end + endless.length);
    // A new link goes on in the middle of it.
    await rig.next({ psync: honestPsync });
    rig.primary.link.say(streamCommand('EXEC'));
    await rig.untilDurable(end + endless.length + streamCommand('EXEC').length);
    const [timeline] = await rig.end();
    expect(timeline?.segments.at(-1)?.start).toBeLessThanOrEqual(end + 1);
    expect(timeline?.boundary).toBe(timeline?.end);
  });

  test('an offset beyond 2^53 - 1 is refused, and what is before it is journaled', async () => {
    const offset = Number.MAX_SAFE_INTEGER - 100;
    const psync = (id: string, from: number): Buffer =>
      id === fakeId && from > 0 ? Buffer.from('+CONTINUE\r\n') : fullSync(fakeId, offset, 'length');
    await using rig = await HostileRig.start({ psync });
    await rig.until('the base', () => rig.progress?.isEstablished === true);
    const command = streamCommand('SET', 'key', 'value');
    rig.primary.link.say(command);
    await rig.untilDurable(offset + command.length);
    rig.primary.link.say(Buffer.concat([command, command, command]));
    await rig.until('the refusal', () => rig.interruptions.length > 0);
    expect(rig.interruptions[0]).toMatchObject({ name: 'LinkError', code: 'offset-limit', retry: 'later' });
    const [timeline] = await rig.end();
    expect(timeline?.end).toBe(offset + command.length);
  });
});

describe('an RDB that is odd and yet one', () => {
  const odd: readonly (readonly [string, Buffer])[] = [
    ['a field named __proto__', rdbWith(aux('__proto__', 'polluted'))],
    ['a field named constructor', rdbWith(aux('constructor', 'polluted'))],
    ['a field without a name', rdbWith(aux('', ''))],
    ['a field there twice', rdbWith(aux('x', '1'), aux('x', '2'))],
    ['a field that is not UTF-8', rdbWith(aux(Buffer.of(0xff, 0xfe), Buffer.of(0x80, 0)))],
    [
      'a field of a thousand names',
      rdbWith(...Array.from({ length: 1000 }, (_, i) => aux(`field ${i}`, 'x'.repeat(50)))),
    ],
    ['an opcode that nobody knows', rdbWith(0xf0, 'whatever')],
    ['many dbs', rdbWith(...Array.from({ length: 3000 }, (_, i) => Buffer.of(0xfe, 0x40 | (i >> 8), i & 255)))],
  ];

  test.each(odd)('%s: it becomes a base that can be read', async (_, rdb) => {
    await using rig = await HostileRig.start({ psync: () => sync(rdb), readBytesMax: 50_000 });
    await rig.until('the base', () => rig.progress?.isEstablished === true || rig.interruptions.length > 0);
    expect(rig.interruptions).toEqual([]);
    const [timeline] = await rig.end();
    expect(timeline?.base.record.size).toBe(rdb.length);
    expect(Object.getPrototypeOf(timeline?.base.record.aux)).toBe(Object.prototype);
  });
});
