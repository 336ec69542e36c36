/**
 * The grammar of restore targets, what follows --at and --before:
 *
 *   2026-11-20T14:30:05.25Z · 2026-11-20T15:30:05+01:00          RFC 3339, up to microseconds
 *   2026-11-20 15:30:05 Europe/Madrid · … UTC · … +01:00         a local time and its zone
 *   2026-11-20 15:30:05                                          only where a zone is configured
 *   @1795185005.25                                               seconds since the epoch
 *   -15m · -1h30m · -2d                                          before now, of 24-hour days
 *   latest · <id>:<offset> · mark:NAME
 *
 * A text has one meaning or is refused: never the zone of this machine, never a date that doesn't exist, never one of
 * two instants that a clock showed alike. Whether the journal holds the target is not asked here.
 */
import { markNameCharactersMax } from '../../../journal-format/limits.ts';
import { secondsPerUnit } from '../../core/amounts.ts';
import type { Micros } from '../../core/clock.ts';
import { CoverageError, UsageError } from '../../core/errors.ts';
import { type Offset, parseOffset } from '../../core/position.ts';
import { describeInstant, formatInstantShort, type LocalReading, parseZone, quote, readLocal } from './instant.ts';

export type Target =
  | { readonly kind: 'time'; readonly at: Micros }
  | { readonly kind: 'latest' }
  | { readonly kind: 'position'; readonly idPrefix: string; readonly offset: Offset }
  | { readonly kind: 'mark'; readonly name: string };

export interface TargetContext {
  /** What relative targets count from. */
  readonly now: Micros;
  /** The configured zone, in which a time without one is read; undefined refuses such times. */
  readonly zone: string | undefined;
}

const microsPerSecond = 1_000_000;

/** Longer than every valid target. */
const targetLengthMax = 512;
const idPrefixLengthMin = 4;
const idLength = 40;

const grammarHint =
  "a target is a time such as '2026-11-20T14:30:05Z', '2026-11-20 14:30:05 Europe/Madrid' or @1795185005, " +
  'a distance back such as -15m, <replication id>:<offset>, mark:NAME, or latest';

export function parseTarget(text: string, context: TargetContext): Target {
  if (text.length > targetLengthMax) throw malformed(text, grammarHint, `a text of ${text.length} characters`);
  if (text === 'latest') return { kind: 'latest' };
  if (text.startsWith('mark:')) return { kind: 'mark', name: parseMarkName(text.slice('mark:'.length)) };
  if (/^\d{1,2}:\d\d(?!\d)/.test(text)) throw withoutDate(text, context);
  const parsed = parsePosition(text);
  if (parsed !== undefined) return parsed;
  const at = parseEpoch(text) ?? parseDistance(text, context.now) ?? parseDateTime(text, context.zone);
  if (at === undefined) throw malformed(text, grammarHint);
  return { kind: 'time', at: inRange(at, text) };
}

function parseMarkName(name: string): string {
  const length = Array.from(name).length;
  if (length === 0) throw new UsageError('bad-target', 'mark: without a name', { hint: 'write mark:NAME' });
  // \p{Cs}: half a surrogate pair has no bytes in UTF-8, so no stored name can contain it.
  if (length > markNameCharactersMax || /[\p{Cc}\p{Cs}]/u.test(name)) {
    throw malformed(
      `mark:${name}`,
      `the name of a mark has at most ${markNameCharactersMax} characters, all printable`,
    );
  }
  return name;
}

function parsePosition(text: string): Target | undefined {
  const match = /^([0-9a-f]+):(\d+)$/i.exec(text);
  if (match === null) return undefined;
  const [, idPrefix = '', digits = ''] = match;
  if (idPrefix.length < idPrefixLengthMin || idPrefix.length > idLength) {
    throw malformed(
      text,
      `a position is ${idPrefixLengthMin} to ${idLength} hex digits of a replication id, ':', offset`,
    );
  }
  const offset = parseOffset(digits.replace(/^0+(?=\d)/, ''));
  if (offset === undefined) throw malformed(text, 'offsets go up to 9007199254740991');
  return { kind: 'position', idPrefix: idPrefix.toLowerCase(), offset };
}

