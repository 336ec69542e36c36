/**
 * Instants in print. RFC 3339 in UTC with six digits of fraction: exact, and of one width, so that columns align and
 * text sorts as time does. Zones, and reading what people write, are restore/target.ts.
 */
import type { Micros } from './clock.ts';

const microsPerSecond = 1_000_000;

/** `2026-11-20T14:30:05.000250Z`. Exact for every safe integer (the years 1684 to 2255). */
export function formatInstant(at: Micros): string {
  if (!Number.isSafeInteger(at)) throw new RangeError(`not a number of whole microseconds: ${at}`);
  const seconds = Math.floor(at / microsPerSecond);
  const fraction = String(at - seconds * microsPerSecond).padStart(6, '0');
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}
