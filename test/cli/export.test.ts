// journal export as it is typed: each format read back by rules of its own, against the model; going on from every
// position; values of any size; readers that have enough.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runCli } from '../../src/cli/run-cli.ts';
import { systemClock } from '../../src/core/clock.ts';
import { InterruptedError, StorageError } from '../../src/core/errors.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { FoundJournal } from '../inspect/found-journal.ts';
import type { ModelCommand } from '../inspect/found-journal.ts';
import { command } from '../redis-protocol/bytes.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { csvFields, wordsIn } from '../support/csv.ts';
import { commandsIn } from '../support/stream-commands.ts';
import { cli, KeepingStream } from './cli.ts';

const id = 'a'.repeat(40);
const second = 1_000_000;
const readBytes = 1_000_000;
const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const upkeep = /^(PING|REPLCONF|SELECT|MULTI|EXEC|DISCARD)$/;

/** What a row says of a command. */
interface ReadRow {
  readonly type: string;
  readonly position: string;
  readonly db: number;
  readonly multi: boolean;
  readonly words: readonly Buffer[];
}

async function written(root: string, ...words: string[]): Promise<string> {
  const { exitCode, stdout } = await cli(['export', '--dir', root, ...words]);
  expect(exitCode).toBe(0);
  return stdout;
}

type Text = string | { readonly base64: string };

function bytesOf(text: Text): Buffer {
  return typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.base64, 'base64');
}

function jsonRows(text: string): ReadRow[] {
  return text.split('\n').flatMap((line) => {
    if (line === '') return [];
    const row = JSON.parse(line) as Omit<ReadRow, 'words'> & { command: Text; args: Text[] };
    return [{ ...row, words: row.type === 'command' ? [row.command, ...row.args].map(bytesOf) : [] }];
  });
}

function csvRows(text: string): ReadRow[] {
  const [heading, ...rows] = csvFields(text);
  return rows.map((fields) => {
    expect(fields).toHaveLength(heading!.length);
    const row = Object.fromEntries(heading!.map((name, i) => [name, fields[i]!]));
    const words = [...wordsIn(row.command!), ...wordsIn(row.args!)];
    return { type: row.type!, position: row.position!, db: Number(row.db), multi: row.multi === 'true', words };
  });
}

function latin1(text: string): string {
  return Buffer.from(text, 'latin1').toString();
}

const readers = {
  jsonl: (text: string) => jsonRows(latin1(text)),
  csv: (text: string) => csvRows(latin1(text)),
} as const;

function modelRow({ id: name, end, db, inMulti, name: command, args }: ModelCommand): unknown[] {
  return [`${name}:${end}`, db, inMulti, [Buffer.from(command), ...args]];
}

function seen({ position, db, multi, words }: ReadRow): unknown[] {
  return [position, db, multi, words];
}

async function journalOf(...commands: Buffer[]): Promise<JournalBuilder> {
  const journal = await JournalBuilder.create('shop');
  const timeline = await journal.timeline({ id, offset: 1000, completed: t0, segmentBytes: 4000 });
  for (const [i, bytes] of commands.entries()) {
    for (let at = 0; at < bytes.length; at += readBytes) {
      timeline.read(bytes.subarray(at, at + readBytes), t0 + (i + 1) * second);
      await timeline.commit();
    }
  }
  return journal;
}

