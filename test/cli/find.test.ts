// journal find as it is typed: rows, JSON lines, RESP, exit codes, and a reader that has enough.
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadCatalog } from '../../src/log/catalog.ts';
import { applyRetention } from '../../src/log/removal.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { command } from '../redis-protocol/bytes.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { cli } from './cli.ts';
import type { CliResult } from './cli.ts';

const id = 'a'.repeat(40);
const otherId = 'b'.repeat(40);
const second = 1_000_000;
const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const binary = Buffer.from([0xff, 0x2a, 0x00]);

interface Line {
  readonly type: string;
  readonly [name: string]: unknown;
}

function linesOf(stdout: string): Line[] {
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
}

/** Some commands a second apart, a gap, and one more. */
async function journalOf(...commands: Buffer[]): Promise<JournalBuilder> {
  const journal = await JournalBuilder.create('shop');
  const first = await journal.timeline({ id, offset: 1000, completed: t0, segmentBytes: 200 });
  for (const [i, bytes] of commands.entries()) {
    first.read(bytes, t0 + (i + 1) * second);
    await first.commit();
  }
  await first.seal();
  const later = await journal.timeline({ id: otherId, offset: 50, completed: t0 + 600 * second });
  later.read(command('SET', 'later', '1'), t0 + 601 * second);
  await later.commit();
  return journal;
}

const some = [
  command('SET', 'user:1', 'two words'),
  command('SELECT', '11'),
  command('MULTI'),
  command('DEL', 'user:1', binary),
  command('EXEC'),
  command('PING'),
  command('FLUSHDB'),
];

