// A journal of random commands over everything that a journal can be: timelines, gaps, failovers, orphans, segments open
// and sealed, reads and frames that end anywhere. Beside it the model: each command as it was made, and where it ended.
import type { Micros } from '../../src/core/clock.ts';
import type { Offset } from '../../src/core/position.ts';
import { command } from '../redis-protocol/bytes.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import type { TimelineBuilder } from '../support/journal-builder.ts';
import { Random } from '../support/random.ts';

export interface ModelCommand {
  readonly timeline: number;
  readonly id: string;
  readonly end: Offset;
  readonly bytes: Buffer;
  readonly name: string;
  readonly args: readonly Buffer[];
  /** The keys that it names, each with its db. */
  readonly keys: readonly { readonly key: Buffer; readonly db: number }[];
  /** It may touch any key: of one db, or of all. */
  readonly others: number | 'all' | undefined;
  readonly db: number;
  readonly inMulti: boolean;
  stamp: Micros;
}

export const t0: Micros = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const second = 1_000_000;

export const keyPool: readonly Buffer[] = [
  ...['user:1', 'user:2', 'cart:1', 'a*b', 'café', '', 'MULTI'].map((text) => Buffer.from(text)),
  ...[
    [0xff, 0x00, 0x0d, 0x0a],
    [0x75, 0x73, 0x65, 0x72, 0x3a, 0xfe],
  ].map((bytes) => Buffer.from(bytes)),
];

export class FoundJournal implements AsyncDisposable {
  readonly journal: JournalBuilder;
  readonly model: ModelCommand[] = [];
  readonly #random: Random;

  private constructor(journal: JournalBuilder, random: Random) {
    this.journal = journal;
    this.#random = random;
  }

  static async create(seed: number, timelines = 3, commandsEach = 90): Promise<FoundJournal> {
    const made = new FoundJournal(await JournalBuilder.create(), new Random(seed));
    for (let i = 0; i < timelines; i += 1) await made.#timeline(i, commandsEach);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.journal[Symbol.asyncDispose]();
  }

  async #timeline(index: number, commands: number): Promise<void> {
    const random = this.#random;
    const ids = [0, 1].map((i) => String(index * 2 + i + 1).repeat(40));
    const offset = 1000 * (index + 1);
    const completed = t0 + index * 600 * second;
    const timeline = await this.journal.timeline({
      ...{ id: ids[0]!, offset, completed, db: random.between(0, 12), segmentBytes: 900 },
    });
    const half = Math.floor(commands / 2);
    const maker = new Maker(random, timeline, index + 1);
    const write = async (count: number, id: string): Promise<void> => {
      const before = this.model.length;
      const stream = maker.make(count, id, this.model);
      await writeIn(timeline, stream, random);
      for (const one of this.model.slice(before)) one.stamp = timeline.stampOf(one.end);
    };
    await write(half, ids[0]!);
    timeline.attach(ids[1]!, timeline.lastStamp + second);
    await write(commands - half, ids[1]!);
    await timeline.seal(index % 2);
  }
}

/** In reads of random sizes, at random times, committed now and then. */
async function writeIn(timeline: TimelineBuilder, stream: Buffer, random: Random): Promise<void> {
  for (let at = 0; at < stream.length;) {
    const size = random.between(1, 300);
    timeline.read(stream.subarray(at, at + size), timeline.lastStamp + random.between(0, 2) * second);
    at += size;
    if (random.between(0, 2) === 0) await timeline.commit();
  }
  await timeline.commit();
}

class Maker {
  readonly #random: Random;
  readonly #timeline: number;
  #end: Offset;
  #db: number;

  constructor(random: Random, timeline: TimelineBuilder, number: number) {
    this.#random = random;
    this.#timeline = number;
    this.#end = timeline.script.offset;
    this.#db = timeline.script.db ?? 0;
  }

  make(count: number, id: string, model: ModelCommand[]): Buffer {
    const random = this.#random;
    const parts: Buffer[] = [];
    let left = 0;
    const put = (args: readonly (string | Buffer)[], more: Partial<ModelCommand> = {}, inMulti = left > 0): void => {
      const bytes = command(...args);
      this.#end += bytes.length;
      parts.push(bytes);
      const [name, ...rest] = args.map((arg) => Buffer.from(arg as string));
      model.push({
        ...{ timeline: this.#timeline, id, end: this.#end, bytes, name: name!.toString().toUpperCase(), args: rest },
        ...{ keys: [], others: undefined, db: this.#db, inMulti, stamp: 0, ...more },
      });
    };
    for (let i = 0; i < count; i += 1) {
      if (left === 0 && random.between(0, 9) === 0) {
        left = random.between(2, 6);
        put(['MULTI'], {}, true);
      }
      this.#one(put);
      if (left > 0 && (left -= 1) === 0) put(['EXEC'], {}, true);
    }
    if (left > 0) put(['EXEC'], {}, true);
    return Buffer.concat(parts);
  }

  #one(put: (args: readonly (string | Buffer)[], more?: Partial<ModelCommand>) => void): void {
    const random = this.#random;
    const key = (): Buffer => random.pick(keyPool);
    const [a, b, c] = [key(), key(), key()];
    const on = (...keys: Buffer[]): Partial<ModelCommand> => ({
      keys: keys.map((one) => ({ key: one, db: this.#db })),
    });
    const other = random.between(0, 15);
    const kinds: (() => void)[] = [
      () => put(['SET', a, 'x'.repeat(random.between(0, 200))], on(a)),
      () => put([random.pick(['DEL', 'del', 'UNLINK']), a, b, c], on(a, b, c)),
      () => put(['MSET', a, b, c, b], on(a, c)),
      () => put(['RENAME', a, b], on(a, b)),
      () => put(['ZUNIONSTORE', a, '2', b, c, 'WEIGHTS', '1', '2'], on(a, b, c)),
      () => put(['BITOP', 'AND', a, b, c], on(a, b, c)),
      () => put(['XGROUP', 'CREATE', a, 'user:1', '$'], on(a)),
      () =>
        put(['COPY', a, b, 'DB', String(other)], {
          keys: [
            { key: a, db: this.#db },
            { key: b, db: other },
          ],
        }),
      () =>
        put(['MOVE', a, String(other)], {
          keys: [
            { key: a, db: this.#db },
            { key: a, db: other },
          ],
        }),
      () => put(['FLUSHALL'], { others: 'all' }),
      () => put(['flushdb'], { others: this.#db }),
      () => put(['SOME.MODULE', a, b], { others: 'all' }),
      () => put(['PUBLISH', 'user:1', 'x']),
      () => put(['PING']),
      () => put(['REPLCONF', 'GETACK', '*']),
      () => {
        this.#db = other;
        put(['SELECT', String(other)]);
      },
    ];
    random.pick(kinds)();
  }
}
