/**
 * The refusal of a target that may lie on a damaged timeline (pure): neither "not covered" nor a place on another
 * timeline is the truth while nobody can tell. Neighbours: log/damaged.ts says what is known of such a timeline.
 */
import type { Micros } from '../../core/clock.ts';
import { CoverageError, IntegrityError } from '../../core/errors.ts';
import type { Catalog } from '../../log/catalog.ts';
import { lastStampOf } from '../../log/damaged.ts';
import type { DamagedTimeline } from '../../log/damaged.ts';

/** Prefixes of ids that are shorter than this may well be those of two, of which one is not readable. */
const prefixDigitsLeast = 8;

/** The timeline is the one that is asked for. */
export function damagedTarget({ number, error }: DamagedTimeline, asked: string): IntegrityError {
  return refusal(error, `${asked} is on timeline ${number}, which is damaged: ${error.message}`);
}

/** The newest timeline, if it is damaged: what is before it is not the latest. */
export function damagedNewest({ timelines, damaged }: Catalog): DamagedTimeline | undefined {
  const last = damaged.at(-1);
  return last !== undefined && last.number > (timelines.at(-1)?.number ?? 0) ? last : undefined;
}

/** `error` as it is, or, where it says that something is not covered that may be on a damaged timeline, that it is damaged. */
export function explainDamaged(error: unknown, { damaged }: Catalog, asked: string): unknown {
  const [first] = damaged;
  if (first === undefined || !(error instanceof CoverageError && notThere.has(error.code))) return error;
  return refusal(
    first.error,
    `${asked} is on no timeline that is whole, and timeline ${first.number} is damaged: ${first.error.message}`,
  );
}

const notThere: ReadonlySet<string> = new Set(['nothing-covered', 'time-not-covered', 'position-not-covered']);

/** The instants are those of the target, as the clocks of the primary and of the journal told it. */
export function refuseWhereDamaged(catalog: Catalog, instants: readonly Micros[], asked: string): void {
  const { timelines, damaged } = catalog;
  const gaps = [...timelines, ...damaged].map(({ gap }) => gap);
  for (const one of damaged) {
    const to = lastStampOf(one, gaps);
    if (!instants.some((at) => one.from <= at && at <= to)) continue;
    throw refusal(
      one.error,
      `${asked} may be on timeline ${one.number}, too, which is damaged: ${one.error.message}`,
      'a position (ID:OFFSET) of a whole timeline can be restored: journal ls lists them',
    );
  }
}

/** While not all ids are known, a short prefix may have more than one meaning. */
export function refuseShortPrefix({ damaged }: Catalog, idPrefix: string): void {
  const [first] = damaged;
  if (first === undefined || idPrefix.length >= prefixDigitsLeast) return;
  throw refusal(
    first.error,
    `timeline ${first.number} is damaged, and may have another id that begins with ${idPrefix}: ${first.error.message}`,
    `give at least ${prefixDigitsLeast} digits of the id`,
  );
}

/** Said with a restore that another timeline's damage does not touch. */
export function damageWarnings({ damaged }: Catalog, timeline: number): string[] {
  return damaged.map(({ number, gap, error }) => {
    const blind = gap === undefined && number > timeline;
    const unknown = blind ? '; whether a failover orphaned what is restored here cannot be told' : '';
    return `timeline ${number} is damaged, which this restore does not need: ${error.message}${unknown}`;
  });
}

function refusal({ code, exitCode, hint, cause }: IntegrityError, message: string, instead = hint): IntegrityError {
  return new IntegrityError(code, message, { hint: instead, exitCode, cause });
}