describe('journal find', () => {
  test('prints a line for each command, and what lies between', async () => {
    await using journal = await journalOf(...some);
    const { exitCode, stdout, stderr } = await cli(['find', '--dir', journal.root]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const end = (count: number): number => 1000 + Buffer.concat(some.slice(0, count)).length;
    expect(stdout.split('\n')).toEqual([
      'received                       ±  position              db  in     command',
      `2026-11-20 14:30:01.000Z       ?  aaaaaaaa:${end(1)}          0         SET user:1 "two words"`,
      `2026-11-20 14:30:04.000Z       ?  aaaaaaaa:${end(4)}         11  MULTI  DEL user:1 "\\xff*\\x00"`,
      `2026-11-20 14:30:07.000Z       ?  aaaaaaaa:${end(7)}         11         FLUSHDB`,
      '-- gap from 2026-11-20 14:30:07.000Z to 2026-11-20 14:40:00.000Z, 9 min 53 s: history changed (as the test wanted it)',
      '2026-11-20 14:40:01.000Z       ?  bbbbbbbb:81            0         SET later 1',
      '',
    ]);
  });

  test('prints a document a line with --json', async () => {
    await using journal = await journalOf(...some);
    const { stdout } = await cli(['find', '--dir', journal.root, '--json', '--key', 'user:*']);
    const lines = linesOf(stdout);
    expect(lines.map(({ type, command: name }) => [type, name])).toEqual([
      ...[
        ['command', 'SET'],
        ['command', 'DEL'],
        ['command', 'FLUSHDB'],
        ['gap', undefined],
      ],
    ]);
    expect(lines[1]).toEqual({
      ...{ type: 'command', timeline: 1, position: `${id}:${1000 + Buffer.concat(some.slice(0, 4)).length}` },
      ...{ time: '2026-11-20T14:30:04.000000Z', written: { from: null, to: '2026-11-20T14:30:04.000000Z' } },
      ...{ db: 11, multi: true, command: 'DEL', args: ['user:1', { base64: '/yoA' }], argumentCount: 2 },
      bytes: some[3]!.length,
    });
    expect(lines[2]).toMatchObject({ mayTouch: 'any' });
    expect(lines[3]).toMatchObject({ timeline: 2, cause: 'history-changed', seconds: 593 });
  });

  test('matches a binary key as it was printed', async () => {
    await using journal = await journalOf(...some);
    const found = async (key: string): Promise<unknown[]> => {
      const { stdout } = await cli(['find', '--dir', journal.root, '--json', '--key', key, '--command', 'DEL']);
      return linesOf(stdout).filter(({ type }) => type === 'command');
    };
    expect(await found(String.raw`\xff\x2a\x00`)).toHaveLength(1);
    expect(await found(String.raw`\xff*`)).toHaveLength(1);
    expect(await found(String.raw`\xff\x2a\x01`)).toHaveLength(0);
    expect(await found(String.raw`\xfe\x2a`)).toHaveLength(0);
  });

  test('prints commands byte for byte with --raw, each in its db', async () => {
    await using journal = await journalOf(...some);
    const { stdout, stderr } = await cli(['find', '--dir', journal.root, '--raw']);
    const expected = [
      ...[command('SELECT', '0'), some[0]!, command('SELECT', '11'), some[3]!, some[6]!],
      ...[command('SELECT', '0'), command('SET', 'later', '1')],
    ];
    expect(stdout).toBe(Buffer.concat(expected).toString('latin1'));
    expect(stderr).toMatch(/^journal: -- gap from /);
  });

  test('cuts values above 1 MB even with --values, and none of them with --raw', async () => {
    const large = command('SET', 'large', Buffer.alloc(3_000_000, 'v'));
    await using journal = await journalOf(command('SET', 'small', 'v'.repeat(1000)), large);
    const short = linesOf((await cli(['find', '--dir', journal.root, '--json', '--key', '*l*'])).stdout);
    expect(short[0]).toMatchObject({ args: ['small', 'v'.repeat(64)], shortened: { 1: 1000 } });
    const { stdout } = await cli(['find', '--dir', journal.root, '--json', '--values', '--key', '*l*']);
    const lines = linesOf(stdout);
    expect(lines[0]).toMatchObject({ args: ['small', 'v'.repeat(1000)] });
    expect(lines[0]).not.toHaveProperty('shortened');
    expect(lines[1]).toMatchObject({ args: ['large', 'v'.repeat(1_048_576)], shortened: { 1: 3_000_000 } });
    const raw = await cli(['find', '--dir', journal.root, '--raw', '--key', 'large']);
    expect(raw.stdout).toBe(Buffer.concat([command('SELECT', '0'), large]).toString('latin1'));
  });

  test('exits 1 where there is nothing, and 4 where not all was searched', async () => {
    await using journal = await journalOf(...some);
    const nothing = ['find', '--dir', journal.root, '--command', 'GETDEL'];
    expect(await cli([...nothing, '--from', `${otherId}:60`])).toEqual({
      ...{ exitCode: 1, stdout: '', stderr: 'journal: nothing was found\n' },
    });
    expect(await cli(nothing)).toMatchObject({ exitCode: 4, stdout: expect.stringContaining('-- gap') as string });
    expect(await cli([...nothing, '--from', '2026-11-19T00:00:00Z', '--to', '2026-11-20T14:30:05Z'])).toMatchObject({
      exitCode: 4,
      stdout: expect.stringContaining(
        '-- nothing is journaled from 2026-11-19 00:00:00.000Z to 2026-11-20 14:30:00.000Z\n',
      ) as string,
    });
    expect(await cli(['find', '--dir', journal.root, '--from', 'mark:never'])).toMatchObject({ exitCode: 4 });
  });

  test('prints what destroyed much with --destructive, each with the way back', async () => {
    const keys = Array.from({ length: 12 }, (_, i) => `cart:${i}`);
    const commands = [
      ...[command('SET', 'cart:1', '1'), command('SELECT', '11'), command('DEL', 'one'), command('UNLINK', ...keys)],
      ...[command('RENAME', 'a', 'b c'), command('MULTI'), command('FLUSHDB'), command('EXEC')],
    ];
    await using journal = await journalOf(...commands);
    const end = (count: number): number => 1000 + Buffer.concat(commands.slice(0, count)).length;
    const restore = (offset: number): string =>
      `    journal restore --dir ${journal.root} --before ${id}:${offset} --to ./restored`;
    const missingOf = (count: number): string => restore(end(count)).replace(' --to ./restored', '');
    const missing = `${missingOf(4)} --keys 'cart:*' --db 11 --only-missing --to redis://HOST:PORT`;
    const { exitCode, stdout } = await cli(['find', '--dir', journal.root, '--destructive']);
    expect(exitCode).toBe(0);
    expect(stdout.split('\n')).toEqual([
      `2026-11-20 14:30:04.000Z  UNLINK of 12 keys cart:* by one command, db 11, at aaaaaaaa:${end(4)}`,
      '    such as cart:0  cart:1  cart:2',
      restore(end(4)),
      missing,
      `2026-11-20 14:30:05.000Z  RENAME of a to 1 key b c, which it replaced where they were there, by one command, db 11, at aaaaaaaa:${end(5)}`,
      restore(end(5)),
      `2026-11-20 14:30:07.000Z  FLUSHDB of db 11 at aaaaaaaa:${end(7)}`,
      restore(end(7)),
      `${missingOf(7)} --db 11 --only-missing --to redis://HOST:PORT`,
      expect.stringMatching(/^-- gap/),
      '',
    ]);
    const lines = linesOf((await cli(['find', '--dir', journal.root, '--destructive', '--json', '--db', '11'])).stdout);
    expect(lines.map(({ type, kind }) => kind ?? type)).toEqual(['removal', 'rename', 'flush', 'gap']);
    expect(lines[0]).toEqual({
      ...{ type: 'destruction', kind: 'removal', timeline: 1, position: `${id}:${end(4)}` },
      ...{ time: '2026-11-20T14:30:04.000000Z', command: 'UNLINK', commands: ['UNLINK'], commandCount: 1 },
      ...{ last: { position: `${id}:${end(4)}`, time: '2026-11-20T14:30:04.000000Z' }, dbs: [11], keyCount: 12 },
      ...{ prefix: 'cart:', examples: ['cart:0', 'cart:1', 'cart:2'], atOnce: true },
      restore: restore(end(4)).trim(),
      restoreMissing: missing.trim(),
    });
    const other = await cli(['find', '--dir', journal.root, '--destructive', '--db', '3', '--to', `${id}:${end(8)}`]);
    expect(other).toEqual({ exitCode: 1, stdout: '', stderr: 'journal: nothing was found\n' });
  });

  test('of a flush it prints what it was of, and the way back into the server, as the journal reaches it', async () => {
    await using journal = await journalOf(command('SWAPDB', '0', '3'), command('FLUSHALL'));
    const nothing = { server: null, id: null, position: null, lastStamp: null, sync: null, lastError: null };
    const at = { startedAt: '2026-11-20T14:30:00Z', updatedAt: '2026-11-20T14:30:00Z', nextAttemptAt: null };
    const clock = { skew: null, sampledAt: null, wallError: 0 };
    const words = { version: 1, writer: 'x', pid: 1, source: 'db.internal:6380', isTls: true, sealing: 0, timeline: 1 };
    await writeFile(journal.tree.state, JSON.stringify({ ...words, ...nothing, ...at, clock, state: 'streaming' }));
    const { stdout } = await cli(['find', '--dir', journal.root, '--destructive']);
    expect(stdout).toContain('SWAPDB of db 0 and 3 at aaaaaaaa:');
    expect(stdout).toContain('FLUSHALL at aaaaaaaa:');
    expect(stdout).toMatch(/--before a+:\d+ --only-missing --to rediss:\/\/db\.internal:6380\n/);
    const json = (await cli(['find', '--dir', journal.root, '--destructive', '--json'])).stdout;
    const [swap, flush] = linesOf(json);
    expect(swap).toMatchObject({ kind: 'swap', dbs: [0, 3] });
    expect(swap).not.toHaveProperty('restoreMissing');
    expect(flush).not.toHaveProperty('dbs');
  });

  test('tells of keys that were all given little time to live, but not of those that were just made', async () => {
    const ends = String((t0 + 60 * second) / 1000);
    const doomed = Array.from({ length: 12 }, (_, i) => command('PEXPIREAT', `cart:${i}`, ends));
    const counters = doomed.flatMap((_, i) => {
      return [command('INCR', `rate:${i}`), command('PEXPIREAT', `rate:${i}`, ends)];
    });
    const group = (commands: readonly Buffer[]): Buffer[] => [command('MULTI'), ...commands, command('EXEC')];
    await using journal = await journalOf(...group(counters), ...group(doomed));
    const { stdout } = await cli(['find', '--dir', journal.root, '--destructive', '--json']);
    expect(linesOf(stdout).filter(({ type }) => type === 'destruction')).toMatchObject([
      { kind: 'expiry', command: 'PEXPIREAT', keyCount: 12, prefix: 'cart:', ends: '2026-11-20T14:31:00.000000Z' },
    ]);
    const text = (await cli(['find', '--dir', journal.root, '--destructive'])).stdout;
    expect(text).toContain('PEXPIREAT of 12 keys cart:* in one MULTI, to end by 2026-11-20 14:31:00.000Z, db 0');
  });

  test('tells what was found of a timeline that retention removes meanwhile, then that the rest is removed', async () => {
    const keep = { rule: { kind: 'size', bytes: 1 }, words: '--keep-local 1MB' } as const;
    const many = Array.from({ length: 20 }, (_, i) => command('SET', `key:${i}`, 'v'));
    const search = async (removeAt: number, ...words: string[]): Promise<CliResult & { isRemoved: boolean }> => {
      await using journal = await journalOf(...many);
      let opens = 0;
      const disk: Disk = {
        ...localDisk,
        open: async (file, mode) => {
          opens += 1;
          if (opens === removeAt) {
            const { timelines } = await loadCatalog(localDisk, journal.tree);
            await applyRetention(localDisk, journal.tree, timelines, keep, t0 + 700 * second);
          }
          return localDisk.open(file, mode);
        },
      };
      return { ...(await cli([...words, '--dir', journal.root, '--json'], { disk })), isRemoved: opens >= removeAt };
    };
    const endOfFirst = `${id}:${1000 + Buffer.concat(many).length}`;
    const [found, nothing] = [['find'], ['find', '--command', 'GETDEL', '--to', endOfFirst]];
    const cuts = new Set<string>();
    for (const words of [found, nothing, ['find', '--destructive']]) {
      const whole = linesOf((await search(Infinity, ...words)).stdout);
      for (let at = 1; ; at += 1) {
        const { exitCode, stdout, stderr, isRemoved } = await search(at, ...words);
        if (!isRemoved) break;
        const lines = linesOf(stdout);
        const cut = lines.findIndex(({ type }) => type === 'removed');
        // Removed before it was looked for: a position on it is refused, and who asks for everything means what is there.
        if (cut === -1) continue;
        const ofFirst = lines.slice(0, cut);
        expect(ofFirst, `open ${at}`).toEqual(whole.slice(0, cut));
        expect(lines[cut], `open ${at}`).toMatchObject({ timeline: 1, rule: '--keep-local 1MB' });
        const isFound = lines.some(({ type }) => type === 'command' || type === 'destruction');
        expect({ exitCode, stderr }, `open ${at}`).toEqual({ exitCode: isFound ? 0 : 4, stderr: '' });
        cuts.add(`${words.slice(1, 3).join(' ')} ${cut > 0 ? 'behind some' : 'before any'}`);
      }
    }
    expect([...cuts].sort()).toEqual([
      ...[' before any', ' behind some', '--command GETDEL before any', '--destructive before any'],
    ]);
  });

  test('stops at its limit', async () => {
    await using journal = await journalOf(...some);
    const { exitCode, stdout } = await cli(['find', '--dir', journal.root, '--json', '--limit', '2']);
    expect(exitCode).toBe(0);
    expect(linesOf(stdout).map((line) => line.command)).toEqual(['SET', 'DEL']);
  });

  test('takes --keys for --key, as its neighbours call it, and both together', async () => {
    await using journal = await journalOf(command('SET', 'a', '1'), command('SET', 'b', '1'), command('SET', 'c', '1'));
    const { stdout } = await cli(['find', '--dir', journal.root, '--json', '--keys', 'a', '--key', 'c', '--keys', 'd']);
    expect(linesOf(stdout).flatMap(({ args }) => (args === undefined ? [] : [args]))).toEqual([
      ['a', '1'],
      ['c', '1'],
    ]);
    expect((await cli(['find', '--help'])).stdout).not.toContain('--keys');
  });

  test('tells who names a mark without saying that it is one', async () => {
    await using journal = await journalOf(...some);
    expect((await cli(['mark', 'before deploy', '--dir', journal.root])).exitCode).toBe(0);
    const told = await cli(['find', '--dir', journal.root, '--from', 'before deploy']);
    expect(told).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("write 'mark:before deploy'") as string,
    });
    const other = await cli(['find', '--dir', journal.root, '--from', 'no mark']);
    expect(other).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('a target is a time such as') as string,
    });
  });

  test.each([
    [['--limit', '0'], 'is not a number of rows'],
    [['--db', 'x'], 'not a db'],
    [['--raw', '--json'], '--raw is whole commands'],
    [['--destructive', '--command', 'DEL'], '--destructive looks for commands of its own'],
    [['--from', 'yesterday'], 'not a restore target'],
    [['--from', '-1h', '--to', '-2h'], 'the range ends before it begins'],
  ])('%j is refused', async (words, message) => {
    await using journal = await journalOf(...some);
    const { exitCode, stdout, stderr } = await cli(['find', '--dir', journal.root, ...words]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  test('ends without a word when its reader has read enough', { timeout: 60_000 }, async () => {
    const many = Buffer.concat(Array.from({ length: 50_000 }, (_, i) => command('SET', `key:${i}`, 'v')));
    await using journal = await journalOf(many);
    const program = path.resolve(import.meta.dirname, '../../src/cli/main.ts');
    for (const form of ['', '--json', '--raw']) {
      const line = `"${process.execPath}" "${program}" find --dir "${journal.root}" ${form} | head -n 2; echo "\${PIPESTATUS[0]}"`;
      const { stdout, stderr } = spawnSync('bash', ['-c', line], { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(stdout.trimEnd().split('\n').at(-1), stdout).toBe('0');
    }
  });
});

describe('journal history', () => {
  test('prints the commands that changed one key, or may have, and not those that read it', async () => {
    const commands = [
      ...[command('SET', 'a*', '1'), command('SET', 'ab', '1'), command('COPY', 'a*', 'b', 'DB', '3')],
      ...[command('RENAME', 'c', 'a*'), command('FLUSHALL'), command('SET', binary, '1'), command('SET', '\\', '1')],
    ];
    await using journal = await journalOf(...commands);
    const history = async (...words: string[]): Promise<unknown[]> => {
      const { stdout } = await cli(['history', '--dir', journal.root, '--json', ...words]);
      return linesOf(stdout).map((line) => line.command ?? line.type);
    };
    expect(await history('a*')).toEqual(['SET', 'RENAME', 'FLUSHALL', 'gap']);
    expect(await history('b')).toEqual(['COPY', 'FLUSHALL', 'gap']);
    expect(await history('b', '--db', '0')).toEqual(['FLUSHALL', 'gap']);
    expect(await history(String.raw`\xff*\x00`, '--limit', '2')).toEqual(['FLUSHALL', 'SET']);
    expect(await history(String.raw`\\`)).toEqual(['FLUSHALL', 'SET', 'gap']);
  });

  test('of no key is refused', async () => {
    expect(await cli(['history'])).toMatchObject({ exitCode: 2 });
  });
});
