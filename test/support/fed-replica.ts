// The reference for a restore: a replica of ours, fed base and stream, and looked at while it still is one, so that it
// has deleted nothing by itself.
// Neighbour: ttl-expectation.ts says what --ttl makes of what it held.
// Invariant: what is fed is what the caller gives; nothing of src/restore/ has a say in it.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../../src/core/clock.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { MasterFeed } from '../../src/scratch/master-feed.ts';
import { type Fingerprint, fingerprint } from './fingerprint.ts';
import { type KeyEntry, readRdb } from './rdb-reader.ts';
import { RedisServer } from './redis-server.ts';
import type { ServerBinary } from './servers.ts';

/** All that there is at an instant, elapsed keys and fields included, as bytes and as facts. */
export interface Physical {
  readonly physical: Fingerprint;
  readonly entries: readonly KeyEntry[];
}

/** The base of a plan, and `stream` behind it. */
export async function fedWith(binary: ServerBinary, { base }: Plan, stream: Buffer): Promise<Physical> {
  await using feed = await MasterFeed.listen(systemClock);
  const link = { replicaof: `127.0.0.1 ${feed.port}`, masterauth: feed.password };
  await using replica = await RedisServer.start(binary, { config: { ...link, 'replica-serve-stale-data': 'yes' } });
  const rdb = await readFile(base.rdbPath);
  const source = {
    ...{ rdbBytes: rdb.length, db: base.record.db },
    async *rdb() {
      yield rdb;
    },
    async *stream() {
      yield stream;
    },
  };
  await feed.feed(source, AbortSignal.timeout(60_000));
  await using client = await replica.connect();
  const physical = await fingerprint(client, binary);
  return { physical, entries: readRdb(await readFile(path.join(replica.dir, 'dump.rdb'))).keys };
}
