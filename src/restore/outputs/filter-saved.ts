/**
 * Of an RDB that a scratch server has saved, only the keys that are wanted, with the TTLs that they should have: into a
 * file, or counted.
 */
import { crc32 } from 'node:zlib';
import { UsageError } from '../../core/errors.ts';
import { released } from '../../core/slabs.ts';
import type { KeyChoice } from '../../redis/key-selection.ts';
import { RdbFilter } from '../../redis/rdb-filter.ts';
import type { FilterOptions, SameName } from '../../redis/rdb-filter.ts';
import type { WrittenChunk } from '../../redis/rdb-writer.ts';
import { printable } from '../../redis/refusals.ts';
import type { Disk } from '../../storage/disk.ts';
import { filePieces } from '../../storage/file-pieces.ts';
import { OutputFile } from './output-file.ts';

export interface Picked {
  /** Keys that are restored, elapsed ones included, of all that the scratch server held. */
  readonly taken: number;
  readonly total: number;
}

/**
 * Durable on return, but for its name. UsageError where two keys would get one name; the file stays the caller's. What
 * `advance`, called now and then, throws ends it.
 */
export async function filterSaved(
  disk: Disk,
  saved: string,
  path: string,
  { selection, ttl }: Pick<FilterOptions, 'selection' | 'ttl'>,
  advance: () => void,
): Promise<{ readonly bytes: number; readonly crc: number; readonly picked: Picked }> {
  await using output = await OutputFile.create(disk, path);
  let crc = 0;
  const take = async ({ bytes, slab }: WrittenChunk): Promise<void> => {
    crc = crc32(bytes, crc);
    output.append(bytes, slab);
    advance();
    await output.room();
  };
  const filter = await run(disk, saved, { selection, ttl }, take);
  if (selection !== undefined) await refuseSameNames(disk, saved, selection, filter.sameNames);
  return { bytes: await output.finish(), crc, picked: { taken: filter.taken, total: filter.total } };
}

/** How many it would be; `onTaken` is told of each. UsageError as above. */
export async function countSaved(
  disk: Disk,
  saved: string,
  selection: KeyChoice,
  onTaken?: FilterOptions['onTaken'],
): Promise<Picked> {
  const filter = await run(disk, saved, { selection, ...(onTaken && { onTaken }) }, () => Promise.resolve());
  await refuseSameNames(disk, saved, selection, filter.sameNames);
  return { taken: filter.taken, total: filter.total };
}

/** The names that look alike are looked up: an alarm may be false. */
async function refuseSameNames(
  disk: Disk,
  saved: string,
  selection: KeyChoice,
  sameNames: readonly SameName[],
): Promise<void> {
  if (sameNames.length === 0) return;
  const nameOf = (db: number, name: Buffer): string => `${db} ${name.toString('latin1')}`;
  const later = new Map(sameNames.map(({ db, name, key }) => [nameOf(db, name), key]));
  const onTaken = (db: number, key: Buffer, name: Buffer): void => {
    const other = later.get(nameOf(db, name));
    if (other === undefined || other.equals(key)) return;
    const [one, two, both] = [key, other, name].map((each) => JSON.stringify(printable(each.toString())));
    throw new UsageError('rename-collision', `keys ${one} and ${two} of db ${db} would both be named ${both}`, {
      hint: 'choose a --rename that keeps them apart, or leave one out with --exclude; nothing was restored',
    });
  };
  await run(disk, saved, { selection, onTaken }, () => Promise.resolve());
}

async function run(
  disk: Disk,
  saved: string,
  options: FilterOptions,
  take: (chunk: WrittenChunk) => Promise<void>,
): Promise<RdbFilter> {
  const filter = new RdbFilter(options);
  const takeAll = async (chunks: readonly WrittenChunk[]): Promise<void> => {
    for (const chunk of released(chunks)) await take(chunk);
  };
  await using file = await disk.open(saved, 'read');
  for await (const { bytes } of filePieces(file)) await takeAll(filter.push(bytes));
  await takeAll(filter.finish());
  return filter;
}
