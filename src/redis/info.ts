/** What INFO says, in any of its sections: lines of `field:value`. */

/** By name; of a field that is there twice, the last. */
export function infoFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

/** The dbs that hold something, from lines such as `db0:keys=3,expires=1,avg_ttl=0`. */
export function keyspaceIn(text: string): { readonly db: number; readonly keys: number }[] {
  return [...text.matchAll(/^db(\d+):keys=(\d+)/gm)].map(([, db, keys]) => ({ db: Number(db), keys: Number(keys) }));
}

/** In all dbs. */
export function keysIn(text: string): number {
  return keyspaceIn(text).reduce((sum, { keys }) => sum + keys, 0);
}
