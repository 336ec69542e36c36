/**
 * Positions in a replication history: replication id, offset, and the pair. Printed and parsed here only.
 */

/** 40 lower-case hex digits that name a replication history. */
export type ReplicationId = string;

/**
 * A byte count in a replication stream: the offset of a byte, or of the last byte of something. A safe integer; larger
 * offsets are refused where they enter (SPEC.md 13).
 */
export type Offset = number;

export interface Position {
  readonly id: ReplicationId;
  readonly offset: Offset;
}

export const offsetMax: Offset = Number.MAX_SAFE_INTEGER;

export function isReplicationId(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/** Decimal digits only; undefined when malformed or beyond 2^53 − 1. */
export function parseOffset(text: string): Offset | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

export function formatPosition(position: Position): string {
  return `${position.id}:${position.offset}`;
}
