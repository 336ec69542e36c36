/**
 * Whether running servers have every db that is to be written, asked before anything is. Most clusters have db 0 only.
 */
import { LinkError } from '../../core/errors.ts';
import { keyspaceIn } from '../../redis/info.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import type { TargetLink } from './target-link.ts';

/** LinkError when one has not; they have another db selected afterwards. `dbs` are those of the dataset when left out. */
export async function requireDbs(
  links: readonly TargetLink[],
  dataset: ScratchDataset,
  dbs?: Iterable<number>,
): Promise<void> {
  const wanted = dbs ?? keyspaceIn(await dataset.client.info('keyspace')).map(({ db }) => db);
  for (const db of wanted) {
    for (const link of links) await requireDb(link, db);
  }
}

async function requireDb(link: TargetLink, db: number): Promise<void> {
  try {
    await link.ask('SELECT', String(db));
  } catch (error) {
    if (!(error instanceof LinkError) || !/out of range|not allowed in cluster/i.test(error.message)) throw error;
    throw new LinkError('target-db', `${link.address} has no db ${db}`, 'never', {
      hint: 'leave it out (--db), or give the server more (databases; in a cluster of Valkey 9 cluster-databases); nothing was changed',
      exitCode: 1,
      cause: error,
    });
  }
}
