// What people read: quantities, tables, progress.
import { describe, expect, test } from 'vitest';
import { openProgress } from '../../src/cli/progress.ts';
import { Output } from '../../src/cli/output.ts';
import { StepProgress } from '../../src/cli/step-progress.ts';
import { formatFacts, formatTable } from '../../src/cli/table.ts';
import { formatBytes, formatCount, formatSeconds, formatTime, printable } from '../../src/cli/units.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { KeepingStream } from './cli.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 KB'],
  [999_949, '999.9 KB'],
  [999_950, '1.0 MB'],
  [67_108_864, '67.1 MB'],
  [4_100_000_000, '4.1 GB'],
  [Number.MAX_SAFE_INTEGER, '9.0 PB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0, '0.0 s'],
  [0.44, '0.4 s'],
  [9.96, '10.0 s'],
  [10, '10 s'],
  [59.6, '1 min'],
  [131, '2 min 11 s'],
  [3600, '1 h'],
  [7 * 86_400 + 5 * 3600 + 59, '7 d 5 h'],
])('%d seconds are %s', (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

test('counts have separators, times a blank and milliseconds', () => {
  expect(formatCount('88120554871')).toBe('88,120,554,871');
  expect(formatCount(12)).toBe('12');
  expect(formatTime('2026-11-20T14:30:05.412999Z')).toBe('2026-11-20 14:30:05.412Z');
});

test('text of others is shown on one line, without what a terminal would obey', () => {
  expect(printable('naïve 日本 🙂')).toBe('naïve 日本 🙂');
  expect(printable('a\u001b[31m\n\u2028\u202e')).toBe('a\\u{1b}[31m\\u{a}\\u{2028}\\u{202e}');
});

describe('tables', () => {
  test('align their columns and end without blanks', () => {
    const columns = [{ title: 'name' }, { title: 'size', align: 'right' }, { title: 'note' }] as const;
    expect(
      formatTable(columns, [
        ['é', '1 B', ''],
        ['longer', '10 KB', 'x'],
      ]),
    ).toEqual(['name     size  note', 'é         1 B', 'longer  10 KB  x']);
    expect(formatTable(columns, [])).toEqual([]);
  });

  test('facts are indented, with their values in line', () => {
    expect(
      formatFacts([
        ['a', '1'],
        ['long name', '2'],
        ['', ''],
      ]),
    ).toEqual(['  a          1', '  long name  2', '']);
    expect(formatFacts([])).toEqual([]);
  });
});

describe('progress', () => {
  test('on a pipe is a line every ten seconds', () => {
    const clock = new ManualClock();
    const stream = new KeepingStream(false);
    const progress = openProgress(stream, clock, 'restoring');
    for (let second = 1; second <= 25; second += 1) {
      clock.advance(1000);
      progress.update(second * 1e6, 50e6);
    }
    progress.stop();
    clock.advance(60_000);
    progress.update(50e6, undefined);
    expect(stream.text).toBe(
      'journal: restoring: 10.0 MB of 50.0 MB (20 %) after 10 s\njournal: restoring: 20.0 MB of 50.0 MB (40 %) after 20 s\n',
    );
  });

  test('on a terminal is a bar that begins after a second and goes away', () => {
    const clock = new ManualClock();
    const stream = new KeepingStream(true);
    const progress = openProgress(stream, clock, 'restoring');
    clock.advance(999);
    progress.update(1, 100);
    expect(stream.text).toBe('');
    clock.advance(1);
    progress.update(50e6, 100e6);
    expect(stream.text).toContain('restoring');
    expect(stream.text).toContain('50 %');
    expect(stream.text).toContain('50.0 MB of 100.0 MB');
    progress.stop();
    progress.stop();
  });

  test('of a step begins anew with each, in its own unit', () => {
    const clock = new ManualClock();
    const stderr = new KeepingStream(false);
    const output = new Output(
      { stdout: stderr, stderr, env: {}, disk: localDisk, clock, signal: new AbortController().signal },
      { json: false, quiet: false, color: false },
    );
    const progress = new StepProgress(output);
    for (const step of ['restoring', 'writing'] as const) {
      progress.update(1, 50_000, step);
      clock.advance(9_000);
      progress.update(2, 50_000, step);
      clock.advance(1_000);
      progress.update(25_000, 50_000, step);
    }
    progress.stop();
    expect(stderr.text).toBe(
      'journal: restoring: 25.0 KB of 50.0 KB (50 %) after 10 s\n' +
        'journal: writing keys: 25,000 of 50,000 (50 %) after 10 s\n',
    );
  });

  test('without a stream is nothing', () => {
    const progress = openProgress(undefined, new ManualClock(), 'x');
    progress.update(1, 2);
    progress.stop();
  });
});
