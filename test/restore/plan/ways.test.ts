// Which way a directory comes about, the journal's bytes or a scratch server, and that the plan says so and why.
import { describe, expect, test } from 'vitest';
import { parseSelection } from '../../../src/redis/key-selection.ts';
import type { SelectionText } from '../../../src/redis/key-selection.ts';
import { planToJson, planToText } from '../../../src/restore/plan/plan-print.ts';
import { planRestore } from '../../../src/restore/plan/plan-restore.ts';
import type { Plan, RestoreRequest } from '../../../src/restore/plan/plan.ts';
import type { ServerProgram } from '../../../src/scratch/find-server.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { command } from '../../redis-protocol/bytes.ts';
import { JournalBuilder } from '../../support/journal-builder.ts';

const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const program: ServerProgram = { kind: 'redis', version: '7.0.15', major: 7, minor: 0, path: '/usr/bin/redis-server' };

interface Asked extends Partial<RestoreRequest> {
  readonly text?: string;
  readonly stream?: readonly (readonly string[])[];
}

async function planFor(text: Partial<SelectionText>, { stream = [], ...more }: Asked = {}): Promise<Plan> {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({
    ...{ id: 'ab'.repeat(20), offset: 1000, completed: t0, server: { kind: 'redis', version: '7.0.15' } },
    contents: { keys: 0, expires: 0, hashFieldExpires: 0, minHashFieldExpireMs: 0 },
  });
  for (const words of [['RENAME', 'a', 'user:1'], ...stream]) {
    timeline.read(command(...words), t0 + 1_000_000);
    await timeline.commit();
  }
  return await planRestore(localDisk, journal.tree, {
    ...{ target: { kind: 'latest' }, text: 'latest', mode: 'at', now: t0 + 3_600_000_000, relativeTtl: 'refuse' },
    selection: parseSelection(text),
    ...more,
  });
}

function linesOf(plan: Plan): string[] {
  const lines = planToText(plan, { zone: undefined, now: t0 });
  return lines.filter((line) => /^(made|because|it holds)/.test(line)).map((line) => line.replace(/ {2,}/, ': '));
}

const users = { keys: ['user:*'] };

describe('of the journal’s bytes, and no server is asked for', () => {
  test.each([
    [users],
    [{ exclude: ['cart:*'] }],
    [{ db: ['3'] }],
    [{ keys: ['*'], exclude: ['cart:*'], db: ['0', '1'] }],
  ] as const)('for %j', async (text) => {
    const plan = await planFor(text, { servers: () => Promise.reject(new Error('nobody may ask')) });
    expect(linesOf(plan)).toEqual([
      'made of: the bytes of these keys and of what they depend on; what only came along is deleted at the end',
    ]);
    expect(planToJson(plan)).toMatchObject({ scratch: null, held: { everything: false, why: null } });
  });

  test('where commands act on every key alike, and for what a wanted key came from', async () => {
    const stream = [['FLUSHALL'], ['SWAPDB', '0', '1'], ['FLUSHDB'], ['MSET', 'b', '1', 'user:2', '2']];
    const { held } = await planFor(users, { stream });
    const has = ['a', 'b', 'user:2'].map((key) => held?.keys?.has(Buffer.from(key)));
    expect(has).toEqual([true, false, true]);
  });
});

