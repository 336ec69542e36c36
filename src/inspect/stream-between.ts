/**
 * What was written between two boundaries of a timeline, as a scratch server gets it that holds the dataset of the first one:
 * applied to that, it makes the dataset of the second.
 */
import type { Offset } from '../core/position.ts';
import { encodeCommand } from '../redis/commands-out.ts';
import type { Plan } from '../restore/plan/plan.ts';
import { PlannedBytes } from '../restore/replay/planned-bytes.ts';
import type { Disk } from '../storage/disk.ts';

/** A boundary, and the db selected there. */
export interface Boundary {
  readonly offset: Offset;
  readonly db: number;
}

/** `plan` is of a cut that is not before `to`; of its stream, it says what a server has to get. */
export async function* streamBetween(
  disk: Disk,
  plan: Plan,
  from: Boundary,
  to: Offset,
  advance: (bytes: number) => void,
): AsyncGenerator<Buffer, void, undefined> {
  yield encodeCommand('SELECT', String(from.db));
  if (from.offset === to) return;
  const record = { ...plan.base.record, ...from };
  const between = { ...plan, base: { ...plan.base, record }, cut: { ...plan.cut, offset: to } };
  yield* new PlannedBytes(disk, between, advance).stream();
}
