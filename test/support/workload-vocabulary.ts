// What the random workload speaks of: key names, values, times, dbs. The unpleasant ones are the point: values that
// look like the protocol or like AOF annotations, empty ones, large ones, names with line ends in them.
// Neighbours: workload.ts and its tables of operations. Invariant: a key's name begins with its type, so that commands
// meet the type they are made for and an error reply stands out.
import type { Command } from './resp-client.ts';
import type { Random } from './random.ts';
import type { ServerKind } from './servers.ts';

export type KeyType =
  | 'string'
  | 'number'
  | 'float'
  | 'bits'
  | 'list'
  | 'set'
  | 'ints'
  | 'hash'
  | 'zset'
  | 'geo'
  | 'stream'
  | 'live'
  | 'hll';

export interface Operation {
  readonly name: string;
  /** How often, in relation to the others; 10 is usual. */
  readonly weight: number;
  readonly since?: Partial<Record<ServerKind, number>>;
  /** Not inside MULTI … EXEC. */
  readonly isAlone?: boolean;
  readonly make: (words: Vocabulary) => readonly Command[];
}

export const dbs: readonly number[] = [0, 1, 3, 10, 15];

/** Redis 6.2 and 7.0 brought most of what isn't everywhere. */
export const since62 = { redis: 6.2, valkey: 7 } as const;
export const since7 = { redis: 7, valkey: 7 } as const;

const hour = 3_600_000;
const largeValueLength = 1024 * 1024;

const trickyValues: readonly Buffer[] = [
  '',
  '\0',
  '\r\n',
  '\n',
  '#TS:9999999999\r\n',
  '#TS:9999999999',
  '*3\r\n$5',
  '*1\r\n$4\r\nEXEC\r\n',
  '*1\r\n$8\r\nFLUSHALL\r\n',
  '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n',
  '*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n',
  '$-1\r\n',
  '$EOF:0123456789012345678901234567890123456789\r\n',
  'PXAT',
  'MULTI',
  'REDIS0010\xff',
].map((text) => Buffer.from(text, 'latin1'));

export class Vocabulary {
  readonly random: Random;
  readonly #keysPerType: number;
  readonly #largeValues: boolean;
  #streamId = 1000;

  constructor(random: Random, keysPerType: number, largeValues: boolean) {
    this.random = random;
    this.#keysPerType = keysPerType;
    this.#largeValues = largeValues;
  }

  key(type: KeyType): string {
    // Few streams: their commands need a group that an earlier command made.
    const isStream = type === 'stream' || type === 'live';
    const index = this.random.below(isStream ? Math.ceil(this.#keysPerType / 5) : this.#keysPerType);
    return index % 10 === 9 ? `${type}:\r\n*1\r\n\0é${index}` : `${type}:${index}`;
  }

  anyKey(): string {
    return this.key(this.type());
  }

  type(): KeyType {
    return this.random.pick(keyTypes);
  }

  value(): Buffer {
    const roll = this.random.next();
    if (this.#largeValues && roll < 0.002) return Buffer.alloc(largeValueLength, this.random.bytes(61));
    if (roll < 0.25) return this.random.pick(trickyValues);
    if (roll < 0.35) return this.random.bytes(this.random.below(200));
    if (roll < 0.4) return Buffer.alloc(this.random.between(60, 5000), 'compressible ');
    if (roll < 0.6) return Buffer.from(String(this.integer()));
    return Buffer.from(`value ${this.random.below(1_000_000)}`);
  }

  values(most = 6): Buffer[] {
    return Array.from({ length: this.random.between(1, most) }, () => this.value());
  }

  /** From a small set, so that it is met again. */
  member(): string {
    return `m${this.random.below(60)}`;
  }

  members(most = 6): string[] {
    return Array.from({ length: this.random.between(1, most) }, () => this.member());
  }

  field(): string {
    return `f${this.random.below(30)}`;
  }

  integer(): number {
    return this.random.between(-1_000_000, 1_000_000);
  }

  score(): string {
    return this.random.chance(0.05) ? 'inf' : String((this.random.next() - 0.5) * 10 ** this.random.below(12));
  }

  db(): number {
    return this.random.pick(dbs);
  }

  /** A time to live that outlasts any test. */
  longMs(): number {
    return this.random.between(hour, 30 * 24 * hour);
  }

  shortMs(): number {
    return this.random.between(50, 300);
  }

  /** Mostly long. */
  ttlMs(): number {
    return this.random.chance(0.3) ? this.shortMs() : this.longMs();
  }

  /** Greater than all before it. */
  nextStreamId(): string {
    this.#streamId += this.random.between(0, 2);
    return `${this.#streamId++}-${this.random.below(3)}`;
  }

  /** One that probably existed, or may come to. */
  someStreamId(): string {
    return `${Math.max(1, this.#streamId - this.random.below(60))}-${this.random.below(3)}`;
  }

  someStreamIds(): string[] {
    return Array.from({ length: this.random.between(1, 8) }, () => this.someStreamId());
  }

  group(): string {
    return `g${this.random.below(2)}`;
  }

  consumer(): string {
    return `c${this.random.below(4)}`;
  }
}

export const keyTypes: readonly KeyType[] = [
  'string',
  'number',
  'float',
  'bits',
  'list',
  'set',
  'ints',
  'hash',
  'zset',
  'geo',
  'stream',
  'live',
  'hll',
];