describe('with other TTLs, of the journal’s bytes too', () => {
  const past = String(t0 / 1000 - 1);

  test.each([
    ['as-of', [], "the journal's bytes; no key had elapsed", 0],
    [
      'shift',
      [['SET', 'k', 'v', 'PXAT', past]],
      "the journal's bytes, with later times; 1 key that had elapsed is deleted at the end",
      1,
    ],
    [
      'persist',
      [
        ['SET', 'k', 'v', 'PXAT', past],
        ['SADD', 'l', 'v'],
        ['PEXPIREAT', 'l', past],
      ],
      "the journal's bytes, without times; 2 keys that had elapsed are deleted at the end",
      2,
    ],
  ] as const)('%s of %j', async (ttl, stream, made, elapsedKeys) => {
    const servers = (): Promise<never> => Promise.reject(new Error('nobody may ask'));
    const plan = await planFor({}, { ttl, stream, servers });
    expect(linesOf(plan)).toEqual([`made of: ${made}`]);
    expect(planToJson(plan)).toMatchObject({ scratch: null, elapsedKeys });
  });

  test.each([
    [[['EVAL', 'return 1', '0']], /^EVAL at offset \d+ may let any key expire$/],
    [[['MODULE.SET', 'k', '5']], /^MODULE\.SET at offset \d+ may let any key expire$/],
    [[['EXPIRE', 'k', '5']], /^the time that EXPIRE gives cannot be told, at offset \d+$/],
  ])('%j: a scratch server must make it', async (stream, why) => {
    const plan = await planFor({}, { ttl: 'shift', stream, servers: async () => [program] });
    expect(planToJson(plan)).toMatchObject({
      scratch: { why: expect.stringMatching(why) as string },
      elapsedKeys: null,
    });
    await expect(planFor({}, { ttl: 'shift', stream })).rejects.toMatchObject({ exitCode: 1 });
  });
});

describe('with other TTLs, a scratch server is asked about keys in doubt', () => {
  const past = String(t0 / 1000 - 1);
  const stream = [
    ['RPUSH', 'k', 'v'],
    ['PEXPIREAT', 'k', past],
    ['LPOP', 'k'],
    ['RENAME', 'other', 'from'],
  ];

  test('and holds them, with what they depend on', async () => {
    const plan = await planFor({}, { ttl: 'shift', stream, servers: async () => [program] });
    const asked = { server: 'Redis 7.0.15', program: program.path, keys: 1 };
    expect(planToJson(plan)).toMatchObject({ scratch: null, elapsedKeys: 0, asked });
    const has = ['k', 'other', 'user:1'].map((key) => plan.asked?.keys.has(Buffer.from(key)));
    expect(has).toEqual([true, false, false]);
    const lines = planToText(plan, { zone: undefined, now: t0 }).filter((line) => line.startsWith('asked'));
    expect(lines.join()).toContain('about 1 more, which commands alone do not tell');
  });

  test('without one there is no way', async () => {
    await expect(planFor({}, { ttl: 'shift', stream })).rejects.toMatchObject({ exitCode: 1 });
  });
});

describe('by a scratch server, and why', () => {
  test.each<readonly [string, Partial<SelectionText>, Asked]>([
    ['what is of a --type is known when all is replayed', { ...users, type: ['list'] }, {}],
    ['--rename gives names when all is replayed: commands have the others', { ...users, rename: ['s/a/b/'] }, {}],
    ['--ttl shift is done to the dataset, when all is replayed', users, { ttl: 'shift' }],
    ['--count-expired counts in the dataset, when all is replayed', users, { countsExpired: true }],
  ])('%s', async (why, text, more) => {
    const plan = await planFor(text, { ...more, servers: async () => [program] });
    expect(linesOf(plan)).toEqual([
      'made by: a scratch server, Redis 7.0.15 (/usr/bin/redis-server), which writes RDB version 10',
      `because: ${why}`,
      'it holds: these keys and what they depend on',
    ]);
    expect(planToJson(plan)).toMatchObject({ scratch: { why }, held: { everything: false } });
  });

  test('any key may depend on any other', async () => {
    const stream = [['MODULE.COMMAND', 'user:1', 'a']];
    const plan = await planFor(users, { stream, servers: async () => [program] });
    const why = expect.stringMatching(/^MODULE\.COMMAND at offset \d+ may touch any key$/) as string;
    expect(planToJson(plan)).toMatchObject({ scratch: { why }, held: { everything: true, why } });
    await expect(planFor(users, { stream })).rejects.toMatchObject({ exitCode: 1 });
  });

  test('nothing is said of outputs that only a server can make', async () => {
    const plan = await planFor(users, { to: 'rdb', servers: async () => [program] });
    expect(planToJson(plan).scratch).toMatchObject({ program: program.path, why: null });
  });
});
