// journal mark without a primary: where a mark may stand, and that it never claims more than is durable.
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { formatInstant } from '../../src/core/instant.ts';
import { setMark } from '../../src/daemon/mark.ts';
import type { MarkOptions } from '../../src/daemon/mark.ts';
import type { RunState } from '../../src/daemon/state-file.ts';
import { readMarks } from '../../src/log/timeline-store.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { WriterLock } from '../../src/storage/writer-lock.ts';
import { eventually } from '../support/eventually.ts';
import { firstId, MadeJournal, secondId } from '../support/made-journal.ts';
import { cli, json, jsonError } from './cli.ts';

const startedAt = '2026-11-20T14:30:00.000000Z';

/** What a writer in this process says. */
function say(journal: MadeJournal, words: Partial<RunState>): void {
  const updatedAt = formatInstant(journal.clock.wall());
  const nothing = { server: null, id: null, position: null, lastStamp: null, sync: null, lastError: null };
  const clock = { skew: null, sampledAt: null, wallError: 0 };
  const state = { version: 1, writer: 'x', pid: process.pid, startedAt, updatedAt, source: 'x', sealing: 0, clock };
  writeFileSync(
    journal.tree.state,
    JSON.stringify({ ...state, ...nothing, state: 'streaming', timeline: 1, nextAttemptAt: null, ...words }),
  );
}

describe('without a writer', () => {
  test('a mark stands at the end of what is there, and can be listed', async () => {
    const journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    const end = await journal.write(['SET', 'a', '1'], ['SET', 'b', '2']);
    await journal.stop();
    const result = await cli(['mark', 'before deploy', '--note', 'v8', '--dir', journal.root, '--json']);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(json(result)).toMatchObject({
      source: 'shop',
      mark: 'before deploy',
      timeline: 1,
      position: `${firstId}:${end}`,
      time: '2026-11-20T14:30:01.000000Z',
      note: 'v8',
    });
    expect(await readMarks(localDisk, journal.tree)).toMatchObject([
      { name: 'before deploy', offset: end, note: 'v8' },
    ]);
  });

  test('it never stands inside a MULTI, or behind half a command', async () => {
    const journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    const before = await journal.write(['SET', 'a', '1']);
    await journal.write(['MULTI'], ['SET', 'a', '2']);
    await journal.stop();
    const { position } = json(await cli(['mark', 'x', '--dir', journal.root, '--json']));
    expect(position).toBe(`${firstId}:${before}`);
  });

  test('it stands at the base when nothing followed it', async () => {
    const journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    await journal.stop();
    const { position } = json(await cli(['mark', 'x', '--dir', journal.root, '--json']));
    expect(position).toBe(`${firstId}:1000`);
  });

  test('people are told how to restore it, in words a shell takes', async () => {
    const journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    await journal.stop();
    const { stdout } = await cli(['mark', "it's noon", '--dir', journal.root]);
    expect(stdout).toContain("journal restore --at 'mark:it'\\''s noon' --to OUT");
  });

  test('a name is taken for ever', async () => {
    const journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    await journal.stop();
    expect((await cli(['mark', 'x', '--dir', journal.root])).exitCode).toBe(0);
    const again = await cli(['mark', 'x', '--dir', journal.root, '--json']);
    expect(jsonError(again)).toMatchObject({ code: 'mark-exists', exitCode: 2 });
  });

  test.each(['', 'a\nb', 'x'.repeat(129)])('the name %j is refused', async (name) => {
    const journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    await journal.stop();
    const result = await cli(['mark', '--dir', journal.root, '--json', '--', name]);
    expect(jsonError(result)).toMatchObject({ code: 'bad-mark-name', exitCode: 2 });
  });

  test('nothing can be marked where nothing is journaled', async () => {
    const journal = await MadeJournal.open();
    await journal.stop();
    const result = await cli(['mark', 'x', '--dir', journal.root, '--json']);
    expect(jsonError(result)).toMatchObject({ code: 'nothing-covered', exitCode: 4 });
  });
});

