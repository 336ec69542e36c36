/**
 * Whether a running server has every db that is to be written, asked before anything is.
 */
import { LinkError } from '../../core/errors.ts';
import { keyspaceIn } from '../../redis/info.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import type { TargetLink } from './target-link.ts';

/** LinkError when it has not; the link has another db selected afterwards. */
export async function requireDbs(
  link: TargetLink,
  dataset: ScratchDataset,
  selection: KeySelection | undefined,
): Promise<void> {
  for (const { db } of keyspaceIn(await dataset.client.info('keyspace'))) {
    if (selection?.takesDb(db) === false) continue;
    try {
      await link.ask('SELECT', String(db));
    } catch (error) {
      if (!(error instanceof LinkError) || !/out of range/i.test(error.message)) throw error;
      throw new LinkError('target-db', `${link.address} has no db ${db}`, 'never', {
        hint: 'leave it out (--db), or give the server more (databases); nothing was changed',
        exitCode: 1,
        cause: error,
      });
    }
  }
}
