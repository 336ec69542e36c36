// Scratch datasets: what a scratch server holds is what the primary held, on every server that can load it, with all that
// has elapsed; and nothing of it is left, whatever ends it.
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { InterruptedError } from '../../src/core/errors.ts';
import { formatPosition, type Position } from '../../src/core/position.ts';
import { loadScratch, type LoadOptions } from '../../src/restore/replay/load-scratch.ts';
import { rdbOf } from '../../src/redis/server-version.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import { type Plan, throughScratch } from '../../src/restore/plan/plan.ts';
import { PlannedBytes } from '../../src/restore/replay/planned-bytes.ts';
import { ScratchDataset } from '../../src/scratch/dataset.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { command } from '../redis-protocol/bytes.ts';
import { describeServers } from '../support/describe-servers.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import { isAtLeast, type ServerBinary } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

const segmentBytes = 128 * 1024;

function load(
  plan: Plan,
  program: ServerBinary,
  parent: string,
  more: Partial<LoadOptions> = {},
  advance = (): void => undefined,
): Promise<ScratchDataset> {
  const replayed = new PlannedBytes(localDisk, plan, advance);
  return loadScratch(throughScratch(plan, { program, rdb: rdbOf(program) }), replayed, {
    ...{ parent, allowedBytes: undefined, clock: systemClock, signal: new AbortController().signal },
    ...more,
  });
}

async function fingerprintOf(dataset: ScratchDataset, binary: ServerBinary): Promise<Fingerprint> {
  await using client = await RespClient.connect({ path: dataset.socketPath });
  return await fingerprint(client, binary);
}

/** As if it were made long ago: a directory might be refused by now, a scratch server takes everything. */
function planAt(journal: RunningJournal, position: Position): Promise<Plan> {
  const target = { kind: 'position', idPrefix: position.id, offset: position.offset } as const;
  const request = { target, text: formatPosition(position), mode: 'at', now: 0, relativeTtl: 'convert' } as const;
  return planRestore(localDisk, journal.tree, request);
}

describeServers('a scratch dataset', (binary) => {
  test('equals what the primary held, elapsed keys and fields included, and stays so', async () => {
    const seed = Date.now() >>> 0;
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const workload = new Workload(seed, binary, { hashFieldTtl: true });
    await workload.run(client, 300);
    await using journal = await RunningJournal.attach({ port: primary.port, segmentBytes });
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    await workload.run(client, 600);
    await client.callMany([
      ['SELECT', 9],
      ['SET', 'elapsed', '1', 'PX', 2],
    ]);
    await sleep(5);
    const taken = await fingerprint(client, binary);
    await journaled(client);
    const plan = await planAt(journal, taken.position);
    await client.call('FLUSHALL');
    const parent = temporaryDirectory('scratch');
    {
      await using dataset = await load(plan, binary, parent);
      const tolerance = isAtLeast(binary, { redis: 7, valkey: 7 }) ? {} : { expiryToleranceMs: 1000 };
      const first = await fingerprintOf(dataset, binary);
      expect(explainDifference(taken, first, tolerance), `seed ${seed}`).toEqual([]);
      await sleep(1200);
      expect((await fingerprintOf(dataset, binary)).sha256).toBe(first.sha256);
    }
    expect(readdirSync(parent)).toEqual([]);
  });
});

describeServers(
  'loading a scratch dataset',
  (binary) => {
    test('is given up with everything of it gone: by interruption, for want of memory, at a damaged base', async () => {
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await client.call('SET', 'large', randomBytes(40_000_000));
      await using journal = await RunningJournal.attach({ port: primary.port });
      await client.call('SET', 'small', '1');
      await journaled(client);
      const plan = await journal.plan('latest');
      const parent = temporaryDirectory('scratch');
      const stop = new AbortController();
      const interrupted = load(plan, binary, parent, { signal: stop.signal }, () => {
        stop.abort(new InterruptedError());
      });
      await expect(interrupted).rejects.toMatchObject({ code: 'interrupted' });
      await expect(load(plan, binary, parent, { allowedBytes: 10_000_000 })).rejects.toMatchObject({
        code: 'not-enough-memory',
        exitCode: 1,
      });
      const damaged = structuredClone(plan.base.record);
      damaged.chunks[0] = (damaged.chunks[0] ?? 0) ^ 1;
      const broken = { ...plan, base: { ...plan.base, record: damaged } };
      await expect(load(broken, binary, parent)).rejects.toMatchObject({ code: 'base-corrupt' });
      expect(readdirSync(parent)).toEqual([]);
    });

    test('is refused when a command of the stream fails', async () => {
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await using journal = await RunningJournal.attach({ port: primary.port });
      await client.call('SET', 'key', '1');
      await journaled(client);
      const plan = await journal.plan('latest');
      const parent = temporaryDirectory('scratch');
      await expect(
        ScratchDataset.load(
          {
            rdbBytes: plan.base.record.size,
            async *rdb() {
              yield readFileSync(plan.base.rdbPath);
            },
            db: 0,
            async *stream() {
              yield command('SET', 'known', '1');
              yield command('UNKNOWN', 'key');
            },
          },
          { program: binary, parent, memoryBytes: 1e9, clock: systemClock, signal: new AbortController().signal },
        ),
      ).rejects.toMatchObject({ code: 'scratch-diverged', exitCode: 1 });
      expect(readdirSync(parent)).toEqual([]);
    });
  },
  { where: (binary) => binary.kind === 'redis' && binary.major === 7 },
);
