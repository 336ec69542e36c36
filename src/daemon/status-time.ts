/**
 * What status tells of time: which stretches are uncertain, and by how much clocks differ. Neighbour: status.ts, which
 * puts it together with the rest.
 */
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import { idAt } from '../log/catalog.ts';
import type { Catalog } from '../log/catalog.ts';
import type { UncertainSpan } from '../restore/locate/uncertain.ts';

export interface StatusUncertain {
  readonly timeline: number;
  readonly from: string;
  readonly to: string;
  readonly fromPosition: string;
  readonly seconds: number;
  readonly cause: UncertainSpan['cause'];
}

/** In seconds; null where a living writer does not say, or has no samples. */
export interface StatusClock {
  /** The writer's clock less the primary's. */
  readonly skew: number | null;
  /** When the primary's clock was last sampled. */
  readonly sampledAt: string | null;
  /** The wall clock less the stamps: a step that is not believed yet, or is being made up for. */
  readonly wallError: number | null;
}

export function uncertainOf(
  { timeline, from, to, offset, cause }: UncertainSpan,
  { timelines }: Catalog,
): StatusUncertain {
  const found = timelines.find(({ number }) => number === timeline);
  if (found === undefined) throw new RangeError(`timeline ${timeline} is not in the catalog`);
  return {
    timeline,
    from: formatInstant(from),
    to: formatInstant(to),
    fromPosition: formatPosition({ id: idAt(found, offset), offset }),
    seconds: (to - from) / 1_000_000,
    cause,
  };
}
