/**
 * What is told among the commands of a search: what was not searched, and where a history changed its name or was left (pure).
 */
import type { Offset, Position, ReplicationId } from '../core/position.ts';
import type { OrphanRange } from '../log/orphans.ts';
import type { Leg } from './reach.ts';

/** Other than a command: what was not searched, and where the history changed its name. */
export type Notice =
  | Exclude<Leg, { readonly kind: 'stretch' }>
  /** The last position under the id before, and the id that the history goes on under. */
  | { readonly kind: 'switch'; readonly timeline: number; readonly position: Position; readonly id: ReplicationId }
  | { readonly kind: 'orphan'; readonly orphan: OrphanRange };

export type StretchLeg = Leg & { readonly kind: 'stretch' };

/** Those of a stretch, each told once, before the first command that it concerns. */
export class Notices {
  readonly #left: { readonly offset: Offset; readonly notice: Notice }[];
  readonly #orphans: readonly OrphanRange[];

  constructor(leg: StretchLeg, orphans: readonly OrphanRange[]) {
    this.#left = noticesOn(leg, orphans);
    this.#orphans = orphans.filter(({ timeline }) => timeline === leg.timeline.number);
  }

  before(offset: Offset): Notice[] {
    const told: Notice[] = [];
    while ((this.#left[0]?.offset ?? Infinity) <= offset)
      told.push(...this.#left.splice(0, 1).map(({ notice }) => notice));
    return told;
  }

  /** The history that survived a failover does not contain it. */
  isOrphan(offset: Offset): boolean {
    return this.#orphans.some(({ from, to }) => from <= offset && offset <= to);
  }
}

/** By the first offset that they concern. */
function noticesOn(
  { timeline, from, to }: StretchLeg,
  orphans: readonly OrphanRange[],
): { readonly offset: Offset; readonly notice: Notice }[] {
  const { number, ids } = timeline;
  const switches = ids.flatMap(({ id, offset }, i) => {
    const before = ids[i - 1]?.id;
    if (before === undefined) return [];
    const notice = { kind: 'switch', timeline: number, position: { id: before, offset: offset - 1 }, id } as const;
    return [{ offset, notice }];
  });
  const left = orphans.flatMap((orphan) => {
    if (orphan.timeline !== number || orphan.to <= from) return [];
    return [{ offset: Math.max(orphan.from, from + 1), notice: { kind: 'orphan', orphan } as const }];
  });
  return [...switches, ...left]
    .filter(({ offset }) => from < offset && offset <= to)
    .sort((a, b) => a.offset - b.offset);
}
