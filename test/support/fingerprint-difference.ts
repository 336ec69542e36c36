// Why two fingerprints differ, in lines that name keys; and the comparisons that are fair where equality is too much:
// expiries to a tolerance (Redis before 7.0), and only what had not elapsed by a given time (two servers that were read
// at different moments, one of which has deleted by then what the other still held).
// Neighbours: fingerprint.ts. Invariant: no lines if and only if the datasets are equal in the sense asked for.
import type { Fingerprint, KeyFacts } from './fingerprint.ts';
import type { StreamFacts } from './rdb-stream.ts';

export interface DifferenceOptions {
  /** How far expiries of keys may be apart; by default 0, or 1000 ms where replicas compute their own. */
  readonly expiryToleranceMs?: number;
  /** Leaves out keys that had elapsed by then, or of which a field had: give a time after both were taken. */
  readonly elapsedAtMs?: number;
  readonly linesMax?: number;
}

/** One line for each difference; empty if there is none. */
export function explainDifference(a: Fingerprint, b: Fingerprint, options: DifferenceOptions = {}): string[] {
  const { elapsedAtMs, linesMax = 20 } = options;
  const inexactMs = a.expiriesExact && b.expiriesExact ? 0 : 1000;
  const toleranceMs = options.expiryToleranceMs ?? inexactMs;
  // Every server that knows them tells them exactly.
  const fieldToleranceMs = options.expiryToleranceMs ?? 0;
  const isAlive = (facts: KeyFacts): boolean => elapsedAtMs === undefined || !hasElapsed(facts, elapsedAtMs);
  const lines: string[] = [];
  for (const name of sortedUnion(a.keys, b.keys)) {
    const [left, right] = [a.keys.get(name), b.keys.get(name)];
    if (left !== undefined && right !== undefined) {
      if (isAlive(left) && isAlive(right)) lines.push(...compareKey(name, left, right, toleranceMs, fieldToleranceMs));
    } else if (left !== undefined) {
      if (isAlive(left)) lines.push(`${name}: only in the first`);
    } else if (right !== undefined && isAlive(right)) lines.push(`${name}: only in the second`);
  }
  for (const name of sortedUnion(a.functions, b.functions)) {
    const [left, right] = [a.functions.get(name), b.functions.get(name)];
    if (left !== right) lines.push(`function library ${name}: ${presence(left)} / ${presence(right)}`);
  }
  // Last, because alone it would mean that the parts overlook something.
  if (lines.length === 0 && elapsedAtMs === undefined && a.digest !== '' && b.digest !== '' && a.digest !== b.digest) {
    lines.push(`DEBUG DIGEST: ${a.digest} / ${b.digest}, although every part is equal`);
  }
  return shorten(lines, linesMax);
}

function compareKey(name: string, a: KeyFacts, b: KeyFacts, toleranceMs: number, fieldToleranceMs: number): string[] {
  const lines: string[] = [];
  if (a.valueDigest !== b.valueDigest) lines.push(`${name}: value ${a.valueDigest} / ${b.valueDigest}`);
  if (!isSameTime(a.expireMs, b.expireMs, toleranceMs)) {
    lines.push(`${name}: expires ${formatTime(a.expireMs)} / ${formatTime(b.expireMs)}`);
  }
  const [aFields, bFields] = [
    a.fieldExpiries ?? new Map<string, number>(),
    b.fieldExpiries ?? new Map<string, number>(),
  ];
  for (const field of sortedUnion(aFields, bFields)) {
    const [left, right] = [aFields.get(field) ?? null, bFields.get(field) ?? null];
    if (!isSameTime(left, right, fieldToleranceMs))
      lines.push(`${name}: field ${field} expires ${formatTime(left)} / ${formatTime(right)}`);
  }
  const [aStream, bStream] = [describeStream(a.stream, b.stream), describeStream(b.stream, a.stream)];
  if (aStream !== bStream) lines.push(`${name}: stream ${aStream} / ${bStream}`);
  return lines;
}

/** Without the counters that the other, of an older release, doesn't have or doesn't know exactly. */
function describeStream(stream: StreamFacts | undefined, other: StreamFacts | undefined): string {
  if (stream === undefined || other === undefined) return JSON.stringify(stream ?? null);
  const { maxDeletedId, entriesAdded, groups, ...rest } = stream;
  const isKnownToBoth = groups.every((group, index) => {
    return group.entriesRead === undefined || other.groups[index]?.entriesRead !== undefined;
  });
  const shown = isKnownToBoth ? groups : groups.map(({ entriesRead: _unknown, ...group }) => group);
  const counters = other.entriesAdded === undefined ? {} : { maxDeletedId, entriesAdded };
  return JSON.stringify({ ...rest, ...counters, groups: shown });
}

function hasElapsed(facts: KeyFacts, atMs: number): boolean {
  const times = [...(facts.fieldExpiries?.values() ?? [])];
  if (facts.expireMs !== null) times.push(facts.expireMs);
  return times.some((time) => time <= atMs);
}

function isSameTime(a: number | null, b: number | null, toleranceMs: number): boolean {
  if (a === null || b === null) return a === b;
  return Math.abs(a - b) <= toleranceMs;
}

function formatTime(time: number | null): string {
  return time === null ? 'never' : `${new Date(time).toISOString()} (${time})`;
}

function presence(source: string | undefined): string {
  return source === undefined ? 'absent' : JSON.stringify(source);
}

function sortedUnion(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort();
}

function shorten(lines: string[], linesMax: number): string[] {
  if (lines.length <= linesMax) return lines;
  return [...lines.slice(0, linesMax), `… and ${lines.length - linesMax} more`];
}
