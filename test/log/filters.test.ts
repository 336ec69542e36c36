// Whoever reads only the blocks that filters do not exclude finds every command that is looked for, once: over random
// streams of all kinds of commands, cut into frames and blocks anywhere. And what verify says of filters that are wrong.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeFilters } from '../../journal-format/filters.ts';
import type { Filters } from '../../journal-format/filters.ts';
import type { BlockEntry, Footer } from '../../journal-format/footer.ts';
import { decodeFooter, encodeFooter } from '../../journal-format/footer.ts';
import { hashKey } from '../../journal-format/key-hash.ts';
import { decodeTrailer, encodeTrailer, trailerBytes } from '../../journal-format/sealed.ts';
import { blockNamesMax, filtersBytesMax, keySetKeysMax } from '../../src/core/limits.ts';
import { FiltersMaker } from '../../src/log/filters-maker.ts';
import { SealedReader } from '../../src/log/segment-reader.ts';
import { searchStretches } from '../../src/log/search-stretches.ts';
import { stretchesOf } from '../../src/log/stretches.ts';
import type { Wanted } from '../../src/log/stretches.ts';
import { verifySource } from '../../src/log/verify.ts';
import type { VerifyReport } from '../../src/log/verify-report.ts';
import { keysOf } from '../../src/redis/command-keys.ts';
import { CommandReader, nameOf } from '../../src/redis/command-reader.ts';
import type { ReaderState, StreamCommand } from '../../src/redis/command-reader.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import { commandTable } from '../../src/redis/command-table.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { streamCommand } from '../support/fake-primary.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { Random } from '../support/random.ts';
import { encodeCommand } from '../support/resp-client.ts';

const begin = { offset: 999, db: 2 };
const id = 'a'.repeat(40);
const started = 1_700_000_000_000_000;

/** A segment as its sealer sees it: stream bytes, and where blocks end. */
interface Made {
  readonly stream: Buffer;
  readonly footer: Footer;
  readonly filters: Filters | undefined;
}

/** `cuts`: how many bytes the blocks have, over and over; 0 is a block without any. */
function make(stream: Buffer, cuts: readonly number[], frameBytes = 100): Made {
  const maker = new FiltersMaker(knownCommands, begin);
  const boundaries = boundariesOf(stream);
  const blocks: BlockEntry[] = [];
  const memory = Buffer.alloc(frameBytes);
  let at = 0;
  for (let i = 0; at < stream.length || i === 0; i += 1) {
    const isLast = i > 1000 || cuts.length === 0;
    const end = Math.min(stream.length, isLast ? Infinity : at + (cuts[i % cuts.length] ?? 0));
    const before = boundaries.findLast(({ offset }) => offset <= begin.offset + at) ?? begin;
    for (let from = at; from < end; from += frameBytes) {
      const frame = memory.subarray(0, Math.min(frameBytes, end - from));
      stream.copy(frame, 0, from, end);
      maker.push(frame);
      memory.fill(0);
    }
    const offsets = { start: begin.offset + at + 1, end: begin.offset + end, boundary: before.offset, db: before.db };
    blocks.push({ position: i, storedLength: 1, rawLength: 1, crc: 0, ...offsets, firstStamp: 1, lastStamp: 1 });
    maker.endBlock(begin.offset + end);
    at = end;
  }
  const numbers = { first: 1, last: 1, durable: 0, frames: 1, raw: blocks.length, db: 0 };
  const ids = [{ id, offset: 1 }];
  const footer = { start: 1000, end: 999 + stream.length, ...numbers, ids, blocks, sha256: Buffer.alloc(32) };
  return { stream, footer, filters: maker.finish() };
}

function commandsOf(stream: Buffer, from: ReaderState, to = Infinity): StreamCommand[] {
  const reader = new CommandReader(from, { keepBytes: Infinity });
  reader.push(stream.subarray(from.offset - begin.offset, to - begin.offset));
  const commands: StreamCommand[] = [];
  for (let one = reader.next(); one !== undefined; one = reader.next()) commands.push(one);
  return commands;
}

function boundariesOf(stream: Buffer): { readonly offset: number; readonly db: number }[] {
  const ends = commandsOf(stream, begin).filter((one) => !one.inMulti || ['EXEC', 'DISCARD'].includes(nameOf(one)));
  return [begin, ...ends.map(({ end, db }) => ({ offset: end, db }))];
}

