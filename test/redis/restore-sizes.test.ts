// What is large: a value of 100 MB, commands of more than a million arguments, each larger than any block or chunk that we
// read by, in no more memory than the budget says; and what is numerous: more dbs than a server has. Restored exactly, or
// refused.
import { randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { openSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli, type CliResult, jsonError } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyNumber, type RespClient } from '../support/resp-client.ts';
import { restoreProcess } from '../support/restore-process.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import type { ServerBinary } from '../support/servers.ts';

/** Everything that there is, by the digest of the server. */
async function digestOf(client: RespClient): Promise<string> {
  return `${replyNumber(await client.call('DBSIZE'))} keys, ${await client.text('DEBUG', 'DIGEST')}`;
}

async function positionOf(client: RespClient): Promise<string> {
  const info = await client.text('INFO', 'replication');
  const field = (name: string): string => new RegExp(`^${name}:(\\w+)`, 'm').exec(info)?.[1] ?? '';
  return `${field('master_replid')}:${field('master_repl_offset')}`;
}

function restore(binary: ServerBinary, journal: RunningJournal, words: readonly string[]): Promise<CliResult> {
  const argv = ['restore', '--dir', journal.root, '--server-bin', binary.path, '--json', ...words];
  return cli(argv, { env: { PATH: process.env.PATH } });
}

const where = ({ kind, major }: ServerBinary): boolean => kind === 'redis' && major === 7;

/** Of a running server, by which method. */
type Into = 'directory' | 'rdb' | 'resp' | 'replicaof' | 'restore';

const valueBytes = 100_000_000;
const valueMb = valueBytes / 1e6;
/** Of our own process, whatever it restores. */
const budgetMb = 200;
/** What the client of other people's servers takes, and its answers. */
const clientMb = 50;

describeServers(
  'a dataset of large things',
  (binary) => {
    let primary: RedisServer;
    let journal: RunningJournal;
    let position = '';
    const digests = { all: '', some: '', undone: '' };

    beforeAll(async () => {
      primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await client.call('SET', 'in base', '1');
      journal = await RunningJournal.attach({ port: primary.port });
      const numbers = Array.from({ length: 1_200_000 }, (_, i) => String(i));
      const pairs = numbers.slice(0, 600_000).flatMap((i) => [`m:${i}`, i]);
      await client.callMany([
        ['SET', 'large', randomBytes(valueBytes)],
        ['MSET', 'm:0', '0'].concat(pairs),
        ['SADD', 'set'].concat(numbers),
        ['DEL'].concat(numbers.slice(1000, 600_000).map((i) => `m:${i}`)),
      ]);
      position = await positionOf(client);
      digests.all = await digestOf(client);
      await journaled(client, 60_000);
      await client.call('DEL', 'set');
      digests.undone = await digestOf(client);
      await client.call('DEL', 'in base');
      digests.some = await digestOf(client);
    });

    afterAll(async () => {
      await journal[Symbol.asyncDispose]();
      await primary[Symbol.asyncDispose]();
    });

    /** A server that holds what was restored. */
    async function restored(into: Into, words: readonly string[]): Promise<{ server: RedisServer; peakMb: number }> {
      const dir = temporaryDirectory('restored');
      const stdout = path.join(dir, 'stdout');
      const run = async (...more: readonly string[]): Promise<number> => {
        const argv = ['--dir', journal.root, '--server-bin', binary.path, '--at', position, ...more, ...words];
        const { exitCode, stderr, peakMb } = await restoreProcess(argv, stdout);
        expect(exitCode, stderr).toBe(0);
        return peakMb;
      };
      if (into === 'directory') {
        const peakMb = await run('--to', path.join(dir, 'out'));
        return { peakMb, server: await RedisServer.startFrom(binary, path.join(dir, 'out')) };
      }
      if (into === 'rdb') {
        const peakMb = await run('--to', `rdb:${path.join(dir, 'dump.rdb')}`);
        return { peakMb, server: await RedisServer.start(binary, { dir }) };
      }
      const server = await RedisServer.start(binary);
      if (into !== 'resp') {
        const peakMb = await run('--to', `redis://127.0.0.1:${server.port}`, '--yes', '--method', into);
        return { peakMb, server };
      }
      const peakMb = await run('--to', 'resp:-');
      execFileSync(binary.cliPath, ['-p', String(server.port), '--pipe'], {
        stdio: [openSync(stdout, 'r'), 'pipe', 'pipe'],
      });
      return { peakMb, server };
    }

    const some = ['--keys', 'large', '--keys', 'm:*'];

    test.each<[Into, readonly string[], keyof typeof digests, number]>([
      ['directory', [], 'all', budgetMb],
      ['rdb', [], 'all', budgetMb],
      ['rdb', ['--ttl', 'shift'], 'all', budgetMb],
      ['rdb', some, 'some', budgetMb],
      ['rdb', ['--without-command', 'SADD'], 'undone', budgetMb],
      ['resp', [], 'all', budgetMb + valueMb],
      ['resp', some, 'some', budgetMb + valueMb],
      ['replicaof', [], 'all', budgetMb + clientMb],
      ['restore', [], 'all', budgetMb + clientMb + valueMb],
    ])(
      'comes back exactly, in as much memory as it takes: %s %j',
      { timeout: 120_000 },
      async (into, words, what, mb) => {
        const { server, peakMb } = await restored(into, words);
        await using _ended = server;
        await using client = await server.connect();
        expect(await digestOf(client)).toBe(digests[what]);
        expect(peakMb).toBeLessThan(mb);
      },
    );
  },
  { where },
);

