/** Which keys of a dataset running servers have not, by their names there. One whose time has passed counts as missing. */
import type { DumpedKey } from '../../scratch/dumped-keys.ts';
import type { TargetServers } from './target-servers.ts';

/** Their db is selected. */
export async function missingAmong(servers: TargetServers, keys: readonly DumpedKey[]): Promise<DumpedKey[]> {
  const found = await Promise.all(keys.map(({ name }) => servers.linkOf(name).bytes('EXISTS', name)));
  return keys.filter((_, i) => found[i] === 0);
}
