// What is found, against the model: every command that was written, by each selector, exactly once, where it ends, over all
// that a journal can be.
import { describe, expect, test } from 'vitest';
import { formatPosition } from '../../src/core/position.ts';
import { CommandFilter } from '../../src/inspect/command-filter.ts';
import type { FilterText } from '../../src/inspect/command-filter.ts';
import { find } from '../../src/inspect/find.ts';
import type { FindEvent, FoundCommand } from '../../src/inspect/find.ts';
import { reachOf } from '../../src/inspect/reach.ts';
import type { SearchRange } from '../../src/inspect/reach.ts';
import { BlockCache } from '../../src/log/block-cache.ts';
import { nameOf } from '../../src/redis/command-reader.ts';
import { globOf } from '../../src/redis/glob.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { Random } from '../support/random.ts';
import { FoundJournal, keyPool } from './found-journal.ts';
import type { ModelCommand } from './found-journal.ts';

const everything: FilterText = { keys: [], commands: ['*'], dbs: [] };
const noRange: SearchRange = { from: undefined, to: undefined };
const upkeep = /^(PING|REPLCONF|SELECT|MULTI|EXEC|DISCARD)$/;

async function eventsOf(
  { journal }: FoundJournal,
  text: Partial<FilterText>,
  range: SearchRange = noRange,
  blocks?: BlockCache,
): Promise<FindEvent[]> {
  const reach = await reachOf(localDisk, await journal.catalog(), range);
  const filter = new CommandFilter({ keys: [], commands: [], dbs: [], ...text });
  const events: FindEvent[] = [];
  for await (const some of find(localDisk, reach, filter, { blocks })) {
    events.push(...some.map(kept));
  }
  return events;
}

/** A command is of use only until the next ones are asked for. */
function kept(event: FindEvent): FindEvent {
  if (event.kind !== 'command') return event;
  const { command } = event;
  return { ...event, command: { ...command, args: command.args.map((arg) => Buffer.from(arg)) } };
}

function commandsOf(events: readonly FindEvent[]): FoundCommand[] {
  return events.filter((event) => event.kind === 'command');
}

/** What a reader of the rows sees of a command. */
function seen({ position, stamp, command, timeline }: FoundCommand): unknown[] {
  const { db, inMulti, args } = command;
  return [timeline.number, formatPosition(position), stamp, db, inMulti, nameOf(command), args.slice(1)];
}

function made({ timeline, id, end, stamp, db, inMulti, name, args }: ModelCommand): unknown[] {
  return [timeline, `${id}:${end}`, stamp, db, inMulti, name, args];
}

const seeds = [1, Date.now() >>> 0];

describe.each(seeds)('in a random journal (seed %d)', (seed) => {
  test('every command is found once, in order, at its position, with its time, db and MULTI', async () => {
    await using made3 = await FoundJournal.create(seed);
    const found = commandsOf(await eventsOf(made3, everything));
    expect(found.map(seen)).toEqual(made3.model.map(made));
    const ordinary = made3.model.filter(({ name }) => !upkeep.test(name));
    expect(commandsOf(await eventsOf(made3, {})).map(seen)).toEqual(ordinary.map(made));
  });

  test('each selector finds what the model says, and nothing else', async () => {
    await using journal = await FoundJournal.create(seed);
    const check = async (text: Partial<FilterText>, isMeant: (one: ModelCommand) => boolean): Promise<void> => {
      const found = commandsOf(await eventsOf(journal, text));
      expect(found.map(seen), JSON.stringify(text)).toEqual(journal.model.filter(isMeant).map(made));
    };
    for (const key of keyPool) {
      const isKey = ({ keys, others }: ModelCommand): boolean =>
        others !== undefined || keys.some((one) => one.key.equals(key));
      await check({ keys: [globOf(key)] }, isKey);
    }
    const isUser = ({ keys, others }: ModelCommand): boolean =>
      others !== undefined || keys.some(({ key }) => key.toString('latin1').startsWith('user:'));
    await check({ keys: ['user:*'] }, isUser);
    await check(
      { keys: ['user:*'], commands: ['del', 'Unlink'] },
      (one) => isUser(one) && /^(DEL|UNLINK)$/.test(one.name),
    );
    for (const name of new Set(journal.model.map((one) => one.name))) {
      await check({ commands: [name.toLowerCase()] }, (one) => one.name === name);
    }
    await check({ commands: ['FLUSH*'] }, ({ name }) => name.startsWith('FLUSH'));
    for (let db = 0; db < 16; db += 1) {
      const isIn = (one: ModelCommand): boolean =>
        one.db === db || one.others === 'all' || one.others === db || one.keys.some((key) => key.db === db);
      await check({ commands: ['*'], dbs: [String(db)] }, isIn);
      const isUserIn = ({ keys, others }: ModelCommand): boolean =>
        others === 'all' || others === db || keys.some((one) => one.db === db && one.key.toString() === 'user:1');
      await check({ keys: ['user:1'], dbs: [String(db)] }, isUserIn);
    }
  });

  test('what may have touched any key says so, and nothing else does', async () => {
    await using journal = await FoundJournal.create(seed);
    const found = commandsOf(await eventsOf(journal, { keys: ['user:1'] }));
    const any = found.filter(({ match }) => match === 'any').map(({ command }) => nameOf(command));
    expect(new Set(any)).toEqual(new Set(['FLUSHALL', 'FLUSHDB', 'SOME.MODULE']));
  });

  test('a range holds the commands from one position to another, both included, and no part of a MULTI', async () => {
    await using journal = await FoundJournal.create(seed);
    const { model } = journal;
    const random = new Random(seed);
    for (let i = 0; i < 20; i += 1) {
      const [a, b] = [random.between(0, model.length - 1), random.between(0, model.length - 1)];
      const [first, last] = [Math.min(a, b), Math.max(a, b)];
      const target = ({ id, end }: ModelCommand) => ({ kind: 'position', idPrefix: id, offset: end }) as const;
      const range = { from: target(model[first]!), to: target(model[last]!) };
      const found = commandsOf(await eventsOf(journal, everything, range));
      const expected = model.slice(groupOf(model, first)[0], groupOf(model, last)[1] + 1);
      expect(found.map(seen)).toEqual(expected.map(made));
    }
  });

  test('searches that go on at the same time may share blocks', async () => {
    await using journal = await FoundJournal.create(seed);
    const alone = await eventsOf(journal, everything);
    for (const room of [1, 1 << 20]) {
      const blocks = new BlockCache(room);
      const together = await Promise.all([1, 2, 3].map(() => eventsOf(journal, everything, noRange, blocks)));
      for (const events of together) expect(commandsOf(events).map(seen)).toEqual(commandsOf(alone).map(seen));
    }
  });

  test('a range of times holds what was received in it, a MULTI by its EXEC', async () => {
    await using journal = await FoundJournal.create(seed);
    const { model } = journal;
    const random = new Random(seed);
    const stamps = model.map((_, i) => model[groupOf(model, i)[1]]!.stamp);
    for (let i = 0; i < 20; i += 1) {
      const [a, b] = [random.pick(stamps), random.pick(stamps)];
      const [first, last] = [Math.min(a, b), Math.max(a, b)];
      const range = { from: { kind: 'time', at: first }, to: { kind: 'time', at: last } } as const;
      const found = commandsOf(await eventsOf(journal, everything, range));
      const expected = model.filter((_, index) => first <= stamps[index]! && stamps[index]! <= last);
      expect(found.map(seen)).toEqual(expected.map(made));
    }
  });
});

