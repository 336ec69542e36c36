/**
 * How long to wait before the next attempt: exponential with full jitter, so that many journals of one failed primary do
 * not come back at the same instant. Pure; the random number is handed in.
 */
import type { RetryClass } from './errors.ts';

interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
}

const backoffs: Readonly<Record<Exclude<RetryClass, 'never'>, Backoff>> = {
  soon: { firstMs: 200, mostMs: 5_000 },
  later: { firstMs: 2_000, mostMs: 60_000 },
};

/** `attempt` counts from 1; `random` is in [0, 1). At least half of the step, so that "later" is later. */
export function retryDelayMs(retry: Exclude<RetryClass, 'never'>, attempt: number, random: number): number {
  const { firstMs, mostMs } = backoffs[retry];
  const step = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 20));
  return Math.round(step / 2 + (step / 2) * random);
}