function matches(command: StreamCommand, key: Buffer | undefined, name: string | undefined): boolean {
  if (name !== undefined && nameOf(command) !== name) return false;
  const { keys, others } = keysOf(command);
  return key === undefined || others !== 'none' || keys.some((one) => one.key.equals(key));
}

/** What is found by reading the stretches, and all there is to find: positions, db. */
function search(made: Made, key: Buffer | undefined, name: string | undefined): { found: string[]; all: string[] } {
  const wanted: Wanted = { keys: key && [hashKey(key)], names: name === undefined ? undefined : [name] };
  const show = ({ start, end, db, inMulti }: StreamCommand): string => `${start} to ${end} in ${db} ${inMulti}`;
  const isMatch = (command: StreamCommand): boolean => matches(command, key, name);
  const all = commandsOf(made.stream, begin).filter(isMatch).map(show);
  const found = stretchesOf(made.footer, made.filters, wanted).flatMap(({ from, to }) =>
    commandsOf(made.stream, from, to).filter(isMatch).map(show),
  );
  return { found, all };
}

const control = new Set(['SELECT', 'MULTI', 'EXEC', 'DISCARD', 'REPLCONF']);
const names = commandTable
  .trim()
  .split('\n')
  .map((line) => line.split(' ', 1)[0]?.split('|') ?? [])
  .filter(([name = '']) => !control.has(name));
const keys = ['a', 'b', 'c', 'd', 'e', ''];
const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...keys, '1', '2', 'STORE', 'KEYS', 'STREAMS') },
  { weight: 1, arbitrary: fc.nat({ max: 900 }).map((length) => 'v'.repeat(length)) },
);
const usual = fc.constantFrom(['SET'], ['DEL'], ['MSET'], ['RENAME'], ['PING'], ['ZADD']);
const ordinary = fc
  .tuple(
    fc.oneof(
      { weight: 8, arbitrary: usual },
      { weight: 2, arbitrary: fc.constantFrom(...names) },
      fc.constant(['X.Y']),
    ),
    fc.array(word, { minLength: 1, maxLength: 7 }),
  )
  .map(([name, args]) => streamCommand(...name, ...args));
const select = fc.nat({ max: 15 }).map((db) => streamCommand('SELECT', String(db)));
const group = fc
  .tuple(fc.array(fc.oneof(ordinary, select), { maxLength: 6 }), fc.constantFrom('EXEC', 'DISCARD'))
  .map(([members, end]) => Buffer.concat([streamCommand('MULTI'), ...members, streamCommand(end)]));
const streams = fc
  .array(fc.oneof({ weight: 6, arbitrary: ordinary }, select, group), { minLength: 1, maxLength: 40 })
  .map((commands) => Buffer.concat(commands));
const cuts = fc.array(fc.oneof(fc.nat({ max: 30 }), fc.nat({ max: 600 })), { maxLength: 6 });

