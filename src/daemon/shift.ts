/** `--ttl shift` for what is served: everything that expires does so that much later than in the journal. */
import type { Micros } from '../core/clock.ts';
import type { Shift } from '../downstream/history.ts';
import { laterBaseBytes } from '../downstream/served-base.ts';
import type { BaseEntry } from '../log/catalog.ts';
import { laterTimes } from '../restore/rewrite/later-times.ts';
import type { Disk } from '../storage/disk.ts';

/** By whole seconds, not less. The base is read for it. */
export async function shiftBy(disk: Disk, base: BaseEntry, distance: Micros): Promise<Shift> {
  const laterByMs = Math.ceil(distance / 1_000_000) * 1000;
  const baseBytes = await laterBaseBytes(disk, base, laterByMs);
  return { laterByMs, baseBytes, stream: (offset) => laterTimes({ offset, db: 0 }, laterByMs) };
}