describe.each(['jsonl', 'csv'] as const)('an export as %s', (format) => {
  test.each([1, Date.now() >>> 0])('of a random journal is the model, gaps in their places (seed %d)', async (seed) => {
    await using journal = await FoundJournal.create(seed);
    const { model } = journal;
    const all = readers[format](await written(journal.journal.root, '--format', format));
    const ordinary = model.filter(({ name }) => !upkeep.test(name));
    expect(all.filter(({ type }) => type === 'command').map(seen)).toEqual(ordinary.map(modelRow));
    const order = all.map(({ type, position }) => (type === 'command' ? position.slice(0, 1) : type));
    expect(order.filter((one, i) => one !== order[i - 1]).join(' ')).toBe('1 switch 2 gap 3 switch 4 gap 5 switch 6');
    const every = readers[format](await written(journal.journal.root, '--format', format, '--command', '*'));
    expect(every.filter(({ type }) => type === 'command').map(seen)).toEqual(model.map(modelRow));
    const some = readers[format](
      await written(journal.journal.root, '--format', format, '--keys', 'user:*', '--exclude', 'user:2'),
    );
    const isMeant = ({ keys, others }: ModelCommand): boolean =>
      others !== undefined ||
      keys.some(({ key }) => key.toString('latin1').startsWith('user:') && key.toString() !== 'user:2');
    expect(some.filter(({ type }) => type === 'command').map(seen)).toEqual(model.filter(isMeant).map(modelRow));
  });

  test('goes on behind every row with exactly what came behind it', { timeout: 60_000 }, async () => {
    await using journal = await FoundJournal.create(3, 2, 40);
    const words = ['--format', format, '--command', '*'];
    const all = readers[format](await written(journal.journal.root, ...words));
    for (const [i, row] of all.entries()) {
      if (row.type !== 'command') continue;
      const { stdout } = await cli(['export', '--dir', journal.journal.root, ...words, '--after', row.position]);
      expect(readers[format](stdout), row.position).toEqual(all.slice(i + 1));
    }
  });

  test('stops at its limit', async () => {
    await using journal = await FoundJournal.create(3, 2, 40);
    const all = readers[format](await written(journal.journal.root, '--format', format));
    const first = all.filter(({ type }) => type === 'command').slice(0, 7);
    const words = ['--format', format, '--limit', '3'];
    expect(readers[format](await written(journal.journal.root, ...words)).map(seen)).toEqual(
      first.slice(0, 3).map(seen),
    );
    const more = await written(journal.journal.root, '--format', format, '--limit', '4', '--after', first[2]!.position);
    expect(
      readers[format](more)
        .filter(({ type }) => type === 'command')
        .map(seen),
    ).toEqual(first.slice(3).map(seen));
  });

  test('has any bytes as they were', async () => {
    const args = fc.array(fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.string({ unit: 'grapheme' })), {
      minLength: 1,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(args, { minLength: 1, maxLength: 5 }), async (commands) => {
        const made = commands.map((one) => ['SET', ...one.map((arg) => Buffer.from(arg as string))]);
        await using journal = await journalOf(...made.map((one) => command(...one)));
        const rows = readers[format](await written(journal.root, '--format', format));
        expect(rows.map(({ words }) => words)).toEqual(made.map((one) => one.map((arg) => Buffer.from(arg as string))));
      }),
      { numRuns: 20 },
    );
  });

  test('has large values and many arguments as they were', async () => {
    const made = [
      ['SET', 'large', Buffer.alloc(3_000_001, 'véry"\\\n')],
      [
        'SADD',
        'many',
        ...Array.from({ length: 40_000 }, (_, i) => (i % 7 === 0 ? Buffer.from([0xff, i & 255]) : `${i}`)),
      ],
      ['MSET', 'a', Buffer.alloc(2_000_003, 0xfe), '', Buffer.alloc(0), 'b', 'é'.repeat(524_288)],
    ];
    await using journal = await journalOf(...made.map((one) => command(...one)));
    const rows = readers[format](await written(journal.root, '--format', format));
    const lost = rows.map(({ words }, i) => words.findIndex((word, at) => !word.equals(Buffer.from(made[i]![at]!))));
    expect(rows.map(({ words }) => words.length)).toEqual(made.map((one) => one.length));
    expect(lost).toEqual([-1, -1, -1]);
  });
});

