/** The one moment that a verb is asked for, by --at or --before. */
import { UsageError } from '../core/errors.ts';
import type { Layers } from '../daemon/layers.ts';
import type { CutMode } from '../restore/locate/locate.ts';

export interface WantedMoment {
  readonly text: string;
  readonly mode: CutMode;
}

/** Undefined: none is named. UsageError when there are two. */
export function wantedMoment({ values, origin }: Layers): WantedMoment | undefined {
  const { before } = values;
  const [at, another] = values.at;
  if (another !== undefined) {
    throw new UsageError('two-targets', `${origin('at')} is given more than once`, {
      hint: 'there is one target here; to compare two: journal diff',
    });
  }
  if (at !== undefined && before !== undefined) {
    throw new UsageError('two-targets', `${origin('at')} and ${origin('before')} are both given`, {
      hint: '--at includes the target, --before leaves it out: choose one',
    });
  }
  if (at !== undefined) return { text: at, mode: 'at' };
  return before === undefined ? undefined : { text: before, mode: 'before' };
}
