// journal status and journal ls: the same facts for people and for programs.
import { describe, expect, test } from 'vitest';
import { firstId, MadeJournal, secondId } from '../support/made-journal.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { cli, json } from './cli.ts';

async function twoTimelines(): Promise<MadeJournal> {
  const journal = await MadeJournal.open();
  await journal.fullSync(firstId, 1000);
  await journal.write(['SET', 'a', '1']);
  journal.clock.advance(131_000);
  await journal.fullSync(secondId, 50);
  await journal.write(['SET', 'b', '2']);
  await journal.stop();
  return journal;
}

describe('journal status', () => {
  test('shows one screen on a source', async () => {
    const { root, clock } = await twoTimelines();
    clock.advance(3000);
    const { exitCode, stdout, stderr } = await cli(['status', '--dir', root], { clock });
    expect(exitCode).toBe(0);
    expect(stderr).toBe('');
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('shop  STOPPED');
    expect(stdout).toMatch(/^ {2}primary {6}10\.0\.0\.5:6379 {2}redis 7\.0\.15$/m);
    expect(stdout).toMatch(/^ {2}durable {6}offset 77 of bbbbbbbb…, timeline 2$/m);
    expect(stdout).toMatch(/^ {2}last byte {4}2026-11-20 14:32:13\.000Z, 3\.0 s ago$/m);
    expect(stdout).toMatch(/^ {2}recoverable {2}.* timeline 1\n {15}.* timeline 2$/m);
    expect(stdout).toMatch(/^ {2}gaps {9}.*2 min 11 s, history changed$/m);
    expect(stdout).not.toContain('\u001b');
  });

  test('answers with one document of the same with --json', async () => {
    const { root, clock } = await twoTimelines();
    const document = json(await cli(['status', '--dir', root, '--json'], { clock }));
    expect(document).toMatchObject({ source: 'shop', state: 'stopped', timeline: 2, healthy: false });
    for (const key of ['position', 'intervals', 'gaps', 'lastBase', 'lag', 'writer', 'error', 'warnings']) {
      expect(document).toHaveProperty(key);
    }
  });

  test('shows all sources when none is named, and exits 0 whatever the state is', async () => {
    const root = temporaryDirectory('sources');
    for (const name of ['east', 'west']) await (await MadeJournal.open({ root, name })).stop();
    const all = await cli(['status', '--dir', root]);
    expect(all).toMatchObject({ exitCode: 0, stderr: '' });
    expect(all.stdout).toMatch(/^east {2}EMPTY\n[^]*\n\nwest {2}EMPTY\n/);
    const { sources } = json(await cli(['status', '--dir', root, '--json']));
    expect(sources).toMatchObject([{ source: 'east' }, { source: 'west' }]);
    expect(json(await cli(['status', '--dir', root, '--name', 'west', '--json']))).toMatchObject({ source: 'west' });
  });

  test('exits 1 with --check unless all that it shows is healthy', async () => {
    await using journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    const { root, clock } = journal;
    const down = await cli(['status', '--dir', root, '--check', '--json'], { clock });
    expect(json(down)).toMatchObject({ healthy: false });
    expect(down).toMatchObject({ exitCode: 1, stderr: '' });
  });

  test('is colored on a terminal, unless that is not wanted', async () => {
    const { root } = await twoTimelines();
    const argv = ['status', '--dir', root];
    expect((await cli(argv, { isTerminal: true })).stdout).toContain('\u001b[');
    const unwanted: [string[], Record<string, string>][] = [
      [['--no-color'], {}],
      [[], { NO_COLOR: '1' }],
      [[], { JOURNAL_NO_COLOR: '1' }],
      [[], { TERM: 'dumb' }],
      [['--json'], {}],
    ];
    for (const [more, env] of unwanted) {
      expect((await cli([...argv, ...more], { isTerminal: true, env })).stdout).not.toContain('\u001b');
    }
  });
});

describe('journal ls', () => {
  test('lists everything, kind by kind', async () => {
    const { root } = await twoTimelines();
    const { exitCode, stdout } = await cli(['ls', '--dir', root]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      /^timelines\n[^]*\n\nbases\n[^]*\n\nsegments\n[^]*\n\ngaps\n[^]*\n\norphans\n {2}none\n\nuncertain\n {2}none\n\nmarks\n {2}none\n\nremoved\n {2}none\n$/,
    );
  });

  test('lists one kind alone when it is named', async () => {
    const { root } = await twoTimelines();
    const { stdout } = await cli(['ls', 'segments', '--dir', root]);
    const [heading, titles, ...rows] = stdout.trimEnd().split('\n');
    expect(heading).toBe('segments');
    expect(titles?.trim().split(/ {2,}/)).toEqual(['timeline', 'kind', 'from', 'to', 'start', 'end', 'size']);
    expect(rows).toHaveLength(2);
  });

  test('answers with one document: an array for each kind, offsets as strings, times in RFC 3339', async () => {
    const { root } = await twoTimelines();
    await cli(['mark', 'noon', '--note', 'lunch', '--dir', root]);
    const document = json(await cli(['ls', '--dir', root, '--json']));
    expect(Object.keys(document)).toEqual([
      'source',
      'damaged',
      'timelines',
      'bases',
      'segments',
      'gaps',
      'orphans',
      'uncertain',
      'marks',
      'removed',
    ]);
    expect(document).toMatchObject({
      source: 'shop',
      timelines: [
        {
          timeline: 1,
          fromPosition: `${firstId}:1000`,
          address: '10.0.0.5:6379',
          ids: [{ id: firstId, offset: '1001' }],
        },
        { timeline: 2, toPosition: `${secondId}:77`, segments: 1 },
      ],
      bases: [{ timeline: 1, rdb: 'REDIS 10', keys: null, origin: 'received' }, { timeline: 2 }],
      segments: [
        { kind: 'open', start: '1001', end: '1027' },
        { kind: 'open', start: '51', end: '77' },
      ],
      gaps: [{ timeline: 2, cause: 'history-changed', seconds: 131 }],
      marks: [{ name: 'noon', timeline: 2, position: `${secondId}:77`, note: 'lunch' }],
    });
    const only = json(await cli(['ls', 'gaps', '--dir', root, '--json']));
    expect(Object.keys(only)).toEqual(['source', 'damaged', 'gaps']);
  });

  test('lists nothing of an empty source, as arrays', async () => {
    const journal = await MadeJournal.open();
    await journal.stop();
    expect(json(await cli(['ls', '--dir', journal.root, '--json']))).toEqual({
      source: 'shop',
      damaged: [],
      timelines: [],
      bases: [],
      segments: [],
      gaps: [],
      orphans: [],
      uncertain: [],
      marks: [],
      removed: [],
    });
  });
});