describe('by the filters of a segment', () => {
  test('every command that is looked for is found, once, in its db, wherever blocks end', () => {
    fc.assert(
      fc.property(
        streams,
        cuts,
        fc.option(fc.constantFrom(...keys, 'nowhere'), { nil: undefined }),
        fc.option(fc.oneof(usual, fc.constantFrom(['EXEC'], ['SELECT'], ['X.Y'])), { nil: undefined }),
        (stream, lengths, key, name) => {
          const { found, all } = search(
            make(stream, lengths),
            key === undefined ? undefined : Buffer.from(key),
            name?.[0],
          );
          expect(found).toEqual(all);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('blocks without what is looked for are left out', () => {
    const commands = Array.from({ length: 4000 }, (_, i) => streamCommand('SET', `key:${i}`, 'x'.repeat(60)));
    commands[2000] = streamCommand('HSET', 'needle', 'f', 'v');
    const made = make(Buffer.concat(commands), [8000]);
    const blocks = (wanted: Wanted): number =>
      stretchesOf(made.footer, made.filters, wanted).reduce((sum, stretch) => sum + stretch.blocks, 0);
    const count = made.footer.blocks.length;
    expect(count).toBeGreaterThan(40);
    expect(blocks({})).toBe(count);
    expect(blocks({ names: ['SET'] })).toBe(count);
    expect(blocks({ names: ['HSET'] })).toBeLessThanOrEqual(2);
    expect(blocks({ keys: [hashKey(Buffer.from('needle'))] })).toBeLessThanOrEqual(4);
    expect(blocks({ keys: [hashKey(Buffer.from('needle'))], names: ['SET'] })).toBeLessThanOrEqual(4);
    expect(blocks({ keys: [], names: ['SET'] })).toBe(0);
    expect(blocks({ names: ['ZADD'] })).toBe(0);
  });

  test('a command that may touch any key is in every block that it reaches into', () => {
    const quiet = Buffer.concat(Array.from({ length: 50 }, () => streamCommand('SET', 'a', 'x'.repeat(50))));
    const stream = Buffer.concat([quiet, streamCommand('EVAL', 's'.repeat(2500), '0'), quiet]);
    const made = make(stream, [1000]);
    const anyKey = made.filters?.blocks
      .map(({ keys: filter }, i) => (filter === undefined ? i : -1))
      .filter((i) => i >= 0);
    expect(anyKey).toEqual([3, 4, 5, 6]);
    const { found, all } = search(made, Buffer.from('none of these'), undefined);
    expect(found).toEqual(all);
    expect(all).toHaveLength(1);
  });

  test('more keys or names than can be held may be any', () => {
    const many = Buffer.concat(
      Array.from({ length: 70 }, (_, i) =>
        streamCommand('DEL', ...Array.from({ length: 4000 }, (_each, j) => (i * 4000 + j).toString(36))),
      ),
    );
    expect(70 * 4000).toBeGreaterThan(keySetKeysMax);
    const full = make(many, [], 1_000_000).filters?.blocks[0];
    expect(full).toMatchObject({ keys: undefined, names: [0] });
    const named = Array.from({ length: blockNamesMax + 1 }, (_, i) => streamCommand(`N${i}`, 'a'));
    expect(make(Buffer.concat(named), []).filters?.blocks[0]?.names).toBeUndefined();
    expect(make(Buffer.concat(named.slice(1)), []).filters?.blocks[0]?.names).toHaveLength(blockNamesMax);
  });

  test('filters take no more room than they may, and what would is any', () => {
    const keysOfOne = Array.from({ length: 100_000 }, (_, i) => `k${i.toString(36)}`);
    // Reaches over many blocks, each of which would have a filter over all of its keys.
    const stream = encodeCommand(['DEL', ...keysOfOne]);
    const { filters } = make(stream, [6000], 6000);
    const bytes = filters?.blocks.reduce((sum, { keys: filter }) => sum + (filter?.length ?? 0), 0) ?? 0;
    expect(bytes).toBeGreaterThan(filtersBytesMax / 2);
    expect(bytes).toBeLessThanOrEqual(filtersBytesMax);
    expect(filters?.blocks.at(-1)?.keys).toBeUndefined();
  });

  test('a stream that cannot be read as commands has none', () => {
    const stream = streamCommand('SET', 'a', 'b');
    expect(make(stream, [10]).filters).toBeDefined();
    for (const maker of [new FiltersMaker(knownCommands, begin), new FiltersMaker(knownCommands, begin)]) {
      maker.push(Buffer.concat([stream, Buffer.from('no command')]));
      maker.endBlock(begin.offset + stream.length + 10);
      expect(maker.finish()).toBeUndefined();
    }
    const cut = new FiltersMaker(knownCommands, begin);
    cut.push(stream.subarray(0, -1));
    cut.endBlock(begin.offset + stream.length - 1);
    expect(cut.finish()).toBeUndefined();
  });

  test('a rule that is not trusted says nothing of keys', () => {
    const made = make(streamCommand('SET', 'a', 'b'), []);
    const wanted = { keys: [hashKey(Buffer.from('c'))] };
    expect(stretchesOf(made.footer, made.filters, wanted)).toEqual([]);
    expect(made.filters).toBeDefined();
    if (made.filters === undefined) return;
    expect(stretchesOf(made.footer, { ...made.filters, rule: 2 }, wanted)).toHaveLength(1);
    expect(stretchesOf(made.footer, { ...made.filters, rule: 2 }, { names: ['DEL'] })).toEqual([]);
  });
});

describe('a sealed segment of many blocks', () => {
  let journal: JournalBuilder;
  let path = '';
  let stream: Buffer = Buffer.alloc(0);

  beforeAll(async () => {
    journal = await JournalBuilder.create('cache');
    const timeline = await journal.timeline({ id, offset: begin.offset, completed: started, segmentBytes: 8_000_000 });
    const random = new Random(7);
    for (let i = 0; i < 40; i += 1) {
      const commands = Array.from({ length: 1500 }, () =>
        random.chance(0.01)
          ? streamCommand('RENAME', `key:${random.below(1e6)}`, `other:${random.below(1e6)}`)
          : streamCommand('SET', `key:${random.below(1e6)}`, 'x'.repeat(random.below(300))),
      );
      timeline.read(Buffer.concat(commands), started + i * 1000);
      await timeline.commit();
    }
    await timeline.seal();
    await timeline.close();
    stream = timeline.stream;
    const { timelines } = await journal.catalog();
    path = timelines[0]?.segments.find(({ kind }) => kind === 'sealed')?.path ?? '';
  });

  afterAll(() => journal[Symbol.asyncDispose]());

  test('excludes nothing that is in it, and one in 256 others at most is not excluded', async () => {
    await using file = await localDisk.open(path, 'read');
    const reader = await SealedReader.over(file);
    const made = { stream, footer: reader.footer, filters: await reader.filters() };
    expect(reader.footer.blocks.length).toBeGreaterThan(5);
    const commands = commandsOf(stream.subarray(0, reader.footer.end - begin.offset), { ...begin, db: 0 });
    for (const [i, { args }] of commands.entries()) {
      if (i % 97 !== 0) continue;
      const stretches = stretchesOf(made.footer, made.filters, { keys: [hashKey(args[1] ?? Buffer.alloc(0))] });
      const { start = 0, end = 0 } = commands[i] ?? {};
      expect(
        stretches.filter(({ from, to }) => from.offset < start && end <= to),
        `command ${i}`,
      ).toHaveLength(1);
    }
    let read = 0;
    const asked = 2000;
    for (let i = 0; i < asked; i += 1) {
      const stretches = stretchesOf(made.footer, made.filters, { keys: [hashKey(Buffer.from(`nowhere:${i}`))] });
      read += stretches.reduce((sum, { blocks }) => sum + blocks, 0);
    }
    expect(read / asked / reader.footer.blocks.length).toBeLessThan(2 / 256);
  });

  test('is searched from any boundary to any other, with the open one behind it', async () => {
    const { timelines } = await journal.catalog();
    const { segments = [], end = 0 } = timelines[0] ?? {};
    expect(segments.map(({ kind }) => kind)).toEqual(['sealed', 'open']);
    const commands = commandsOf(stream, { ...begin, db: 0 });
    const random = new Random(11);
    for (let i = 0; i < 60; i += 1) {
      const [first = 0, last = 0] = [random.below(commands.length), random.below(commands.length)].sort(
        (a, b) => a - b,
      );
      const from = { offset: (commands[first]?.start ?? 0) - 1, db: 0 };
      const to = i < 5 ? end : (commands[last]?.end ?? 0);
      const key = commands[random.between(first, last)]?.args[1] ?? Buffer.alloc(0);
      const wanted = i % 2 === 0 ? { keys: [hashKey(key)] } : { names: ['RENAME'] };
      const isWanted = (one: StreamCommand): boolean =>
        i % 2 === 0 ? matches(one, key, undefined) : matches(one, undefined, 'RENAME');
      const found: number[] = [];
      let before = 0;
      for await (const stretch of searchStretches(localDisk, segments, { from, to }, wanted)) {
        expect(stretch.from.offset).toBeGreaterThan(before);
        before = stretch.to;
        const inside = commandsOf(stream, stretch.from, stretch.to).filter(isWanted);
        found.push(...inside.map((one) => one.end));
      }
      const all = commands.filter((one) => one.start > from.offset && one.end <= to && isWanted(one));
      expect(found).toEqual(all.map((one) => one.end));
    }
  });

  test('is searched as a whole without filters, be it that there are none or that they are damaged', async () => {
    const { timelines } = await journal.catalog();
    const segments = timelines[0]?.segments.slice(0, 1) ?? [];
    const range = { from: { offset: begin.offset, db: 0 }, to: segments[0]?.end ?? 0 };
    const nothing = { keys: [hashKey(Buffer.from('nowhere'))], names: ['ZADD'] };
    const stretches = async (wanted: Wanted): Promise<unknown[]> => {
      const all: unknown[] = [];
      for await (const one of searchStretches(localDisk, segments, range, wanted)) all.push(one);
      return all;
    };
    const whole = [{ from: { offset: begin.offset, db: 0, multiDb: undefined }, to: range.to }];
    expect(await stretches(nothing)).toEqual([]);
    expect(await stretches({})).toEqual(whole);
    const right = await readAll(path);
    const { filters } = decodeFooter(
      right.subarray(decodeTrailer(right.subarray(-trailerBytes), right.length).position),
    ).record;
    for (let i = 0; i < 200; i += 1) {
      const damaged = Buffer.from(right);
      const at = (filters?.position ?? 0) + (i < 40 ? i : Math.floor(((filters?.length ?? 0) * i) / 200));
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (i % 8)), at);
      await writeAll(path, damaged);
      expect(await stretches(nothing), `byte ${at}`).toEqual(whole);
    }
    await writeAll(path, withoutFilters(right));
    expect(await stretches(nothing)).toEqual(whole);
    expect((await verifySource(localDisk, journal.tree, { known: knownCommands })).problems).toEqual([]);
    await writeAll(path, right);
  });

  test('passes verify, which sees filters that exclude what is there', async () => {
    const verify = (): Promise<VerifyReport> => verifySource(localDisk, journal.tree, { known: knownCommands });
    expect((await verify()).problems).toEqual([]);
    const right = await readAll(path);
    const wrong: readonly ((filters: Filters) => Filters)[] = [
      ({ blocks, ...rest }) => ({ ...rest, blocks: blocks.map((one) => ({ ...one, keys: Buffer.alloc(0) })) }),
      ({ blocks, ...rest }) => ({ ...rest, blocks: blocks.map((one) => ({ ...one, names: [] })) }),
      ({ blocks, ...rest }) => ({ ...rest, blocks: blocks.map((one) => ({ ...one, db: 5 })) }),
      ({ blocks, ...rest }) => ({
        ...rest,
        blocks: blocks.map((one, i) => ({ ...one, first: one.first + (i === 2 ? 1 : 0) })),
      }),
      ({ blocks, ...rest }) => ({
        ...rest,
        blocks: blocks.map((one, i) => ({ ...one, keys: blocks.at(i - 1)?.keys })),
      }),
    ];
    for (const change of wrong) {
      await writeAll(path, await withFilters(path, right, change));
      expect(await verify()).toMatchObject({ problems: [{ kind: 'corrupt', path }], exitCode: 6 });
    }
    const harmless: readonly ((filters: Filters) => Filters)[] = [
      ({ blocks, ...rest }) => ({
        ...rest,
        blocks: blocks.map((one) => ({ ...one, keys: undefined, names: undefined })),
      }),
      (filters) => ({ ...filters, rule: 2, blocks: filters.blocks.map((one) => ({ ...one, keys: Buffer.alloc(0) })) }),
    ];
    for (const change of harmless) {
      await writeAll(path, await withFilters(path, right, change));
      expect((await verify()).problems).toEqual([]);
    }
    await writeAll(path, right);
  });
});

async function readAll(path: string): Promise<Buffer> {
  await using file = await localDisk.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  return bytes;
}

async function writeAll(path: string, bytes: Buffer): Promise<void> {
  await localDisk.remove(path);
  await using file = await localDisk.create(path);
  await file.write([bytes], 0);
}

/** As it was sealed before there were filters. */
function withoutFilters(bytes: Buffer): Buffer {
  const { position } = decodeTrailer(bytes.subarray(-trailerBytes), bytes.length);
  const { filters, ...footer } = decodeFooter(bytes.subarray(position)).record;
  const tail = encodeFooter(footer).bytes;
  const end = filters?.position ?? position;
  return Buffer.concat([bytes.subarray(0, end), tail, encodeTrailer({ position: end, length: tail.length })]);
}

/** The same segment with other filters, all of whose checksums are right. */
async function withFilters(path: string, bytes: Buffer, change: (filters: Filters) => Filters): Promise<Buffer> {
  const { position } = decodeTrailer(bytes.subarray(-trailerBytes), bytes.length);
  const footer = decodeFooter(bytes.subarray(position)).record;
  await writeAll(path, bytes);
  await using file = await localDisk.open(path, 'read');
  const filters = await (await SealedReader.over(file)).filters();
  if (filters === undefined || footer.filters === undefined) throw new Error('there are no filters');
  const { bytes: document, crc } = encodeFilters(change(filters));
  const place = { position: footer.filters.position, length: document.length, crc };
  const tail = encodeFooter({ ...footer, filters: place }).bytes;
  const trailer = encodeTrailer({ position: place.position + document.length, length: tail.length });
  return Buffer.concat([bytes.subarray(0, place.position), document, tail, trailer]);
}