describe('with a writer that lives', () => {
  interface Scene extends AsyncDisposable {
    readonly journal: MadeJournal;
    readonly end: number;
    readonly options: MarkOptions;
  }

  async function scene(): Promise<Scene> {
    const journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    const end = await journal.write(['SET', 'a', '1']);
    const lock = WriterLock.acquire(journal.tree.directory, startedAt);
    const { clock, tree } = journal;
    const { signal } = new AbortController();
    return {
      journal,
      end,
      options: { disk: localDisk, clock, tree, name: 'x', note: undefined, primaryOffset: undefined, signal },
      [Symbol.asyncDispose]: async () => {
        lock[Symbol.dispose]();
        await journal[Symbol.asyncDispose]();
      },
    };
  }

  /** Until the mark waits: then time may pass. */
  async function waiting({ journal }: Scene): Promise<void> {
    await eventually('the mark to wait', () => journal.clock.pending > 0);
  }

  test('the mark waits until the writer says that the place is durable', async () => {
    await using at = await scene();
    say(at.journal, { position: { received: String(at.end), durable: '1000' } });
    const marking = setMark(at.options);
    await waiting(at);
    expect(await readMarks(localDisk, at.journal.tree)).toEqual([]);
    say(at.journal, { position: { received: String(at.end), durable: String(at.end) } });
    at.journal.clock.advance(50);
    expect(await marking).toMatchObject({ timeline: 1, offset: at.end });
  });

  test('the mark stands exactly where the primary was, though more has come since', async () => {
    await using at = await scene();
    const later = await at.journal.write(['SET', 'b', '2'], ['SET', 'c', '3']);
    say(at.journal, { position: { received: String(later), durable: String(later) } });
    expect(await setMark({ ...at.options, primaryOffset: at.end })).toMatchObject({ offset: at.end });
  });

  test('no mark is set when that does not become durable within ten seconds', async () => {
    await using at = await scene();
    say(at.journal, { position: { received: String(at.end), durable: String(at.end) } });
    const marking = setMark({ ...at.options, primaryOffset: at.end + 1 });
    const refused = expect(marking).rejects.toMatchObject({ code: 'not-durable', exitCode: 4 });
    for (let i = 0; i <= 200; i += 1) {
      await waiting(at);
      at.journal.clock.advance(50);
      if (i === 199) break;
    }
    await refused;
    expect(await readMarks(localDisk, at.journal.tree)).toEqual([]);
  });

  test('the offset of another history is refused, whatever the writer says', async () => {
    await using at = await scene();
    say(at.journal, { position: { received: String(at.end), durable: String(at.end) } });
    await expect(setMark({ ...at.options, primaryOffset: 500 })).rejects.toMatchObject({
      code: 'other-history',
      exitCode: 4,
    });
  });

  test('a full sync under way does not let a mark slip onto the timeline before it', async () => {
    await using at = await scene();
    say(at.journal, { state: 'syncing', timeline: 2, id: secondId, position: { received: '99999', durable: '99999' } });
    const stop = new AbortController();
    const marking = setMark({ ...at.options, primaryOffset: at.end, signal: stop.signal });
    const refused = expect(marking).rejects.toThrow('enough');
    await waiting(at);
    stop.abort(new Error('enough'));
    await refused;
  });
});

test('with a primary named, but no writer, there is no mark', async () => {
  const journal = await MadeJournal.open();
  await journal.fullSync(firstId, 1000);
  await journal.stop();
  const { clock, tree } = journal;
  const { signal } = new AbortController();
  const options = { disk: localDisk, clock, tree, name: 'x', note: undefined, primaryOffset: 1000, signal };
  await expect(setMark(options)).rejects.toMatchObject({ code: 'no-writer', exitCode: 4 });
});
