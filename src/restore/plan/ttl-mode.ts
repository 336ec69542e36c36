/**
 * What becomes of keys and hash fields that expire, when a dataset of the past is restored now (pure):
 *
 *   keep      nothing: they end when they would have; what has elapsed by now goes when the server starts
 *   as-of     what had elapsed at T, and had not been deleted yet, is removed; all else is kept
 *   shift     as-of, and all else ends as much later as now is later than T
 *   persist   as-of, and nothing expires any more
 *
 * It is judged by the state at T, when everything is replayed, never by what the base or a command says: a later one may
 * have given a key another time, or none. T is by the primary's clock, which all instants of the dataset are of.
 */
import type { Micros } from '../../core/clock.ts';
import { formatInstant } from '../../core/instant.ts';
import type { TtlCount, TtlRule } from '../../redis/ttl-rule.ts';

export type TtlMode = 'keep' | 'as-of' | 'shift' | 'persist';

export interface TtlPlan {
  readonly mode: TtlMode;
  /** T. */
  readonly asOf: Micros;
  /** What has elapsed is counted at any price. */
  readonly isCounted: boolean;
}

/** What was done; in restore.json. */
export interface TtlOutcome {
  /** All later instants are that much later than they were, in seconds. */
  readonly shiftedBy: number;
  /** Keys and hash fields whose time had passed at T. */
  readonly passedAtCut: { readonly keys: number; readonly fields: number };
  /** Those whose time has passed since, while this was made; a server that starts would let go of them. Null: not counted. */
  readonly passedSince: { readonly keys: number; readonly fields: number } | null;
  /** Null: not counted. */
  readonly ahead: { readonly keys: number; readonly fields: number } | null;
}

/** Whether the dataset has to be edited. */
export function changesTtl({ mode }: TtlPlan): boolean {
  return mode !== 'keep';
}

export function ttlRule({ mode, asOf }: TtlPlan, now: Micros): TtlRule {
  const asOfMs = Math.floor(asOf / 1000);
  switch (mode) {
    case 'keep':
      return { asOfMs, elapsed: 'stays', others: 'stay' };
    case 'as-of':
      return { asOfMs, elapsed: 'goes', others: 'stay' };
    case 'persist':
      return { asOfMs, elapsed: 'goes', others: 'persist' };
    case 'shift':
      return { asOfMs, elapsed: 'goes', others: { laterByMs: Math.round((now - asOf) / 1000) } };
  }
}

export function ttlOutcome({ others }: TtlRule, { elapsed, elapsedSince, ahead }: TtlCount): TtlOutcome {
  return { shiftedBy: shiftedBy(others), passedAtCut: elapsed, passedSince: elapsedSince, ahead };
}

const none: TtlCount['elapsed'] = { keys: 0, fields: 0 };

/** Of the journal's bytes, of which only what had elapsed is known. */
export function outcomeOfBytes(
  { others }: TtlRule,
  elapsedKeys: number,
  asked: TtlCount['elapsed'] = none,
): TtlOutcome {
  const passedAtCut = { keys: elapsedKeys + asked.keys, fields: asked.fields };
  return { shiftedBy: shiftedBy(others), passedAtCut, passedSince: null, ahead: null };
}

function shiftedBy(others: TtlRule['others']): number {
  return typeof others === 'object' ? others.laterByMs / 1000 : 0;
}

/** What happened, for people. */
export function ttlWarnings({ mode, asOf }: TtlPlan, { passedAtCut, passedSince }: TtlOutcome): string[] {
  const at = `at ${formatInstant(asOf)}`;
  if (passedSince === null) return [];
  const both = { keys: passedAtCut.keys + passedSince.keys, fields: passedAtCut.fields + passedSince.fields };
  switch (mode) {
    case 'keep':
      if (both.keys + both.fields === 0) return [];
      return [`the time of ${amounts(both)} has passed by now; of ${amounts(passedAtCut)} it had ${at} already`];
    case 'as-of':
      if (passedSince.keys + passedSince.fields === 0) return [];
      return [`the time of ${amounts(passedSince)} has passed since ${at.slice(3)}`];
    case 'shift':
    case 'persist':
      return [];
  }
}

/** In the plan. `gone` says what becomes of keys whose time has passed, by the form of the output. */
export function ttlEffect({ mode, asOf }: TtlPlan, gone: string): string {
  const removed = `what had elapsed at ${formatInstant(asOf)} is removed`;
  switch (mode) {
    case 'keep':
      return `TTLs keep the instants at which they end: keys whose time has passed ${gone}`;
    case 'as-of':
      return `${removed}; other TTLs keep the instants at which they end: keys whose time has passed since ${gone}`;
    case 'shift':
      return `${removed}; all others end later, by as much as the restore is later than that`;
    case 'persist':
      return `${removed}; nothing else expires any more`;
  }
}

function amounts({ keys, fields }: { readonly keys: number; readonly fields: number }): string {
  return `${keys} keys and ${fields} hash fields`;
}
