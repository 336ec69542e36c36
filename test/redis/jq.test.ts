// What programs are told, piped into jq as users do: every example of the README and of the help texts that has jq in it, as it
// stands there, and the rows of each verb. Without jq on PATH it is skipped.
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verbs } from '../../src/cli/run-cli.ts';
import { builtFile } from '../support/built.ts';
import { describeServers } from '../support/describe-servers.ts';
import { JournalProcess } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { journaled } from '../support/running-journal.ts';

const program = builtFile('src/cli/main.ts') ?? path.resolve(import.meta.dirname, '../../src/cli/main.ts');
const readme = readFileSync(path.resolve(import.meta.dirname, '../../README.md'), 'utf8');
const hasJq = spawnSync('jq', ['--version']).status === 0;

const examples = [
  ...readme.split('\n').filter((line) => /^journal .*\| jq/.test(line)),
  ...verbs.flatMap(({ examples: some }) => some.map(([line]) => line).filter((line) => line.includes('| jq'))),
].filter((line) => !/status|restore/.test(line) && !line.endsWith('|'));

// The name of what is skipped says why.
describe.skipIf(!hasJq)('with jq, where it is on PATH', () => {
  describeServers('what is printed for programs', (binary) => {
    let primary: RedisServer;
    let journal: JournalProcess;
    const dir = path.join(temporaryDirectory('journal'), 'journal-data');
    const bin = temporaryDirectory('bin');

    beforeAll(async () => {
      primary = await RedisServer.start(binary);
      journal = JournalProcess.start({ source: `redis://127.0.0.1:${primary.port}`, dir });
      await journal.waitFor('ready');
      await using client = await primary.connect();
      await client.callMany([
        ['HSET', 'user:17', 'name', 'bob', 'age', '7'],
        ['HSET', 'user:18', Buffer.from('\xff', 'latin1'), '7'],
        ['SET', 'cart:1', 'x'],
        ['SET', 'cart:2', Buffer.from('\xff', 'latin1'), 'EX', 1000],
      ]);
      await journaled(client);
      for (const name of ['before', 'before-deploy', 'before-load-test'])
        expect(run(`journal mark ${name}`).status).toBe(0);
      await sleep(1200);
      await client.call('DEL', 'cart:1', ...Array.from({ length: 12 }, (_, i) => `cart:${i}`));
      await client.callMany([
        ['SET', 'cart:3', 'y'],
        ['RENAME', 'cart:3', 'cart:4'],
      ]);
      await journaled(client);
    }, 60_000);

    afterAll(async () => {
      await journal[Symbol.asyncDispose]();
      await primary[Symbol.asyncDispose]();
    });

    function run(line: string): { status: number | null; stdout: string; stderr: string } {
      const file = path.join(bin, 'journal');
      writeFileSync(file, `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
      chmodSync(file, 0o700);
      const env = {
        ...process.env,
        ...{ PATH: `${bin}:${process.env.PATH ?? ''}`, JOURNAL_DIR: dir, JOURNAL_SERVER_BIN: binary.path },
        JOURNAL_RELATIVE_TTL: 'convert',
      };
      return spawnSync('bash', ['-o', 'pipefail', '-c', line], { encoding: 'utf8', env });
    }

    // There was no journal an hour ago, and it has another name.
    const here = (line: string): string =>
      line
        .replace(/(--at|--from) -\d+[dhm]/, '$1 mark:before')
        .replace(/-1[5]m/, 'latest')
        .replace('--name cache ', '');

    test.each(examples)('%s', { timeout: 30_000 }, (line) => {
      const { status, stdout, stderr } = run(here(line));
      expect({ status, stderr: stderr.replace(/^journal: .*\n/gm, '') }, stdout).toEqual({ status: 0, stderr: '' });
      expect(stdout).not.toBe('');
    });

    test.each([
      [`find --json | jq -e -s 'map(has("type") and has("position")) | all'`, 'true'],
      [
        'find --destructive --json | jq -r "[.kind, .command, .keyCount] | @csv"',
        '"removal","DEL",13 "rename","RENAME",1',
      ],
      ['history cart:1 --json | jq -r ".command"', 'SET DEL'],
      [`history cart:1 --values --json | jq -r 'select(.type == "value") | .state'`, 'present absent'],
      [
        `diff --at mark:before --at latest --json | jq -r 'select(.type == "key") | .change + ":" + .key'`,
        'removed:cart:1 removed:cart:2 added:cart:4',
      ],
      [
        'export | jq -r "[.db, .command, (.args | length)] | @csv"',
        '0,"HSET",5 0,"HSET",3 0,"SET",2 0,"SET",4 0,"DEL",13 0,"SET",2 0,"RENAME",2',
      ],
      [
        'export --at mark:before | jq -c "[.key, .valueType, .expires != null, (.value | type)]" | sort',
        '["cart:1","string",false,"string"] ["cart:2","string",true,"object"] ' +
          '["user:17","hash",false,"object"] ["user:18","hash",false,"array"]',
      ],
      ['verify --json | jq -r ".problems | length"', '0'],
      ['ls marks --json | jq -r ".marks[].name" | sort', 'before before-deploy before-load-test'],
      ['mark another --json | jq -r ".mark"', 'another'],
    ])('journal %s', { timeout: 30_000 }, (words, expected) => {
      const { status, stdout, stderr } = run(`journal ${words}`);
      expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
      expect(stdout.trimEnd().replaceAll('\n', ' ')).toBe(expected);
    });
  });
});
