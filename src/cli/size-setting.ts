/** A setting that is an amount of memory, in bytes. */
import { parseSize } from '../core/amounts.ts';
import { UsageError } from '../core/errors.ts';
import type { Layers } from '../daemon/layers.ts';

/** Undefined where it is left out. UsageError (exit 2) when it is no size. */
export function sizeSetting({ values, origin }: Layers, key: 'scratch-memory' | 'target-memory'): number | undefined {
  const text = values[key];
  const bytes = text === undefined ? undefined : parseSize(text);
  if (text === undefined || bytes !== undefined) return bytes;
  throw new UsageError('bad-setting', `${origin(key)} is not a size`, {
    hint: 'a number and a unit: MB, GB, TB, MiB, GiB, TiB; for example 8GB',
  });
}