function parseEpoch(text: string): Micros | undefined {
  const match = /^@(\d+)(?:\.(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [, seconds = '', fraction = ''] = match;
  // 13, 16 and 19 digits are this century in milli-, micro- and nanoseconds.
  if (fraction === '' && /^\d{13}(\d{3}){0,2}$/.test(seconds)) {
    throw malformed(text, `@ takes seconds: write @${seconds.slice(0, 10)}.${seconds.slice(10, 16)}`);
  }
  return Number(seconds) * microsPerSecond + parseFraction(fraction, text);
}

function parseDistance(text: string, now: Micros): Micros | undefined {
  if (!/^-(?=\d)(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, count = '', unit = ''] of text.matchAll(/(\d+)([dhms])/g)) {
    seconds += Number(count) * (secondsPerUnit[unit] ?? 0);
  }
  return now - seconds * microsPerSecond;
}

function parseDateTime(text: string, configuredZone: string | undefined): Micros | undefined {
  if (!/^\d{4}-/.test(text)) return undefined;
  const match = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(| [^ ]+|[Zz]|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) {
    throw malformed(
      text,
      'write a time as YYYY-MM-DD HH:MM:SS (seconds, too), a space and its zone, or as YYYY-MM-DDTHH:MM:SSZ',
    );
  }
  const [, date = '', time = '', fraction = '', zoneText = ''] = match;
  const local = parseCalendar(date, time, text) + parseFraction(fraction, text);
  if (zoneText === '' && configuredZone === undefined) {
    throw new UsageError('zone-missing', `${quote(text)} names no zone, and none is configured`, {
      hint: `write '${text} UTC', or the zone that is meant instead of UTC`,
    });
  }
  const zone = parseZone(zoneText === '' ? (configuredZone ?? '') : zoneText.trimStart());
  const zoneName = zone.kind === 'named' ? zone.name : zoneText;
  return singleInstant(readLocal(local, zone), `${date} ${time}`, zoneName);
}

/** A time of day is offered with the date of today, which is another one elsewhere: it is not guessed. */
function withoutDate(text: string, { now, zone }: TargetContext): UsageError {
  const [, hour = '', rest = '', second = ':00'] = /^(\d{1,2})(:\d\d)(:\d\d(?:\.\d+)?)?/.exec(text) ?? [];
  const today = describeInstant(now, { zone, now }).local?.slice(0, 10) ?? formatInstantShort(now).slice(0, 10);
  const suffix = zone === undefined ? ' UTC' : '';
  const example = `${today} ${hour.padStart(2, '0')}${rest}${second}${suffix}`;
  const meant = zone === undefined ? ', or with the zone that is meant instead of UTC' : ` (${zone})`;
  return malformed(text, `a time needs its date: of today that is '${example}'${meant}; -15m is 15 minutes ago`);
}

/** Counts a date and time as if it were UTC. Refuses what no calendar or clock shows. */
function parseCalendar(date: string, time: string, text: string): Micros {
  const [hour = 0, minute = 0, second = 0] = time.split(':').map(Number);
  if (second === 60) {
    throw malformed(text, 'leap seconds have no place in Unix time: write second 59, or the next minute');
  }
  if (hour > 23 || minute > 59 || second > 59) {
    throw malformed(text, `no clock shows ${time}: hours go to 23, minutes and seconds to 59`);
  }
  const local = Date.parse(`${date}T${time}Z`);
  // Engines differ in whether February 30 is refused or taken for March 2.
  if (Number.isNaN(local) || new Date(local).toISOString().slice(0, 10) !== date) {
    throw malformed(text, `the calendar has no ${date}`);
  }
  return local * 1000;
}

/** The digits behind the point, as microseconds. More than there are would have to be rounded, so they are refused. */
function parseFraction(digits: string, text: string): Micros {
  if (digits.length <= 6) return Number(digits.padEnd(6, '0'));
  const cut = text.replace(`.${digits}`, `.${digits.slice(0, 6)}`);
  throw malformed(text, `the journal counts microseconds, six digits of fraction: write ${quote(cut)}`);
}

function singleInstant(reading: LocalReading, local: string, zone: string): Micros {
  if (reading.kind === 'once') return reading.at;
  const candidates = [reading.earlier, reading.later].map(formatInstantShort);
  const hint = `write the instant that is meant: ${candidates.join(' or ')}`;
  if (reading.kind === 'twice') {
    const message = `${local} comes twice in ${zone}, at ${candidates.join(' and at ')}`;
    throw new CoverageError('time-ambiguous', message, { exitCode: 5, hint });
  }
  const message = `${local} is skipped by the clocks of ${zone}: it could mean ${candidates.join(' or ')}`;
  throw new CoverageError('time-nonexistent', message, { exitCode: 5, hint });
}

/** Instants are safe integers from the epoch on; beyond them microseconds would be lost. */
function inRange(at: Micros, text: string): Micros {
  if (Number.isSafeInteger(at) && at >= 0) return at;
  throw malformed(text, 'times go from 1970-01-01T00:00:00Z to 2255-06-05T23:47:34Z');
}

function malformed(text: string, hint: string, what = quote(text)): UsageError {
  return new UsageError('bad-target', `not a restore target: ${what}`, { hint });
}
