/**
 * In print, how a plan makes what it makes (pure): of the journal's bytes, or by a scratch server, and why.
 */
import { formatRdb, formatServerVersion } from '../../redis/server-version.ts';
import type { ElapsedKeys } from '../rewrite/elapsed-keys.ts';
import type { Held } from '../rewrite/needed-keys.ts';
import type { Plan, ScratchPlan } from './plan.ts';
import type { TtlMode } from './ttl-mode.ts';

export interface ScratchJson {
  readonly server: string;
  readonly program: string;
  /** The version that it writes. */
  readonly rdb: string;
  /** Why a directory is not made of the journal's bytes; null for other outputs, which never are. */
  readonly why: string | null;
}

export interface HeldJson {
  readonly everything: boolean;
  readonly why: string | null;
}

export function scratchToJson({ program, rdb, why }: ScratchPlan): ScratchJson {
  return { server: formatServerVersion(program), program: program.path, rdb: formatRdb(rdb), why: why ?? null };
}

export function heldToJson(held: Held): HeldJson {
  return held.keys === undefined ? { everything: true, why: held.why } : { everything: false, why: null };
}

export interface AskedJson {
  readonly server: string;
  readonly program: string;
  readonly keys: number;
}

export function askedToJson({ asked, elapsed }: Pick<Plan, 'asked' | 'elapsed'>): AskedJson | null {
  if (asked === undefined || elapsed === undefined) return null;
  const { server, program } = scratchToJson(asked.scratch);
  return { server, program, keys: elapsed.inDoubt().length };
}

type Way = Pick<Plan, 'scratch' | 'held' | 'elapsed' | 'asked' | 'ttl'>;

export function scratchLines(plan: Way): (readonly [string, string])[] {
  const { scratch, held, elapsed, ttl } = plan;
  if (scratch === undefined && elapsed !== undefined) {
    const asked = askedToJson(plan);
    return [
      ['made of', `the journal's bytes${timesIn[ttl.mode]}; ${elapsedIn(elapsed)}`],
      ...(asked === null ? [] : [['asked', askedIn(asked)] as const]),
    ];
  }
  if (scratch === undefined) {
    if (held === undefined) return [];
    return [
      ['made of', 'the bytes of these keys and of what they depend on; what only came along is deleted at the end'],
    ];
  }
  const { server, program, rdb, why } = scratchToJson(scratch);
  return [
    ['made by', `a scratch server, ${server} (${program}), which writes RDB version ${rdb}`],
    ...(why === null ? [] : [['because', why] as const]),
    ...(held === undefined ? [] : [['it holds', heldIn(held)] as const]),
  ];
}

const timesIn: Readonly<Record<TtlMode, string>> = {
  keep: '',
  'as-of': '',
  shift: ', with later times',
  persist: ', without times',
};

function elapsedIn(elapsed: ElapsedKeys): string {
  const { length } = elapsed.certain();
  if (length === 0) return 'no key had elapsed';
  return length === 1
    ? '1 key that had elapsed is deleted at the end'
    : `${length} keys that had elapsed are deleted at the end`;
}

function askedIn({ server, program, keys }: AskedJson): string {
  return `a scratch server, ${server} (${program}), about ${keys} more, which commands alone do not tell`;
}

function heldIn(held: Held): string {
  return held.keys === undefined ? `everything: ${held.why}` : 'these keys and what they depend on';
}
