/** The stamp of a byte that is known to be in a frame, by the frame's reads. */
import type { Reads } from '../../../journal-format/reads.ts';
import type { Micros } from '../../core/clock.ts';
import type { Offset } from '../../core/position.ts';

export function stampIn(reads: Reads, offset: Offset): Micros {
  const stamp = reads.stampAt(offset);
  if (stamp === undefined) throw new RangeError(`offset ${offset} is outside of its frame`);
  return stamp;
}
