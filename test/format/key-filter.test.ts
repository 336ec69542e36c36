// Key filters: no key that is in one is ever excluded, few others are let through, and what was damaged is no filter.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../journal-format/errors.ts';
import { decodeFilters, decodeFiltersOf, encodeFilters } from '../../journal-format/filters.ts';
import { decodeFooter } from '../../journal-format/footer.ts';
import { KeyFilterMaker, checkKeyFilter, mayHold, mayHoldAll } from '../../journal-format/key-filter.ts';
import { KeyHasher, hashKey } from '../../journal-format/key-hash.ts';
import { KeySet } from '../../journal-format/key-set.ts';
import { decodeTrailer, trailerBytes } from '../../journal-format/sealed.ts';
import { vector } from './golden.ts';

const maker = new KeyFilterMaker();

function setOf(keys: Iterable<Uint8Array>, most = Infinity): KeySet {
  const set = new KeySet(most);
  for (const key of keys) {
    const { high, low } = hashKey(key);
    set.add(high, low);
  }
  return set;
}

function* numbered(prefix: string, count: number): Generator<Buffer> {
  for (let i = 0; i < count; i += 1) yield Buffer.from(`${prefix}${i}`);
}

function filterOf(keys: Iterable<Uint8Array>): Buffer {
  const filter = maker.make(setOf(keys));
  if (filter === undefined) throw new Error('no filter');
  checkKeyFilter(filter);
  return filter;
}

describe('the hash of a key', () => {
  test('is MurmurHash3 with either seed, as others compute it', () => {
    expect(hashKey(Buffer.from('')).high).toBe(0);
    expect(hashKey(Buffer.from('hello')).high).toBe(0x248b_fa47);
    expect(hashKey(Buffer.from('hello, world')).high).toBe(0x149b_bb7f);
    expect(hashKey(Buffer.from('user'))).toEqual({ high: 0x9594_3d0d, low: 0x9b6e_fefd });
  });

  test('is the same wherever in memory the key lies', () => {
    const hasher = new KeyHasher();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 9 }), (key, before) => {
        const { high, low } = hashKey(key);
        hasher.use(Buffer.concat([Buffer.alloc(before, 1), key, Buffer.from('more')]));
        hasher.hash(before, key.length);
        expect([hasher.high >>> 0, hasher.low >>> 0]).toEqual([high, low]);
      }),
    );
  });
});

describe('a key filter', () => {
  test('excludes no key that is in it', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 300 }), (keys) => {
        const filter = filterOf(keys);
        expect(keys.filter((key) => !mayHold(filter, hashKey(key)))).toEqual([]);
        expect(mayHoldAll(filter, setOf(keys))).toBe(true);
      }),
    );
  });

  test.each([
    [1, 400, 0.0039, 100],
    [100, 100, 0.0039, 17],
    [1000, 20, 0.0039, 11.6],
    [7500, 6, 0.0039, 10.4],
    [25_000, 3, 0.0039, 10],
    [250_000, 1, 0.0039, 9.6],
  ])('of %d keys lets one of 256 others through, and is as small as SPEC.md says', (count, rounds, rate, bits) => {
    let bytes = 0;
    let passed = 0;
    let asked = 0;
    for (let round = 0; round < rounds; round += 1) {
      const filter = filterOf(numbered(`in:${round}:`, count));
      bytes += filter.length;
      for (const key of numbered(`out:${round}:`, Math.ceil(100_000 / rounds))) {
        asked += 1;
        if (mayHold(filter, hashKey(key))) passed += 1;
      }
    }
    // Four standard deviations of as many trials.
    expect(Math.abs(passed / asked - rate)).toBeLessThan(4 * Math.sqrt(rate / asked));
    expect((bytes * 8) / rounds / count).toBeLessThan(bits + 72 / count);
  });

  test('without keys holds nothing, and takes no room', () => {
    expect(filterOf([])).toHaveLength(0);
    expect(mayHold(Buffer.alloc(0), hashKey(Buffer.from('user')))).toBe(false);
  });

  test('is not made of more keys than have room, nor of such as collide whatever the seed', () => {
    expect(maker.make(setOf(numbered('x', 1_000_000)))).toBeUndefined();
    expect(maker.make({ count: 2, high: Int32Array.of(1, 1), low: Int32Array.of(2, 2) })).toBeUndefined();
  });

  test('of other lengths than its head says is none', () => {
    const filter = filterOf(numbered('x', 50));
    for (let length = 1; length < filter.length; length += 1) {
      expect(() => checkKeyFilter(filter.subarray(0, length)), `${length} bytes`).toThrow(FormatError);
    }
    expect(() => checkKeyFilter(Buffer.concat([filter, Buffer.alloc(1)]))).toThrow(FormatError);
    for (const at of [4, 5, 6, 7, 8]) {
      const changed = Buffer.from(filter);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x41, at);
      expect(() => checkKeyFilter(changed), `byte ${at}`).toThrow(FormatError);
    }
  });
});

describe('a set of keys', () => {
  test('holds each once, up to as many as it may', () => {
    const keys = [...numbered('k', 5000)];
    const set = setOf([...keys, ...keys]);
    expect([set.count, set.isFull]).toEqual([5000, false]);
    const small = setOf([...keys, ...keys], 4999);
    expect([small.count, small.isFull]).toEqual([4999, true]);
    set.clear();
    expect(set.count).toBe(0);
    set.addAll(small);
    expect([set.count, set.isFull]).toEqual([4999, false]);
  });
});

describe('the filters of a segment', () => {
  const bytes = vector('sealed-filters');
  const { position } = decodeTrailer(bytes.subarray(-trailerBytes), bytes.length);
  const footer = decodeFooter(bytes.subarray(position)).record;
  const document = bytes.subarray(footer.filters?.position, position);

  test('are those that its footer names, and of as many blocks', () => {
    const { blocks, names, rule } = decodeFiltersOf(footer, document);
    expect(blocks.map(({ first }) => first)).toEqual([1001, 1135, 1135]);
    const others = encodeFilters({ rule, names, blocks: blocks.slice(1) });
    const filters = { position: 0, length: others.bytes.length, crc: others.crc };
    expect(() => decodeFiltersOf(footer, others.bytes)).toThrow('not those of this segment');
    expect(() => decodeFiltersOf({ ...footer, filters }, others.bytes)).toThrow('do not fit');
    expect(() => decodeFiltersOf(footer, document.subarray(0, -1))).toThrow(FormatError);
  });

  test('say of no block that its first command begins elsewhere', () => {
    const record = decodeFilters(document).record;
    for (const change of [{ first: 1000 }, { first: 1136 }, { first: 1135, db: 1 }, { first: 1135, inMulti: true }]) {
      const encoded = encodeFilters({ ...record, blocks: record.blocks.map((one) => ({ ...one, ...change })) });
      const filters = { position: 0, length: encoded.bytes.length, crc: encoded.crc };
      expect(() => decodeFiltersOf({ ...footer, filters }, encoded.bytes)).toThrow('do not fit');
    }
  });
});