describe.each(['resp', 'aof'] as const)('an export as %s', (format) => {
  test.each([2, Date.now() >>> 0])(
    'keeps what was in one MULTI in one, each command in its db (seed %d)',
    async (seed) => {
      await using journal = await FoundJournal.create(seed);
      const run = async (...words: string[]): Promise<unknown[]> => {
        const text = await written(journal.journal.root, '--format', format, ...words);
        const plain = text.replace(/#TS:\d+\r\n/g, '');
        let [db, isIn] = [-1, false];
        return commandsIn(Buffer.from(plain, 'latin1')).flatMap(({ name, from, to }): unknown[] => {
          const bytes = plain.slice(from, to);
          if (name === 'SELECT') db = Number(/\r\n(\d+)\r\n$/.exec(bytes)?.[1]);
          if (name === 'MULTI' || name === 'EXEC') {
            expect(isIn).toBe(name === 'EXEC');
            isIn = name === 'MULTI';
            return [name];
          }
          return name === 'SELECT' ? [] : [[db, isIn, bytes]];
        });
      };
      const expected = (isMeant: (one: ModelCommand) => boolean): unknown[] => {
        const rows: unknown[] = [];
        let isIn = false;
        for (const one of journal.model) {
          if (one.name === 'EXEC' && isIn) rows.push('EXEC');
          if (one.name === 'EXEC') isIn = false;
          if (upkeep.test(one.name) || !isMeant(one)) continue;
          if (one.inMulti && !isIn) rows.push('MULTI');
          isIn = one.inMulti;
          rows.push([one.db, one.inMulti, one.bytes.toString('latin1')]);
        }
        return rows;
      };
      expect(await run()).toEqual(expected(() => true));
      const isUser = ({ keys, others }: ModelCommand): boolean =>
        others !== undefined || keys.some(({ key }) => key.toString() === 'user:1');
      expect(await run('--keys', 'user:1')).toEqual(expected(isUser));
      for (const limit of [1, 2, 3, 10]) {
        const all = expected(() => true);
        const some = await run('--limit', String(limit));
        expect(some).toEqual(all.slice(0, some.length));
        const isIn = some.filter((one) => one === 'MULTI').length > some.filter((one) => one === 'EXEC').length;
        const count = some.filter((one) => typeof one !== 'string').length;
        expect([isIn, count >= limit], `limit ${limit}`).toEqual([false, true]);
      }
    },
  );
});

describe('an export', () => {
  test('of nothing exits as a search does, and a heading is there all the same', async () => {
    await using journal = await journalOf(command('SET', 'a', '1'));
    const nothing = await cli(['export', '--dir', journal.root, '--keys', 'b', '--format', 'csv']);
    expect(nothing).toMatchObject({ exitCode: 1, stderr: 'journal: nothing was found\n' });
    expect(nothing.stdout).toMatch(/^type,.*,note\r\n$/);
    const far = ['export', '--dir', journal.root, '--keys', 'b', '--to', '2026-11-21T00:00:00Z'];
    expect(await cli(far)).toMatchObject({ exitCode: 4, stdout: expect.stringContaining('"uncovered"') as string });
  });

  test.each([
    [['--after', 'latest'], '--after is not a position'],
    [['--after', `${id}:1001`, '--from', '-1h'], '--from and --after both'],
    [['--format', 'xml'], 'is not jsonl, resp, aof or csv'],
  ])('%j is refused', async (words, message) => {
    await using journal = await journalOf(command('SET', 'a', '1'));
    const { exitCode, stdout, stderr } = await cli(['export', '--dir', journal.root, ...words]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  test('that is interrupted tells where to go on, and nothing is lost or twice', async () => {
    const commands = Array.from({ length: 300 }, (_, i) => command('SET', `key:${i}`, 'v'.repeat(1000)));
    await using journal = await journalOf(...commands);
    const all = readers.jsonl(await written(journal.root));
    const interrupt = new AbortController();
    const stdout = new (class extends KeepingStream {
      override write(text: string | Uint8Array, taken?: () => void): boolean {
        interrupt.abort(new InterruptedError('stopped by SIGINT'));
        return super.write(text, taken);
      }
    })(false);
    const stderr = new KeepingStream(false);
    const io = { stdout, stderr, env: {}, disk: localDisk, clock: systemClock, signal: interrupt.signal };
    expect(await runCli(['export', '--dir', journal.root], io)).toBe(130);
    const position = /up to (\S+) was handed over/.exec(stderr.text)?.[1];
    const first = readers.jsonl(stdout.text);
    expect(first.at(-1)?.position).toBe(position);
    expect(first.length).toBeLessThan(all.length);
    expect([...first, ...readers.jsonl(await written(journal.root, '--after', position!))]).toEqual(all);
  });

  test.each([
    ['jsonl', []],
    ['csv', ['--limit', '3']],
    ['aof', []],
  ])('to a file as %s %j is what standard output would have had, and replaces nothing', async (format, more) => {
    await using journal = await journalOf(...Array.from({ length: 50 }, (_, i) => command('SET', `key:${i}`, 'v')));
    const file = path.join(temporaryDirectory('export'), 'out');
    const words = ['export', '--dir', journal.root, '--format', format, ...more];
    const { stdout } = await cli(words);
    const told = await cli([...words, '--out', file]);
    expect(told).toMatchObject({
      exitCode: 0,
      stdout: '',
      stderr: expect.stringContaining(`wrote ${file}: `) as string,
    });
    expect(readFileSync(file, 'latin1')).toBe(stdout);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(path.dirname(file))).toEqual(['out']);
    const again = await cli([...words, '--to', '2000-01-01T00:00:00Z', '--out', file]);
    expect(again).toMatchObject({ exitCode: 7, stderr: expect.stringContaining(`${file} exists`) as string });
    expect(readFileSync(file, 'latin1')).toBe(stdout);
  });

  test('to a file leaves nothing when the disk is full, when it is interrupted, and when nothing is found', async () => {
    await using journal = await journalOf(command('SET', 'a', '1'));
    const folder = temporaryDirectory('export');
    const words = ['export', '--dir', journal.root, '--out', path.join(folder, 'out')];
    const interrupt = new AbortController();
    const when = (act: (file: DiskFile) => void): Disk => ({
      ...localDisk,
      create: async (name) => {
        const file = await localDisk.create(name);
        if (path.basename(name) === 'out') act(file);
        return file;
      },
    });
    const full = when((file) => {
      file.write = () => Promise.reject(new StorageError('no-space', `no space left for ${file.path}`));
    });
    expect(await cli(words, { disk: full })).toMatchObject({
      exitCode: 9,
      stderr: expect.stringContaining('journal: no space left for') as string,
    });
    const interrupted = when(() => {
      interrupt.abort(new InterruptedError('stopped by SIGINT'));
    });
    expect(await cli(words, { disk: interrupted, signal: interrupt.signal })).toMatchObject({ exitCode: 130 });
    expect(await cli([...words, '--command', 'GETDEL'])).toMatchObject({ exitCode: 1 });
    expect(await cli([...words.slice(0, -1), path.join(folder, 'no', 'out')])).toMatchObject({ exitCode: 2 });
    expect(readdirSync(folder)).toEqual([]);
  });

  const program = path.resolve(import.meta.dirname, '../../src/cli/main.ts');

  test('ends without a fault when its reader has read enough', { timeout: 60_000 }, async () => {
    const many = Buffer.concat(Array.from({ length: 50_000 }, (_, i) => command('SET', `key:${i}`, 'v')));
    await using journal = await journalOf(many);
    for (const format of ['jsonl', 'csv', 'resp', 'aof']) {
      const line = `"${process.execPath}" "${program}" export --dir "${journal.root}" --format ${format} | head -n 2; echo "\${PIPESTATUS[0]}"`;
      const { stdout, stderr } = spawnSync('bash', ['-c', line], { encoding: 'utf8' });
      expect(stderr).toMatch(
        /^(journal: the reader has stopped before the end(; --after the position of the last row that it has goes on)?\n)?$/,
      );
      expect(stdout.trimEnd().split('\n').at(-1), stdout).toBe('0');
    }
  });

  test('holds little of a large value, however slowly it is read', { timeout: 60_000 }, async () => {
    await using journal = await journalOf(command('SET', 'large', Buffer.alloc(100_000_000, 'v')));
    for (const format of ['jsonl', 'csv']) {
      const words = [program, 'export', '--dir', journal.root, '--format', format];
      const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
      let [bytes, mostKilobytes] = [0, 0];
      child.stdout.on('data', (some: Buffer) => {
        bytes += some.length;
        const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
        mostKilobytes = Math.max(mostKilobytes, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
      });
      expect(await once(child, 'close')).toEqual([0, null]);
      expect(bytes).toBeGreaterThan(100_000_000);
      expect(mostKilobytes / 1000, format).toBeLessThan(280);
    }
  });
});
