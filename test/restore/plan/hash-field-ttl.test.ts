// Hash fields whose TTL has elapsed, on servers that lose them while loading: refused with the position, or allowed.
import { describe, expect, test } from 'vitest';
import type { BaseContents } from '../../../journal-format/base.ts';
import { UsageError } from '../../../src/core/errors.ts';
import { planRestore } from '../../../src/restore/plan/plan-restore.ts';
import type { Plan } from '../../../src/restore/plan/plan.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { command } from '../../redis-protocol/bytes.ts';
import { JournalBuilder } from '../../support/journal-builder.ts';

const nowMs = Date.UTC(2026, 10, 20, 14, 30, 0);
const t0 = nowMs * 1000 - 3_600_000_000;
const id = 'a'.repeat(40);
const offset = 500;
const past = String(nowMs - 1000);
const soon = String(nowMs + 59_000);
const later = String(nowMs + 61_000);

const noFields: BaseContents = { keys: 1, expires: 0, hashFieldExpires: 0, minHashFieldExpireMs: 0 };

interface Setting {
  readonly version?: string;
  readonly kind?: string;
  /** `null`: the base could not be walked. */
  readonly contents?: BaseContents | null;
  readonly commands: readonly (readonly (string | Buffer)[])[];
}

async function plan({ version = '8.0.1', kind = 'redis', contents = noFields, commands }: Setting): Promise<Plan> {
  await using journal = await JournalBuilder.create();
  const server = { kind, version };
  const known = contents === null ? {} : { contents };
  const timeline = await journal.timeline({ id, offset, completed: t0, server, rdbVersion: 12, ...known });
  for (const words of commands) timeline.read(command(...words), t0 + 1);
  await timeline.commit();
  return await planRestore(localDisk, journal.tree, {
    target: { kind: 'latest' },
    text: 'latest',
    mode: 'at',
    now: nowMs * 1000,
    relativeTtl: 'refuse',
  });
}

const hset = ['HSET', 'h', 'f', '1'];

/** A serialised hash: its type, the earliest time in it, more. */
function payload(type: number, ms: string): Buffer {
  const bytes = Buffer.alloc(500);
  bytes[0] = type;
  bytes.writeBigInt64LE(BigInt(ms), 1);
  return bytes;
}

describe('refused, with the first position', () => {
  const cases: readonly (readonly [string, readonly (string | Buffer)[]])[] = [
    ['a field TTL that has elapsed', ['HPEXPIREAT', 'h', past, 'FIELDS', '1', 'f']],
    ['one that elapses within a minute', ['hpexpireat', 'h', soon, 'FIELDS', '1', 'f']],
    ['one in seconds', ['HEXPIREAT', 'h', String(nowMs / 1000), 'FIELDS', '1', 'f']],
    ['one of HSETEX', ['HSETEX', 'h', 'FNX', 'PXAT', past, 'FIELDS', '1', 'f', 'v']],
    ['one of HSETEX in seconds', ['HSETEX', 'h', 'exat', String(nowMs / 1000), 'FIELDS', '1', 'f', 'v']],
    ['a relative one', ['HPEXPIRE', 'h', '100000000', 'FIELDS', '1', 'f']],
    ['a relative one of HSETEX', ['HSETEX', 'h', 'EX', '100000000', 'FIELDS', '1', 'f', 'v']],
    ['one in a serialised hash', ['RESTORE', 'h', '0', payload(24, past)]],
    ['one in a small serialised hash', ['restore', 'h', '0', payload(25, past), 'REPLACE']],
    ['a serialised hash of a release candidate', ['RESTORE', 'h', '0', payload(22, later)]],
    ['a time that is none', ['HPEXPIREAT', 'h', 'never', 'FIELDS', '1', 'f']],
  ];

  test.each(cases)('%s', async (_name, words) => {
    const before = [hset, ['SET', 'k', 'v']];
    const refused: unknown = await plan({ commands: [...before, words, hset] }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(UsageError);
    const position = [...before, words].reduce((sum, one) => sum + command(...one).length, offset);
    expect(refused).toMatchObject({
      code: 'hash-field-ttl',
      exitCode: 1,
      message: expect.stringContaining(`${id}:${position}, and while loading`),
      hint: expect.stringContaining(`--at ${id}:${offset}`),
    });
  });

  test('or, of a base, with when it is', async () => {
    const contents = { ...noFields, hashFieldExpires: 1, minHashFieldExpireMs: nowMs - 1000 };
    await expect(plan({ contents, commands: [hset] })).rejects.toMatchObject({
      code: 'hash-field-ttl',
      message: expect.stringContaining('expires at 2026-11-20T14:29:59.000Z'),
    });
  });

  test('when what the base holds is not known', async () => {
    await expect(plan({ contents: null, commands: [hset] })).rejects.toMatchObject({ code: 'hash-field-ttl' });
  });
});

describe('allowed', () => {
  test('without field TTLs, however much looks like one', async () => {
    const commands = [
      hset,
      ['HPERSIST', 'h', 'FIELDS', '1', 'f'],
      ['HSETEX', 'h', 'KEEPTTL', 'FIELDS', '2', 'PXAT', past, 'f', 'v'],
      ['RPUSH', 'HPEXPIREAT', 'h', past],
      ['RESTORE', 'k', '0', payload(0, past)],
      ['RENAME', 'a', 'b'],
    ];
    expect(await plan({ commands })).toMatchObject({ loadBefore: undefined });
  });

  test('with TTLs ahead: until the first of them the directory is exact', async () => {
    const far = String(nowMs + 500_000);
    const inBase = { ...noFields, hashFieldExpires: 1, minHashFieldExpireMs: nowMs + 90_000 };
    const commands = [
      ['HPEXPIREAT', 'h', far, 'FIELDS', '1', 'f'],
      ['HPEXPIREAT', 'h', later, 'FIELDS', '1', 'g'],
    ];
    expect(await plan({ commands })).toMatchObject({ loadBefore: Number(later) * 1000 });
    expect(await plan({ contents: inBase, commands: [commands[0]!] })).toMatchObject({
      loadBefore: (nowMs + 90_000) * 1000,
    });
  });

  test('of a base alone', async () => {
    expect(await plan({ contents: null, commands: [] })).toMatchObject({ loadBefore: undefined });
  });

  test.each([
    ['redis', '7.2.6'],
    ['valkey', '9.1.2'],
  ])('on %s %s, which replicate results', async (kind, version) => {
    const commands = [['HPEXPIREAT', 'h', past, 'FIELDS', '1', 'f']];
    expect(await plan({ kind, version, contents: null, commands })).toMatchObject({ loadBefore: undefined });
  });
});
