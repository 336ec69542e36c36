// The dataset of a moment, exported: rows have what clients of the primary saw, and servers that take it hold the same.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { builtFile } from '../support/built.ts';
import { csvFields, wordsIn } from '../support/csv.ts';
import { describeServers } from '../support/describe-servers.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyBytes, replyList, type RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { seenBy, told, type Seen, type Text, type ValueRow } from '../support/seen-values.ts';
import { isAtLeast } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

const program = builtFile('src/cli/main.ts') ?? path.resolve(import.meta.dirname, '../../src/cli/main.ts');
const dbs = 16;

/** Whose keys end soon. */
const ending = [
  ...['set short', 'psetex', 'getex', 'float ttl', 'pexpire', 'pexpireat', 'script of several writes'],
  ...['hpexpire', 'hsetex', 'hgetex'],
];

function nameOf(db: number, key: Buffer): string {
  return `${db} ${key.toString('latin1')}`;
}

function bytesOf(text: Text): Buffer {
  return typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.base64, 'base64');
}

async function allSeen(client: RespClient): Promise<Map<string, Seen>> {
  const seen = new Map<string, Seen>();
  for (let db = 0; db < dbs; db += 1) {
    await client.call('SELECT', db);
    for (const key of replyList(await client.call('KEYS', '*')).map(replyBytes)) {
      seen.set(nameOf(db, key), await seenBy(client, key));
    }
  }
  return seen;
}

describeServers('a dataset of a moment', (binary) => {
  const seed = Date.now() >>> 0;
  const isExact = isAtLeast(binary, { redis: 7, valkey: 7 });
  const tolerance = isExact ? {} : { expiryToleranceMs: 60_000 };
  let primary: RedisServer;
  let journal: RunningJournal;
  let seen: Map<string, Seen>;
  let print: Fingerprint;
  let at: string;

  beforeAll(async () => {
    primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { hashFieldTtl: true, without: ending });
    await workload.run(client, 200);
    journal = await RunningJournal.attach({ port: primary.port });
    await workload.run(client, 200);
    await client.callMany([
      ['SELECT', 5],
      ['SET', Buffer.from([0xff, 0, 10]), Buffer.from([0xfe, 34, 44])],
      ['SET', 'large', Buffer.alloc(2_000_000, 'é')],
      ['SET', 'gone', 'soon', 'PX', 30],
    ]);
    await sleep(60);
    // Whoever asks for it has it removed; KEYS does not, and the server itself may not have come to it yet.
    expect(await client.call('GET', 'gone')).toBeNull();
    seen = await allSeen(client);
    print = await fingerprint(client, binary);
    await journaled(client);
    at = `${print.position.id}:${print.position.offset}`;
    await client.call('FLUSHALL');
    await workload.run(client, 30);
    await journaled(client);
  }, 60_000);

  afterAll(async () => {
    await journal[Symbol.asyncDispose]();
    await primary[Symbol.asyncDispose]();
  });

  function exported(...words: string[]): Buffer {
    const all = ['export', '--dir', journal.root, '--at', at, '--server-bin', binary.path, ...words];
    const run = spawnSync(process.execPath, [program, ...all, '--relative-ttl', 'convert'], { maxBuffer: 2 ** 30 });
    expect([run.status, String(run.stderr)]).toEqual([0, '']);
    return run.stdout;
  }

  function check(
    rows: readonly (ValueRow & { readonly key: Text })[],
    isMeant = (_name: string): boolean => true,
  ): void {
    const found = new Map(rows.map((row) => [nameOf(row.db, bytesOf(row.key)), told(row)]));
    const meant = [...seen].filter(([name]) => isMeant(name));
    expect([...found.keys()].sort(), `seed ${seed}`).toEqual(meant.map(([name]) => name).sort());
    for (const [name, { type, value, endsMs }] of meant) {
      const one = found.get(name)!;
      const what = `seed ${seed}, ${name}`;
      expect([one.type, one.value], what).toEqual([type, value]);
      expect(one.endsMs === 0, what).toBe(endsMs === 0);
      if (isExact) expect(Math.abs(one.endsMs - endsMs), what).toBeLessThan(1500);
    }
  }

  function jsonRows(...words: string[]): (ValueRow & { readonly key: Text })[] {
    const lines = exported('--format', 'jsonl', ...words)
      .toString()
      .trimEnd()
      .split('\n');
    return lines.map((line) => JSON.parse(line) as ValueRow & { readonly key: Text });
  }

  test('has in JSON lines what clients saw, of all keys and of some', () => {
    check(jsonRows());
    check(
      jsonRows('--keys', 'string:*', '--keys', String.raw`\xff*`, '--exclude', '*1', '--db', '0', '--db', '5'),
      (name) => /^[05] (string:|\xff)/.test(name) && !name.endsWith('1'),
    );
  });

  test('has the same as CSV', () => {
    const [heading, ...rows] = csvFields(exported('--format', 'csv').toString());
    expect(heading).toEqual(['db', 'key', 'value_type', 'expires', 'bytes', 'value', 'field_expires']);
    check(
      rows.map(([db, key, valueType, expires, , value]) => ({
        ...{ type: 'key', when: '', position: '', state: 'present', db: Number(db), valueType: valueType! },
        ...{ key: { base64: wordsIn(key!)[0]!.toString('base64') }, expires: expires === '' ? null : expires! },
        value: JSON.parse(value!) as unknown,
      })),
    );
  });

  test('is loaded as an append-only file, and by commands', { timeout: 60_000 }, async () => {
    const dir = temporaryDirectory('aof');
    const [file, data] = [path.join(dir, 'appendonly.aof'), path.join(dir, 'data')];
    const bytes = exported('--format', 'aof');
    writeFileSync(file, bytes);
    const tool = path.join(path.dirname(binary.path), `${binary.kind}-check-aof`);
    const checked = spawnSync(tool, [file], { encoding: 'utf8' });
    // valkey-check-aof 9.1 does not know what valkey-server 9.1 writes, and loads.
    const isKnown = bytes.subarray(0, 5).toString() === 'REDIS';
    expect(checked.status, checked.stdout + checked.stderr).toBe(isKnown ? 0 : 1);
    mkdirSync(data);
    writeFileSync(path.join(data, 'appendonly.aof'), bytes);
    await using server = await RedisServer.startFrom(binary, data, { replicaOfNowhere: true });
    await using client = await server.connect();
    expect(explainDifference(print, await fingerprint(client, binary), tolerance), `seed ${seed}`).toEqual([]);

    await using other = await RedisServer.start(binary);
    const cli = path.join(path.dirname(binary.path), `${binary.kind}-cli`);
    const piped = spawnSync(cli, ['-p', String(other.port), '--pipe'], { input: exported('--format', 'resp') });
    expect(String(piped.stdout), String(piped.stderr)).toContain('errors: 0');
    await using back = await other.connect();
    expect(explainDifference(print, await fingerprint(back, binary), tolerance), `seed ${seed}`).toEqual([]);
  });

  test('ends without a fault when its reader has read enough', { timeout: 60_000 }, () => {
    for (const format of ['jsonl', 'csv', 'resp', 'aof']) {
      const line = `"${process.execPath}" "${program}" export --dir "${journal.root}" --at ${at} --format ${format} --relative-ttl convert --server-bin "${binary.path}" | head -c 100 > /dev/null; echo "\${PIPESTATUS[0]}"`;
      const { stdout, stderr } = spawnSync('bash', ['-c', line], { encoding: 'utf8' });
      expect([stdout, stderr]).toEqual(['0\n', '']);
    }
  });
});
