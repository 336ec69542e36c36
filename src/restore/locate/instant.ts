/**
 * Zones: which instants a local time can mean, and how an instant reads there and from now. The zone is always handed
 * in; the zone of this machine is never asked.
 *
 * A wall clock that is put back shows an hour twice, one that is put forward skips an hour. Both are told apart here
 * and decided nowhere: whoever asked says which instant is meant.
 */
import { Temporal } from 'temporal-polyfill';
import type { Micros } from '../../core/clock.ts';
import { UsageError } from '../../core/errors.ts';
import { formatInstant } from '../../core/instant.ts';

/** A zone with rules, by its IANA name; or a fixed offset from UTC. */
export type Zone =
  { readonly kind: 'named'; readonly name: string } | { readonly kind: 'offset'; readonly minutes: number };

/** What a local time means: one instant; two because it is shown twice; or none, between two that are candidates. */
export type LocalReading =
  | { readonly kind: 'once'; readonly at: Micros }
  | { readonly kind: 'twice'; readonly earlier: Micros; readonly later: Micros }
  | { readonly kind: 'never'; readonly earlier: Micros; readonly later: Micros };

export interface InstantDescription {
  /** RFC 3339 in UTC, with milliseconds, or microseconds where there are any. */
  readonly utc: string;
  /** The same in the configured zone, with its offset, and its name in brackets. Absent when no zone is configured. */
  readonly local?: string;
  /** `2 d 6 h ago`, `in 3 s`, `now`. */
  readonly relative: string;
}

const microsPerSecond = 1_000_000;
const microsPerMinute = 60 * microsPerSecond;

/** Longer than any zone's name, so that hostile text never reaches the zone database. */
const zoneLengthMax = 64;
const zoneHint = "name a zone by its IANA name, such as Europe/Madrid, or write 'UTC' or an offset such as +01:00";

/** An IANA name in any case, `UTC`, `Z`, or `+HH:MM`. */
export function parseZone(text: string): Zone {
  const offset = /^([+-])([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
  if (offset !== null) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return { kind: 'offset', minutes: offset[1] === '-' && minutes > 0 ? -minutes : minutes };
  }
  if (/^z$/i.test(text)) return { kind: 'offset', minutes: 0 };
  const name = zoneName(text);
  if (name === undefined) throw new UsageError('bad-zone', `unknown zone ${quote(text)}`, { hint: zoneHint });
  // What the database spells without any lower-case letter (EST, CET, EST5EDT) is an abbreviation: some are missing
  // (EDT), some mean other things elsewhere (IST, CST), and none says whether daylight saving is meant.
  if (!/[a-z]/.test(name) && name !== 'UTC' && name !== 'GMT') {
    throw new UsageError('bad-zone', `${quote(text)} is an abbreviation, not a zone`, { hint: zoneHint });
  }
  return { kind: 'named', name };
}

/** The name as the zone database spells it; undefined when it has no such zone. */
function zoneName(text: string): string | undefined {
  // The database also takes offsets and whole timestamps for zones: only what is shaped like a name goes there.
  if (text.length > zoneLengthMax || !/^[A-Za-z][\w+-]*(\/[\w+-]+)*$/.test(text)) return undefined;
  try {
    return new Temporal.ZonedDateTime(0n, text).timeZoneId;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Reads a local time in a zone. `local` is counted as if the clock on the wall showed UTC. */
export function readLocal(local: Micros, zone: Zone): LocalReading {
  if (zone.kind === 'offset') return { kind: 'once', at: local - zone.minutes * microsPerMinute };
  // Clocks are changed on whole seconds, so the fraction takes no part in the question.
  const seconds = Math.floor(local / microsPerSecond);
  const fraction = local - seconds * microsPerSecond;
  const wall = Temporal.Instant.fromEpochMilliseconds(seconds * 1000)
    .toZonedDateTimeISO('UTC')
    .toPlainDateTime();
  const first = wall.toZonedDateTime(zone.name, { disambiguation: 'earlier' });
  const second = wall.toZonedDateTime(zone.name, { disambiguation: 'later' });
  const earlier = first.epochMilliseconds * 1000 + fraction;
  const later = second.epochMilliseconds * 1000 + fraction;
  if (earlier === later) return { kind: 'once', at: earlier };
  return { kind: first.toPlainDateTime().equals(wall) ? 'twice' : 'never', earlier, later };
}

/** An instant three ways, for the echo of what a target was resolved to. */
export function describeInstant(
  at: Micros,
  context: { readonly zone: string | undefined; readonly now: Micros },
): InstantDescription {
  const utc = formatInstantShort(at);
  const relative = formatDistance(at - context.now);
  if (context.zone === undefined) return { utc, relative };
  return { utc, local: formatLocal(at, parseZone(context.zone)), relative };
}

/** Like formatInstant, but with three digits of fraction where the other three are zero. */
export function formatInstantShort(at: Micros): string {
  return formatInstant(at).replace(/000Z$/, 'Z');
}

/** `2026-11-20 15:30:05.000+01:00 (Europe/Madrid)`; what precedes the bracket is a target again. */
function formatLocal(at: Micros, zone: Zone): string {
  const { micros, text } = offsetAt(at, zone);
  const wall = formatInstantShort(at + micros).replace('T', ' ');
  return `${wall.slice(0, -1)}${text}${zone.kind === 'named' ? ` (${zone.name})` : ''}`;
}

function offsetAt(at: Micros, zone: Zone): { micros: Micros; text: string } {
  if (zone.kind === 'named') {
    // Floored, so that the last fraction of a second before a change of the clock lies before it.
    const there = Temporal.Instant.fromEpochMilliseconds(Math.floor(at / 1000)).toZonedDateTimeISO(zone.name);
    return { micros: there.offsetNanoseconds / 1000, text: there.offset };
  }
  const minutes = Math.abs(zone.minutes);
  const [hour, minute] = [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, '0'));
  return { micros: zone.minutes * microsPerMinute, text: `${zone.minutes < 0 ? '-' : '+'}${hour}:${minute}` };
}

/** The two largest units, rounded towards now: enough to notice the wrong day, month or direction. */
function formatDistance(distance: Micros): string {
  const milliseconds = Math.floor(Math.abs(distance) / 1000);
  if (milliseconds === 0) return 'now';
  const seconds = Math.floor(milliseconds / 1000);
  const units: (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const largest = units.findIndex(([count]) => count > 0);
  const shown = largest === -1 ? [[milliseconds, 'ms'] as const] : units.slice(largest, largest + 2);
  const text = shown.flatMap(([count, unit]) => (count > 0 ? [`${count} ${unit}`] : [])).join(' ');
  return distance < 0 ? `${text} ago` : `in ${text}`;
}

/** What a user typed, safe to print: invisible characters escaped, cut to one line. */
export function quote(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  const escaped = shown.replace(/\p{C}/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
  return `'${escaped}'`;
}
