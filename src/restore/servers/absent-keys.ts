/**
 * The keys of running servers that a selection asks for, and that the restored dataset does not hold, as the servers are
 * scanned: they were not there at T, or their time has passed since.
 *
 * Invariant: nothing is changed, on either side. A key that the dataset holds, of whatever type, is never told of.
 */
import { keyspaceIn } from '../../redis/info.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import type { ScratchConnection } from '../../scratch/scratch-connection.ts';
import { throwIfInterrupted } from '../interruption.ts';
import type { TargetLink } from './target-link.ts';

export interface AbsentKeys {
  readonly link: TargetLink;
  readonly db: number;
  readonly keys: readonly AbsentKey[];
}

interface AbsentKey {
  readonly key: Buffer;
  /** It was there, and its time has passed. */
  readonly hasElapsed: boolean;
}

const scanCount = '1000';

/** In batches; while one is looked at, its link has its db selected. */
export async function* absentKeys(
  links: readonly TargetLink[],
  dataset: ScratchDataset,
  selection: KeySelection,
  signal: AbortSignal,
): AsyncGenerator<AbsentKeys, void, undefined> {
  using scratch = await dataset.connect();
  for (const link of links) yield* absentAt(link, scratch, selection, signal);
}

async function* absentAt(
  link: TargetLink,
  scratch: ScratchConnection,
  selection: KeySelection,
  signal: AbortSignal,
): AsyncGenerator<AbsentKeys, void, undefined> {
  for (const { db } of keyspaceIn(String(await link.command('INFO', 'keyspace')))) {
    if (!selection.takesDb(db)) continue;
    await link.bytes('SELECT', String(db));
    await scratch.sendCommand(['SELECT', String(db)]);
    for await (const found of selectedKeys(link, selection)) {
      throwIfInterrupted(signal);
      const keys = await missingIn(scratch, found);
      if (keys.length > 0) yield { link, db, keys };
    }
  }
}

async function* selectedKeys(link: TargetLink, selection: KeySelection): AsyncGenerator<Buffer[], void, undefined> {
  const { keys: globs } = selection.text;
  const only = globs.length === 1 && selection.names === undefined ? ['MATCH', String(globs[0])] : [];
  let cursor = '0';
  do {
    const [next, seen] = (await link.bytes('SCAN', cursor, 'COUNT', scanCount, ...only)) as [Buffer, Buffer[]];
    cursor = next.toString('latin1');
    const named = seen.filter((key) => selection.takesName(key));
    const { types } = selection;
    if (types === undefined) {
      yield named;
      continue;
    }
    const told = await Promise.all(named.map((key) => link.bytes('TYPE', key)));
    yield named.filter((_, i) => types.has(String(told[i])));
  } while (cursor !== '0');
}

/** On a replica EXISTS does not find what has elapsed, and MEMORY USAGE does. */
async function missingIn(scratch: ScratchConnection, keys: readonly Buffer[]): Promise<AbsentKey[]> {
  const found = await Promise.all(keys.map((key) => scratch.sendCommand<number>(['EXISTS', key])));
  const missing = keys.filter((_, i) => found[i] === 0);
  const sizes = await Promise.all(
    missing.map((key) => scratch.sendCommand<number | null>(['MEMORY', 'USAGE', key, 'SAMPLES', '1'])),
  );
  return missing.map((key, i) => ({ key, hasElapsed: sizes[i] !== null }));
}
