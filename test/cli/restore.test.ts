// journal restore, from arguments to a directory; what is in the directory is restore/'s business.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../support/leash.ts';
import { firstId, MadeJournal } from '../support/made-journal.ts';
import { cli, json, jsonError } from './cli.ts';

/** Two commands, at 14:30:01 and 14:30:03. */
async function journal(): Promise<MadeJournal & { readonly ends: readonly [number, number] }> {
  const made = await MadeJournal.open();
  await made.fullSync(firstId, 1000);
  const first = await made.write(['SET', 'a', '1']);
  made.clock.advance(2000);
  const second = await made.write(['SET', 'b', '2']);
  await made.stop();
  made.clock.advance(60_000);
  return Object.assign(made, { ends: [first, second] as const });
}

function out(): string {
  return path.join(temporaryDirectory('restored'), 'out');
}

describe('a restore', () => {
  test('shows its plan, makes the directory, and says how to start a server from it', async () => {
    const { root, clock } = await journal();
    const to = out();
    const result = await cli(['restore', '--at', 'latest', '--to', to, '--dir', root], { clock });
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(result.stdout).toMatch(
      /^target +--at latest\n[^]*\nrestored .*every byte verified\nstart it with: redis-server --dir /,
    );
    expect(readdirSync(to).sort()).toEqual(['appendonlydir', 'restore.json']);
  });

  test('answers with one document with --json, the same as restore.json and how it went', async () => {
    const { root, clock, ends } = await journal();
    const to = out();
    const argv = ['restore', '--at', '2026-11-20T14:30:02Z', '--to', to, '--dir', root, '--json'];
    const result = await cli(argv, { clock });
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    const document = json(result);
    expect(document).toMatchObject({
      to,
      requested: { mode: 'at', target: '2026-11-20T14:30:02Z', time: '2026-11-20T14:30:02.000000Z' },
      reached: { position: `${firstId}:${ends[0]}`, time: '2026-11-20T14:30:01.000000Z' },
      firstOmitted: { offset: String(ends[1]), time: '2026-11-20T14:30:03.000000Z' },
    });
    expect(document).toMatchObject(JSON.parse(readFileSync(path.join(to, 'restore.json'), 'utf8')) as object);
  });

  test('takes --only-missing for running servers alone', async () => {
    const { root, clock } = await journal();
    for (const to of [out(), `rdb:${out()}`, 'resp:-']) {
      const argv = ['restore', '--at', 'latest', '--only-missing', '--to', to, '--dir', root, '--json', '--dry-run'];
      expect(jsonError(await cli(argv, { clock }))).toMatchObject({ code: 'only-missing-of-what', exitCode: 2 });
    }
  });

  test('counts back from now, and leaves the target out with --before', async () => {
    const { root, clock, ends } = await journal();
    const back = json(await cli(['restore', '--at', '-61s', '--dry-run', '--json', '--dir', root], { clock }));
    expect(back).toMatchObject({ reached: { position: `${firstId}:${ends[0]}` } });
    const before = ['restore', '--before', `${firstId.slice(0, 6)}:${ends[1]}`, '--dry-run', '--json', '--dir', root];
    expect(json(await cli(before, { clock }))).toMatchObject({ reached: { position: `${firstId}:${ends[0]}` } });
  });

  test('reads times without a zone in --timezone, or JOURNAL_TIMEZONE, or not at all', async () => {
    const { root, clock } = await journal();
    const argv = ['restore', '--at', '2026-11-20 15:30:02', '--dry-run', '--json', '--dir', root];
    const requested = { requested: { time: '2026-11-20T14:30:02.000000Z' } };
    expect(json(await cli([...argv, '--timezone', 'Europe/Madrid'], { clock }))).toMatchObject(requested);
    expect(json(await cli(argv, { clock, env: { JOURNAL_TIMEZONE: 'Europe/Madrid' } }))).toMatchObject(requested);
    expect(jsonError(await cli(argv, { clock }))).toMatchObject({ code: 'zone-missing', exitCode: 2 });
    const wrong = await cli(['restore', '--at', 'latest', '--timezone', 'Mars', '--dry-run', '--json', '--dir', root]);
    expect(jsonError(wrong)).toMatchObject({ code: 'bad-zone', exitCode: 2 });
  });

  test('with --dry-run writes nothing, nor needs a place to write to', async () => {
    const { root } = await journal();
    const to = out();
    expect((await cli(['restore', '--at', 'latest', '--dry-run', '--dir', root])).exitCode).toBe(0);
    expect((await cli(['restore', '--at', 'latest', '--to', to, '--dry-run', '--dir', root])).exitCode).toBe(0);
    expect(existsSync(to)).toBe(false);
  });
});

describe('is refused, and nothing is written,', () => {
  test.each([
    [['--to', 'OUT'], 'no-target', 2],
    [['--at', 'latest'], 'no-destination', 2],
    [['--at', 'latest', '--before', 'latest', '--to', 'OUT'], 'two-targets', 2],
    [['--at', 'tomorrow', '--to', 'OUT'], 'bad-target', 2],
    [['--at', '2026-11-20T14:30:04Z', '--to', 'OUT'], 'time-not-covered', 4],
    [['--at', '2026-11-20T14:29:00Z', '--to', 'OUT'], 'time-not-covered', 4],
    [['--at', `${firstId}:5`, '--to', 'OUT'], 'position-not-covered', 4],
    [['--at', 'mark:none', '--to', 'OUT'], 'mark-unknown', 4],
    [['--at', '2026-10-25 02:30:00 Europe/Madrid', '--to', 'OUT'], 'time-ambiguous', 5],
  ])('%j', async (argv, code, exitCode) => {
    const { root, clock } = await journal();
    const to = out();
    const words = argv.map((word) => (word === 'OUT' ? to : word));
    const result = await cli(['restore', ...words, '--json', '--dir', root], { clock });
    expect(result.stdout).toBe('');
    expect(jsonError(result)).toMatchObject({ code, exitCode });
    expect(readdirSync(path.dirname(to))).toEqual([]);
  });

  test('into a directory that holds something, with exit code 7', async () => {
    const { root } = await journal();
    const to = out();
    mkdirSync(to);
    writeFileSync(path.join(to, 'dump.rdb'), 'precious');
    const result = await cli(['restore', '--at', 'latest', '--to', to, '--json', '--dir', root]);
    expect(result).toMatchObject({ exitCode: 7, stdout: '' });
    expect(readdirSync(to)).toEqual(['dump.rdb']);
  });

  test('when it is interrupted, with exit code 130', async () => {
    const { root } = await journal();
    const to = out();
    const signal = AbortSignal.abort(new Error('SIGINT'));
    const result = await cli(['restore', '--at', 'latest', '--to', to, '--json', '--dir', root], { signal });
    expect(jsonError(result)).toMatchObject({ code: 'interrupted', exitCode: 130 });
    expect(readdirSync(path.dirname(to))).toEqual([]);
  });
});