/** The indexes of the MULTI and the EXEC around a command, or its own. */
function groupOf(model: readonly ModelCommand[], index: number): [number, number] {
  if (!model[index]!.inMulti) return [index, index];
  let [first, last] = [index, index];
  while (model[first]!.name !== 'MULTI') first -= 1;
  while (model[last]!.name !== 'EXEC') last += 1;
  return [first, last];
}

describe('what lies between', () => {
  test('gaps and failovers are told where they are', async () => {
    await using journal = await FoundJournal.create(5);
    const events = await eventsOf(journal, everything);
    const order = events.flatMap((event) => {
      if (event.kind === 'gap') return [`gap before ${event.gap.to.timeline}`];
      if (event.kind === 'switch') return [`switch on ${event.timeline} at ${formatPosition(event.position)}`];
      return event.kind === 'command' ? [`${event.timeline.number} ${event.position.id[0] ?? ''}`] : [event.kind];
    });
    const changes = order.filter((one, i) => one !== order[i - 1]);
    const ends = (id: string): number => journal.model.findLast((one) => one.id.startsWith(id))!.end;
    const name = (id: string): string => `${id.repeat(40)}:${ends(id)}`;
    expect(changes).toEqual([
      ...['1 1', `switch on 1 at ${name('1')}`, '1 2', 'gap before 2', '2 3', `switch on 2 at ${name('3')}`, '2 4'],
      ...['gap before 3', '3 5', `switch on 3 at ${name('5')}`, '3 6'],
    ]);
  });

  test('is told where nothing is found, and what was asked for and is not journaled, on both sides', async () => {
    await using journal = await FoundJournal.create(6, 2);
    const { model } = journal;
    const [first, last] = [model[0]!.stamp - 3_600_000_000, model.at(-1)!.stamp + 3_600_000_000];
    const range = { from: { kind: 'time', at: first }, to: { kind: 'time', at: last } } as const;
    const events = await eventsOf(journal, { keys: ['nobody'], commands: ['get'] }, range);
    expect(events.map(({ kind }) => kind)).toEqual(['uncovered', 'switch', 'gap', 'switch', 'uncovered']);
  });

  test('of a range inside a gap is the gap, whole', async () => {
    await using journal = await FoundJournal.create(7, 2);
    const end = journal.model.findLast(({ timeline }) => timeline === 1)!.stamp;
    const range = { from: { kind: 'time', at: end + 2_000_000 }, to: { kind: 'time', at: end + 3_000_000 } } as const;
    expect((await eventsOf(journal, everything, range)).map(({ kind }) => kind)).toEqual(['gap']);
  });

  test('a range that ends before it begins is refused, and a position that is not there too', async () => {
    await using journal = await FoundJournal.create(8, 1);
    const [a, b] = [journal.model[0]!.stamp, journal.model.at(-1)!.stamp];
    const backwards = { from: { kind: 'time', at: b }, to: { kind: 'time', at: a - 1 } } as const;
    await expect(eventsOf(journal, everything, backwards)).rejects.toMatchObject({
      code: 'range-backwards',
      exitCode: 2,
    });
    const nowhere = { from: { kind: 'position', idPrefix: 'ffff', offset: 5 }, to: undefined } as const;
    await expect(eventsOf(journal, everything, nowhere)).rejects.toMatchObject({ exitCode: 4 });
  });
});
