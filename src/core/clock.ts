/**
 * Time as it is handed in. Nothing else in src/ reads a clock or sets a timer, so that tests (and the simulation) can
 * run on a clock of their own.
 */

/** Microseconds since the Unix epoch, as a safe integer (good until the year 2255). */
export type Micros = number;

export interface Clock {
  /** The wall clock in µs since the epoch. May jump either way. */
  wall(): Micros;
  /** A clock in µs that never goes back, with an arbitrary origin. */
  monotonic(): Micros;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fn` once after `ms` milliseconds; the result cancels it. */
  after(ms: number, fn: () => void): () => void;
}

export const systemClock: Clock = {
  wall: () => Math.round((performance.timeOrigin + performance.now()) * 1000 + wallCorrection()),
  monotonic: () => Math.round(performance.now() * 1000),
  sleep: (ms, signal) => sleepOn(systemClock, ms, signal),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Sleep, for any clock that has `after`. */
export function sleepOn(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason as Error);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

let correction = 0;

/**
 * performance.now() has microseconds but follows the wall clock only at process start; Date.now() follows every step
 * but has milliseconds. The difference between the two, taken only when it exceeds 2 ms, gives both.
 */
function wallCorrection(): number {
  const drift = Date.now() * 1000 - (performance.timeOrigin + performance.now()) * 1000 - correction;
  if (Math.abs(drift) > 2000) correction += drift;
  return correction;
}
