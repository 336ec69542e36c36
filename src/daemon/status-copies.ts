/**
 * Delayed copies of a journal as `status` lists them, and what it warns of: what is kept for them alone, and what one has
 * lost. Pure. Neighbours: copy-note.ts reads them, status.ts shows them, serve-delayed.ts warns of its own.
 */
import type { RemovedRecord } from '../../journal-format/removed.ts';
import type { Micros } from '../core/clock.ts';
import { freeBytesLow } from '../core/limits.ts';
import type { CopyFacts, DelayedCopy } from './copy-note.ts';
import type { RetentionState } from './keep-local.ts';

export interface StatusCopy extends CopyFacts {
  readonly isRunning: boolean;
  readonly behindSeconds: number | null;
  /** Of what is durable; null while it is on another timeline. */
  readonly lagBytes: number | null;
  /** That --keep-local asks for, and is kept for this one. */
  readonly heldBytes: number;
  /** What it stands on was removed. */
  readonly isLost: boolean;
}

/** Where the journal is. */
export interface JournalPlace {
  readonly now: Micros;
  readonly timeline: number | null;
  readonly durable: string | null;
  readonly removed: readonly Pick<RemovedRecord, 'timeline'>[];
  readonly retention: RetentionState | null;
}

export function statusCopies(copies: readonly DelayedCopy[], place: JournalPlace): StatusCopy[] {
  const { now, removed, retention } = place;
  return copies.map(({ path: _, ...copy }) => {
    const { name, state, instant, timeline } = copy;
    const isGone = removed.some((record) => record.timeline === timeline);
    return {
      ...copy,
      behindSeconds: instant === null ? null : Math.max(0, now / 1_000_000 - Date.parse(instant) / 1000),
      lagBytes: lagOf(copy, place),
      heldBytes: retention?.copies.find((one) => one.name === name)?.bytes ?? 0,
      isLost: isGone || (state === 'paused' && timeline === null),
    };
  });
}

export function copyWarnings(copies: readonly StatusCopy[], rule: string | undefined): string[] {
  return copies.flatMap((copy) => {
    const { name, isRunning, state, isLost, heldBytes } = copy;
    const warnings: string[] = [];
    if (state === 'unknown') {
      warnings.push(`what the delayed copy ${name} needs cannot be told: everything is kept for it`);
    }
    if (isLost) warnings.push(`delayed copy ${name}: what it stands on was removed from the journal`);
    else if (heldBytes > 0 && rule !== undefined) warnings.push(heldWarning(name, heldBytes, rule));
    if (!isRunning && state === 'paused') {
      warnings.push(`delayed copy ${name} is paused, and nobody serves it; what it needs is kept until it is resumed`);
    }
    return warnings;
  });
}

/** Of one that could not leave word in the folder of the journal. */
export function unknownCopyWarning(rule: string): string {
  return `${rule} does not know of this copy, since nothing can be written beside the journal: what is still to be served may be removed before`;
}

function heldWarning(name: string, bytes: number, rule: string): string {
  const mebibytes = Math.ceil(bytes / 2 ** 20);
  return (
    `${mebibytes} MiB that ${rule} asks for are kept for the delayed copy ${name}; ` +
    `they go all the same as soon as less than ${freeBytesLow / 2 ** 20} MiB are free`
  );
}

function lagOf({ timeline, position }: CopyFacts, place: JournalPlace): number | null {
  if (position === null || place.durable === null || timeline !== place.timeline) return null;
  return Math.max(0, Number(place.durable) - Number(position.split(':')[1]));
}
