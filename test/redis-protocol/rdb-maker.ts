// Hand-made RDBs: every opcode and type as the servers' sources write them, without the code under test.
import type { RdbFilter } from '../../src/redis/rdb-filter.ts';

/** What comes out of a filter; what it was given, and what it has handed out, is used again at once. */
export function through(filter: RdbFilter, chunks: readonly Buffer[]): Buffer {
  const out: Buffer[] = [];
  const take = (written: ReturnType<RdbFilter['push']>): void => {
    for (const { bytes: piece, slab } of written) {
      out.push(Buffer.from(piece));
      slab.bytes.fill(0xee);
      slab.release();
    }
  };
  for (const chunk of chunks) {
    const pushed = Buffer.from(chunk);
    take(filter.push(pushed));
    pushed.fill(0xee);
  }
  take(filter.finish());
  return Buffer.concat(out);
}

export const id16 = Buffer.alloc(16, 7);

export function bytes(...values: number[]): Buffer {
  return Buffer.from(values);
}

/** A length, in the shortest form or in a wider one. */
export function length(value: number, form: 'short' | '14' | '32' | '64' = 'short'): Buffer {
  if (form === 'short' && value < 64) return bytes(value);
  if (form === '14' || (form === 'short' && value < 16384)) return bytes(0x40 | (value >> 8), value & 255);
  const wide = Buffer.alloc(form === '64' ? 9 : 5, 0);
  wide[0] = form === '64' ? 0x81 : 0x80;
  if (form === '64') wide.writeBigUInt64BE(BigInt(value), 1);
  else wide.writeUInt32BE(value, 1);
  return wide;
}

export function string(value: string | Buffer): Buffer {
  const content = Buffer.from(value as string);
  return Buffer.concat([length(content.length), content]);
}

/** Strings as integers of 8, 16, 32 bits, and a compressed one. */
export const oddStrings: readonly Buffer[] = [
  bytes(0xc0, 5),
  bytes(0xc1, 5, 1),
  bytes(0xc2, 5, 1, 1, 1),
  Buffer.concat([bytes(0xc3), length(5), length(40), bytes(0, 0x61, 0xe0, 30, 0)]),
];

export function ms(value: number): Buffer {
  const wide = Buffer.alloc(8);
  wide.writeBigInt64LE(BigInt(value));
  return wide;
}

export function strings(...values: string[]): Buffer {
  return Buffer.concat(values.map(string));
}

export function opcode(code: number, ...parts: Buffer[]): Buffer {
  return Buffer.concat([bytes(code), ...parts]);
}

export function entry(type: number, key: string, ...parts: Buffer[]): Buffer {
  return Buffer.concat([bytes(type), string(key), ...parts]);
}

export function rdb(magic: string, ...parts: Buffer[]): Buffer {
  const checksum = bytes(0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11);
  return Buffer.concat([Buffer.from(magic), ...parts, bytes(255), checksum]);
}

export const storedCrc64 = '1122334455667788';

/** A stream with two groups, of the generation that came with 5.0, 7.0, 7.2, 8.4 or 8.8. */
export function stream(generation: 1 | 2 | 3 | 4 | 5): Buffer {
  const since = (first: number, ...parts: Buffer[]): Buffer[] => (generation >= first ? parts : []);
  const consumer = (name: string): Buffer =>
    Buffer.concat([string(name), ms(1), ...since(3, ms(2)), length(2), id16, id16]);
  const group = (name: string, consumers: number): Buffer =>
    Buffer.concat([
      string(name),
      length(1_700_000_000_000, '64'),
      length(1),
      ...since(2, length(9)),
      length(2),
      ...[1, 2].flatMap(() => [id16, ms(3), length(70)]),
      length(consumers),
      ...Array.from({ length: consumers }, (_, i) => consumer(`consumer ${i}`)),
      ...since(5, length(1), id16),
    ]);
  return Buffer.concat([
    length(2),
    ...[1, 2].flatMap(() => [string(id16), string('x'.repeat(100))]),
    length(3),
    length(1_700_000_000_001, '64'),
    length(0),
    ...since(2, length(1), length(2), length(3), length(4), length(5)),
    length(2),
    group('one', 0),
    group('another', 2),
    ...since(4, length(60), length(100), length(1), string('producer'), length(2)),
    ...since(4, string('a'), length(1), length(2), string('b'), length(3), length(4), length(5), length(6)),
  ]);
}

export const moduleValue = Buffer.concat([
  bytes(1, 9),
  bytes(2),
  length(1 << 20),
  bytes(3, 1, 2, 3, 4),
  bytes(4, 1, 2, 3, 4, 5, 6, 7, 8),
  bytes(5),
  string('0'),
  bytes(5),
  oddStrings[3]!,
  bytes(0),
]);

/** One key of each type that Redis and Valkey have in common, named by its type. */
export const commonTypes: readonly Buffer[] = [
  entry(0, '0', string('value')),
  ...oddStrings.map((odd) => Buffer.concat([bytes(0), odd, odd])),
  entry(0, 'long', length(70_000, '32'), Buffer.alloc(70_000, 255)),
  entry(1, '1', length(2), strings('a', 'b')),
  entry(2, '2', length(0)),
  entry(
    3,
    '3',
    length(3),
    strings('a'),
    bytes(3),
    Buffer.from('1.5'),
    strings('b'),
    bytes(254),
    strings('c'),
    bytes(253),
  ),
  entry(4, '4', length(2), strings('a', 'b', 'c', 'd')),
  entry(5, '5', length(2), strings('a'), ms(1), strings('b'), ms(2)),
  entry(7, '7', length(2 ** 52, '64'), moduleValue),
  ...[9, 10, 11, 12, 13, 16, 17, 20].map((type) => entry(type, String(type), string('packed'.repeat(20)))),
  entry(14, '14', length(2), strings('a'), oddStrings[3]!),
  entry(15, '15', stream(1)),
  entry(18, '18', length(2), length(1), string('plain'), length(2), oddStrings[3]!),
  entry(19, '19', stream(2)),
  entry(21, '21', stream(3)),
];

export const commonOpcodes: readonly Buffer[] = [
  opcode(250, strings('redis-ver', '7.2.6')),
  opcode(250, string('ctime'), oddStrings[2]!),
  opcode(247, length(2 ** 52, '64'), length(2), length(1), moduleValue),
  opcode(245, string('#!lua name=lib\nredis.register_function(…)')),
  opcode(246, strings('lib', 'lua'), length(1), string('description'), string('code')),
  opcode(246, strings('lib', 'lua'), length(0), string('code')),
];