describeServers(
  'a dataset of more dbs',
  (binary) => {
    /** Something in the last of them, by the stream or in the base already. */
    async function withLast(
      databases: number,
      isInBase: boolean,
    ): Promise<AsyncDisposable & { journal: RunningJournal }> {
      const resources = new AsyncDisposableStack();
      const primary = resources.use(await RedisServer.start(binary, { config: { databases: String(databases) } }));
      const client = resources.use(await primary.connect());
      const write = (): Promise<unknown> =>
        client.callMany([
          ['SELECT', databases - 1],
          ['SET', 'far', 'away'],
        ]);
      if (isInBase) await write();
      const journal = resources.use(await RunningJournal.attach({ port: primary.port }));
      if (!isInBase) await write();
      await journaled(client);
      return { journal, [Symbol.asyncDispose]: () => resources.disposeAsync() };
    }

    test.each([true, false])(
      'than a server has by default comes back, all of them (in the base: %s)',
      async (isInBase) => {
        await using made = await withLast(1024, isInBase);
        const dir = temporaryDirectory('restored');
        const result = await restore(binary, made.journal, ['--at', 'latest', '--to', `rdb:${dir}/dump.rdb`]);
        expect(result.exitCode, result.stderr).toBe(0);
        await using server = await RedisServer.start(binary, { dir, config: { databases: '1024' } });
        await using client = await server.connect();
        await client.call('SELECT', 1023);
        expect(await client.text('GET', 'far')).toBe('away');
      },
    );

    test.each([true, false])(
      'than a scratch server has is refused, and nothing made (in the base: %s)',
      async (isInBase) => {
        await using made = await withLast(1030, isInBase);
        const dir = temporaryDirectory('restored');
        const result = await restore(binary, made.journal, ['--at', 'latest', '--to', `rdb:${dir}/dump.rdb`]);
        expect(jsonError(result)).toMatchObject({ code: isInBase ? 'server-ended' : 'scratch-diverged', exitCode: 1 });
        if (isInBase) expect(jsonError(result).message).toContain('more than 1024 databases');
        expect(readdirSync(dir)).toEqual([]);
      },
    );

    test.each(['replicaof', 'restore'])(
      'than a running server has is refused, by %s, and the server as it was',
      async (method) => {
        await using made = await withLast(100, false);
        await using server = await RedisServer.start(binary);
        await using client = await server.connect();
        await client.call('SET', 'precious', '1');
        const url = `redis://127.0.0.1:${server.port}`;
        const words = ['--at', 'latest', '--to', url, '--yes', '--replace', '--method', method];
        const result = await restore(binary, made.journal, words);
        expect(jsonError(result)).toMatchObject({ code: 'target-db', exitCode: 1 });
        expect(await client.text('GET', 'precious')).toBe('1');
        expect(await client.text('INFO', 'replication')).toContain('role:master');
      },
    );
  },
  { where },
);
