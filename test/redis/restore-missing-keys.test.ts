// Some keys of a moment, or all, into a server that goes on: only those that are missing there, or those of a list of names.
// What is there and newer is byte for byte as it was, whoever writes meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { json } from '../cli/cli.ts';
import { glob } from '../../src/redis/glob.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { fingerprint, type KeyFacts } from '../support/fingerprint.ts';
import { RedisServer } from '../support/redis-server.ts';
import { isAtLeast } from '../support/servers.ts';
import { expectRefused, keysOfThen, type Named, named, type RestoreOptions, TakenJournal } from './taken-journal.ts';

interface Changes {
  readonly written: number;
  readonly leftAlone: number;
  readonly elapsed: number;
}

interface Looked {
  readonly comparison: Readonly<Record<string, number | null>>;
  readonly rows: readonly { readonly change: string; readonly key?: string }[];
}

describeServers('into a running server', (binary) => {
  let source: TakenJournal;

  beforeAll(async () => {
    source = await TakenJournal.start(binary, keysOfThen);
  });

  afterAll(() => source[Symbol.asyncDispose]());

  async function done(
    to: { readonly port: number },
    words: readonly string[],
    options: RestoreOptions = {},
  ): Promise<Changes> {
    return (await source.done(to, words, options)).changes as Changes;
  }

  describe('with --only-missing', () => {
    /** Those of `before`, and of what was taken the ones that are wanted and were not there. */
    function filled(before: ReadonlyMap<string, KeyFacts>, wants: (key: Named) => boolean): Map<string, KeyFacts> {
      return new Map([...source.merged(new Map(), wants), ...before]);
    }

    test.each<[string, readonly string[], (key: Named) => boolean]>([
      [
        'of some keys',
        ['--keys', 'string:*', '--keys', 'h*'],
        ({ name }) => /^(string:|h)/.test(name.toString('latin1')),
      ],
      ['of all', [], () => true],
    ])('%s, what is there is left alone, and what is not is what it was', async (_, words, wants) => {
      await using server = await source.startBusy();
      await using client = await server.connect();
      // What elapses on the way would be missing by then.
      for (const [full, { expireMs, fieldExpiries }] of (await fingerprint(client, binary)).keys) {
        if (expireMs === null && fieldExpiries === undefined) continue;
        const { db, name } = named(full);
        await client.callMany([
          ['SELECT', db],
          ['DEL', name],
        ]);
      }
      await client.callMany([
        ['SELECT', 3],
        ['DEL', 'string:only then'],
      ]);
      const before = await fingerprint(client, binary);
      // Its time has passed, and nobody has looked: for clients it is not there.
      await client.call('SET', 'string:stays', 'newer', 'PX', 1);
      await sleep(5);
      const there = new Map(before.keys);
      there.delete('db3:string:stays');
      const look = ['--dry-run', '--only-missing', ...words];
      const { comparison, rows } = json(await source.restore(server, look)) as unknown as Looked;
      const changes = await done(server, ['--only-missing', ...words]);
      const wanted = filled(there, wants);
      await source.expectKeys(client, wanted, before);
      const selected = [...source.taken.keys.keys()].filter((full) => wants(named(full)));
      const { written, leftAlone, elapsed } = changes;
      expect(changes).toMatchObject({ deleted: 0, mark: null });
      expect(written + leftAlone + elapsed).toBe(selected.length);
      expect(leftAlone).toBeLessThanOrEqual(selected.filter((full) => there.has(full)).length);
      expect(Math.min(written, leftAlone)).toBeGreaterThan(0);
      expect(comparison).toMatchObject({ changed: 0, identical: 0, absent: null });
      const alone = rows.filter(({ change }) => change === 'left-alone');
      expect([rows.length - alone.length, alone.length]).toEqual([comparison.created, comparison.leftAlone]);
      const known = [...there.keys()].map((full) => named(full).name.toString('latin1'));
      expect(
        alone.filter(({ key }) => key !== undefined && !known.includes(Buffer.from(key).toString('latin1'))),
      ).toEqual([]);
      expect(rows.find(({ key }) => key === 'string:only then')).toMatchObject({ change: 'created', db: 3 });
      // Done again, there is nothing to do.
      expect(await done(server, ['--only-missing', ...words])).toMatchObject({ written: 0 });
      await source.expectKeys(client, wanted, before);
    });

    test('it is the new name that is looked for', async () => {
      await using server = await source.startBusy();
      await using client = await server.connect();
      await client.callMany([
        ['SELECT', 3],
        ['SET', 'old string:only then', 'newer'],
      ]);
      const words = ['--only-missing', '--db', '3', '--keys', 'string:[os]*', '--rename', 's/^/old /'];
      expect(await done(server, words)).toMatchObject({ written: 1, leftAlone: 1 });
      expect(await client.text('GET', 'old string:only then')).toBe('newer');
      expect(await client.text('GET', 'old string:stays')).toBe('x');
    });

    test.runIf(isAtLeast(binary, { redis: 6.2, valkey: 7 }))(
      'a key that a client makes between the look and the write is left alone',
      async () => {
        await using server = await RedisServer.start(binary);
        await using client = await server.connect();
        await using writer = await server.connect();
        await client.call('CLIENT', 'PAUSE', 60_000, 'WRITE');
        const clients = async (command: string): Promise<boolean> =>
          (await client.text('CLIENT', 'LIST')).includes(`cmd=${command}`);
        await writer.call('SELECT', 3);
        const writing = writer.call('SET', 'string:stays', 'newer');
        await eventually('the writer to wait', () => clients('set'));
        const restoring = done(server, [
          '--only-missing',
          '--db',
          '3',
          '--keys',
          'string:stays',
          '--keys',
          'string:only*',
        ]);
        await eventually('the restore to wait', () => clients('restore'));
        await client.call('CLIENT', 'UNPAUSE');
        await writing;
        expect(await restoring).toMatchObject({ written: 1, leftAlone: 1 });
        expect(await writer.text('GET', 'string:stays')).toBe('newer');
      },
    );

    test.each<[string, readonly string[], string, number]>([
      ['with --delete-absent', ['--keys', 's*', '--delete-absent'], 'missing-and-absent', 2],
      ['with --replace', ['--replace'], 'replace-of-some', 2],
      ['as a replica of ours', ['--method', 'replicaof'], 'method-impossible', 1],
    ])('is refused %s, and the server is as it was', async (_, words, code, exitCode) => {
      await using server = await source.startBusy();
      await using client = await server.connect();
      const before = await fingerprint(client, binary);
      await expectRefused(source.restore(server, ['--yes', '--only-missing', ...words]), code, exitCode);
      await source.expectKeys(client, before.keys, before);
    });

    test('counts as room only what is missing', async () => {
      await using server = await RedisServer.start(binary, { config: { 'maxmemory-policy': 'noeviction' } });
      await using client = await server.connect();
      await client.callMany([
        ['SELECT', 3],
        ['SET', 'string:large', 'small now'],
      ]);
      const used = Number(/used_memory:(\d+)/.exec(await client.text('INFO', 'memory'))?.[1]);
      await client.call('CONFIG', 'SET', 'maxmemory', used + 2 * 2 ** 20);
      const words = ['--db', '3', '--keys', 'string:large', '--keys', 'string:stays'];
      await expectRefused(source.restore(server, ['--yes', ...words]), 'target-memory', 1);
      expect(await done(server, ['--only-missing', ...words])).toMatchObject({ written: 1, leftAlone: 1 });
    });
  });

  test('keys that are listed by their names are those, whatever bytes they are, beside those of the globs', async () => {
    await using server = await source.startBusy();
    await using client = await server.connect();
    const before = await fingerprint(client, binary);
    const list = ['"string:\\xff\\x00"', 'string:large', '{"type":"key","key":"string:stays"}', 'no such key'];
    const words = ['--keys-from', '-', '--keys', 'h*:1', '--db', '0', '--db', '3'];
    const stdin = [Buffer.from(list.join('\n'))];
    const changes = await done(server, words, { stdin: stream(stdin) });
    const listed = ['string:\xff\x00', 'string:large', 'string:stays'];
    const wants = ({ db, name }: Named): boolean =>
      (db === 0 || db === 3) && (listed.includes(name.toString('latin1')) || glob('h*:1').matches(name));
    await source.expectKeys(client, source.merged(before.keys, wants), before);
    expect(changes.written).toBeGreaterThanOrEqual(3);
    const alone = ['--yes', '--keys-from', '-'];
    const result = json(await source.restore(server, alone, { stdin: stream(stdin) }));
    expect(result).toMatchObject({ keys: { taken: 3 }, selection: { keysFrom: { file: '-', names: 4 } } });
    // What they depend on was replayed, and no more.
    expect(result).toMatchObject({ held: { everything: false } });
    expect(result.warnings).toContain('4 names are listed, and 3 keys that were there then are what was asked for');
  });
});

async function* stream(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  await Promise.resolve();
  yield* pieces;
}
