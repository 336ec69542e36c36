/**
 * What becomes of what expires, key by key and field by field (pure), and how many of each there were.
 */
import { hashFieldExpiryMsMax } from './server-version.ts';

/** Instants in ms since the epoch. */
export interface TtlRule {
  /** What ended before this had elapsed. */
  readonly asOfMs: number;
  readonly elapsed: 'stays' | 'goes';
  /** Of all else: it keeps its instant, has none any more, or ends that much later. */
  readonly others: 'stay' | 'persist' | { readonly laterByMs: number };
}

export interface Expiring {
  keys: number;
  fields: number;
}

/** Of keys and hash fields that expire. A field of a key that had elapsed is not counted. */
export interface TtlCount {
  /** They had elapsed at the instant of the rule. */
  readonly elapsed: Expiring;
  /** They had not, but have by now, unless the rule let them be. */
  readonly elapsedSince: Expiring;
  /** They end later. */
  readonly ahead: Expiring;
}

/** Not an instant: it is removed; it expires no more. */
export const GOES = -Infinity;
export const NEVER = Infinity;

export class TtlJudge {
  readonly count: TtlCount = {
    elapsed: { keys: 0, fields: 0 },
    elapsedSince: { keys: 0, fields: 0 },
    ahead: { keys: 0, fields: 0 },
  };
  readonly rule: TtlRule;
  readonly #nowMs: number;

  constructor(rule: TtlRule, nowMs: number) {
    this.rule = rule;
    this.#nowMs = nowMs;
  }

  /** Whether the rule does anything at all. */
  get changes(): boolean {
    return this.rule.elapsed === 'goes' || this.rule.others !== 'stay';
  }

  hasElapsed(atMs: number): boolean {
    return atMs < this.rule.asOfMs;
  }

  /** Counts one that ends at `atMs`, and returns when it ends by the rule, GOES or NEVER. */
  take(what: keyof Expiring, atMs: number): number {
    const { asOfMs, elapsed, others } = this.rule;
    if (atMs < asOfMs) {
      this.count.elapsed[what] += 1;
      return elapsed === 'goes' ? GOES : atMs;
    }
    (atMs < this.#nowMs ? this.count.elapsedSince : this.count.ahead)[what] += 1;
    return givenTime(others, what, atMs);
  }
}

/** When something ends that had not elapsed. */
export function givenTime(others: TtlRule['others'], what: keyof Expiring, atMs: number): number {
  if (others === 'stay') return atMs;
  if (others === 'persist') return NEVER;
  const toMs = atMs + others.laterByMs;
  // So far ahead, in more than 2000 years, an instant is as good as never.
  return toMs > (what === 'keys' ? Number.MAX_SAFE_INTEGER : hashFieldExpiryMsMax) ? atMs : toMs;
}
