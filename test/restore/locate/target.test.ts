// The grammar of targets: a table of what is read and what is refused, and properties over zones with every kind of
// clock change. The reference for zones is Intl, which the code under test reaches by another way (Temporal).
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { CoverageError, JournalError, UsageError } from '../../../src/core/errors.ts';
import { formatInstant } from '../../../src/core/instant.ts';
import { describeInstant } from '../../../src/restore/locate/instant.ts';
import { parseTarget, type Target } from '../../../src/restore/locate/target.ts';

const now = micros('2026-11-22T20:30:00Z');
const id = '3fa9c1d2e4b5a6978877665544332211ffeeddcc';

/** An hour, half an hour, two hours, a whole day, in summer or winter, or no change at all. */
const zones = [
  'Europe/Madrid',
  'Europe/London',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'Africa/Casablanca',
  'Antarctica/Troll',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Chatham',
];

function micros(iso: string, extra = 0): number {
  return Date.parse(iso) * 1000 + extra;
}

function parse(text: string, zone?: string): Target {
  return parseTarget(text, { now, zone });
}

function timeOf(text: string, zone?: string): number {
  const target = parse(text, zone);
  if (target.kind !== 'time') throw new Error(`${text} was read as ${target.kind}`);
  return target.at;
}

function refusal(text: string, zone?: string): JournalError {
  try {
    parse(text, zone);
  } catch (error) {
    if (error instanceof JournalError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('times', () => {
  test.each<[string, number]>([
    ['2026-11-20T14:30:05Z', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20t14:30:05z', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20T14:30:05.2Z', micros('2026-11-20T14:30:05.200Z')],
    ['2026-11-20T14:30:05.250001Z', micros('2026-11-20T14:30:05.250Z', 1)],
    ['2026-11-20T14:30:05.000009Z', micros('2026-11-20T14:30:05Z', 9)],
    ['2026-11-20T15:30:05+01:00', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20T09:00:05.5-05:30', micros('2026-11-20T14:30:05.500Z')],
    ['2026-11-20T14:30:05-00:00', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 14:30:05Z', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 14:30:05 UTC', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 14:30:05 utc', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 14:30:05 Z', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 14:30:05 GMT', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 15:30:05 Europe/Madrid', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 15:30:05.123456 europe/madrid', micros('2026-11-20T14:30:05.123Z', 456)],
    ['2026-07-20 15:30:05 Europe/Madrid', micros('2026-07-20T13:30:05Z')],
    ['2026-11-20T15:30:05 Europe/Madrid', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 11:30:05 America/Argentina/Buenos_Aires', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 09:30:05 Etc/GMT+5', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 23:30:05 Japan', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 15:30:05 +01:00', micros('2026-11-20T14:30:05Z')],
    ['2026-11-20 15:30:05+01:00', micros('2026-11-20T14:30:05Z')],
    ['2028-02-29T00:00:00Z', micros('2028-02-29T00:00:00Z')],
    ['2099-01-01T00:00:00Z', micros('2099-01-01T00:00:00Z')],
    ['1970-01-01T00:00:00Z', 0],
    ['2255-06-05T23:47:34.740991Z', Number.MAX_SAFE_INTEGER],
    ['@1795185005', micros('2026-11-20T14:30:05Z')],
    ['@1795185005.25', micros('2026-11-20T14:30:05.250Z')],
    ['@1795185005.000001', micros('2026-11-20T14:30:05Z', 1)],
    ['@0', 0],
    ['-15m', now - 900e6],
    ['-90s', now - 90e6],
    ['-2h', now - 7200e6],
    ['-1d', now - 86_400e6],
    ['-1h30m', now - 5400e6],
    ['-1d2h3m4s', now - 93_784e6],
    ['-0s', now],
  ])('%s', (text, at) => {
    expect(parse(text)).toEqual({ kind: 'time', at });
    // Neither the form nor the configured zone changes what an explicit target means.
    expect(parse(text, 'America/New_York')).toEqual({ kind: 'time', at });
  });

  test('a bare second means its first microsecond', () => {
    expect(timeOf('2026-11-20T14:30:05Z')).toBe(timeOf('2026-11-20T14:30:05.000000Z'));
    expect(timeOf('@1795185005')).toBe(timeOf('@1795185005.000000'));
  });

  test('a time without a zone is read in the configured one', () => {
    expect(timeOf('2026-11-20 15:30:05', 'Europe/Madrid')).toBe(micros('2026-11-20T14:30:05Z'));
    expect(timeOf('2026-11-20T15:30:05', 'Europe/Madrid')).toBe(micros('2026-11-20T14:30:05Z'));
    expect(timeOf('2026-11-20 14:30:05', 'UTC')).toBe(micros('2026-11-20T14:30:05Z'));
    expect(timeOf('2026-11-20 15:30:05', '+01:00')).toBe(micros('2026-11-20T14:30:05Z'));
  });

  test.each(['2026-11-20 14:30:05', '2026-11-20T14:30:05', '2026-11-20 14:30:05.25'])(
    'without a configured zone, %s is refused with the same text and a zone as the hint',
    (text) => {
      const error = refusal(text);
      expect(error).toBeInstanceOf(UsageError);
      expect(error.exitCode).toBe(2);
      expect(error.code).toBe('zone-missing');
      expect(error.hint).toContain(`${text} UTC`);
      expect(parse(`${text} UTC`).kind).toBe('time');
    },
  );
});

describe('latest, positions and marks', () => {
  test.each<[string, Target]>([
    ['latest', { kind: 'latest' }],
    [`${id}:123456`, { kind: 'position', idPrefix: id, offset: 123_456 }],
    ['3fa9:0', { kind: 'position', idPrefix: '3fa9', offset: 0 }],
    ['3FA9C:0042', { kind: 'position', idPrefix: '3fa9c', offset: 42 }],
    ['2026:1120', { kind: 'position', idPrefix: '2026', offset: 1120 }],
    ['3fa9:9007199254740991', { kind: 'position', idPrefix: '3fa9', offset: Number.MAX_SAFE_INTEGER }],
    ['mark:before-deploy-812', { kind: 'mark', name: 'before-deploy-812' }],
    ['mark:latest', { kind: 'mark', name: 'latest' }],
    ['mark:a:b c/ü', { kind: 'mark', name: 'a:b c/ü' }],
    [`mark:${'🦆'.repeat(128)}`, { kind: 'mark', name: '🦆'.repeat(128) }],
  ])('%s', (text, target) => {
    expect(parse(text)).toEqual(target);
  });
});

describe('refused, exit 2', () => {
  test.each<[string, string, RegExp]>([
    ['a day that no calendar has', '2026-02-30T00:00:00Z', /no 2026-02-30/],
    ['February 29 of a common year', '2027-02-29 10:00:00 UTC', /no 2027-02-29/],
    ['month 13', '2026-13-01T00:00:00Z', /no 2026-13-01/],
    ['month 0', '2026-00-10T00:00:00Z', /no 2026-00-10/],
    ['day 0', '2026-01-00T00:00:00Z', /no 2026-01-00/],
    ['hour 24', '2026-01-01T24:00:00Z', /no clock shows 24:00:00/],
    ['minute 60', '2026-01-01T10:60:00Z', /no clock shows/],
    ['second 61', '2026-01-01T10:00:61Z', /no clock shows/],
    ['a leap second', '2016-12-31T23:59:60Z', /leap second/],
    ['nanoseconds', '2026-11-20T14:30:05.123456789Z', /write '2026-11-20T14:30:05\.123456Z'/],
    ['nanoseconds since the epoch', '@1795185005.1234567', /write '@1795185005\.123456'/],
    ['milliseconds for seconds', '@1795185005250', /write @1795185005\.250/],
    ['microseconds for seconds', '@1795185005250001', /write @1795185005\.250001/],
    ['a time before the epoch', '1969-12-31T23:59:59Z', /1970/],
    ['a year of the first century', '0026-11-20T14:30:05Z', /1970/],
    ['a time beyond the last microsecond that counts', '2255-06-05T23:47:34.740992Z', /2255/],
    ['year 9999', '9999-12-31 23:59:59 Asia/Tokyo', /2255/],
    ['a distance beyond the epoch', '-9999999d', /1970/],
    ['a distance beyond all numbers', `-${'9'.repeat(400)}d`, /1970/],
    ['an abbreviation', '2026-07-20 14:30:05 EDT', /Europe\/Madrid/],
    ['an abbreviation that the database has', '2026-07-20 14:30:05 EST', /Europe\/Madrid/],
    ['the same in lower case', '2026-07-20 14:30:05 est', /Europe\/Madrid/],
    ['a city without its continent', '2026-07-20 14:30:05 Madrid', /Europe\/Madrid/],
    ['an offset without a colon', '2026-07-20 14:30:05 +0100', /\+01:00/],
    ['an offset of a day', '2026-07-20 14:30:05 +24:00', /\+01:00/],
    ['an offset with a name', '2026-07-20 14:30:05 UTC+1', /\+01:00/],
    ['a zone that is a timestamp', '2026-07-20 14:30:05 2020-01-01T00:00Z[Europe/Madrid]', /IANA/],
    ['the zone of the machine', '2026-07-20 14:30:05 localtime', /IANA/],
    ['two zones', '2026-07-20T14:30:05Z Europe/Madrid', /YYYY/],
    ['a bracketed zone', '2026-07-20T14:30:05+02:00[Europe/Madrid]', /YYYY/],
    ['a date alone', '2026-07-20', /YYYY/],
    ['a time without seconds', '2026-07-20 14:30 UTC', /YYYY/],
    ['a decimal comma', '2026-07-20T14:30:05,5Z', /YYYY/],
    ['a point without digits', '2026-07-20T14:30:05.Z', /YYYY/],
    ['two spaces', '2026-07-20  14:30:05 UTC', /YYYY/],
    ['a year of five digits', '12026-07-20T14:30:05Z', /a target is/],
    ['a signed year', '+002026-07-20T14:30:05Z', /a target is/],
    ['a time of day alone', '14:30:05', /a time needs its date/],
    ['hours and minutes alone', '14:30', /a time needs its date/],
    ['a word', 'yesterday', /a target is/],
    ['latest in capitals', 'LATEST', /a target is/],
    ['nothing', '', /a target is/],
    ['a space', ' latest', /a target is/],
    ['a distance ahead', '+15m', /a target is/],
    ['a distance without a unit', '-15', /a target is/],
    ['units in the wrong order', '-30m1h', /a target is/],
    ['a fraction of an hour', '-1.5h', /a target is/],
    ['a month', '-1M', /a target is/],
    ['a lone minus', '-', /a target is/],
    ['a unit without a number', '-m', /a target is/],
    ['a negative epoch', '@-1', /a target is/],
    ['an exponent', '@1e9', /a target is/],
    ['a lone @', '@', /a target is/],
    ['a prefix of three digits', '3fa:1', /hex digits/],
    ['an id of 41 digits', `${id}0:1`, /hex digits/],
    ['an offset beyond 2^53', '3fa9:9007199254740992', /9007199254740991/],
    ['a negative offset', '3fa9:-1', /a target is/],
    ['a hex offset', '3fa9:0x10', /a target is/],
    ['an id without offset', '3fa9:', /a target is/],
    ['an id that is not hex', 'xyz1:10', /a target is/],
    ['a mark without a name', 'mark:', /mark:NAME/],
    ['a mark of 129 characters', `mark:${'a'.repeat(129)}`, /128/],
    ['a mark with a line feed', 'mark:a\nb', /printable/],
    ['a mark with half a character', 'mark:\ud83e', /printable/],
    ['NUL behind a valid target', 'latest\0', /a target is/],
    ['NUL in a zone', '2026-07-20 14:30:05 Europe/Madrid\0', /IANA/],
    ['a line feed behind a time', '2026-07-20T14:30:05Z\n', /YYYY/],
    ['Arabic digits', '٢٠٢٦-07-20T14:30:05Z', /a target is/],
    ['full-width digits', '2026-07-20T１4:30:05Z', /YYYY/],
    ['full-width digits since the epoch', '@１７９５１８５００５', /a target is/],
    ['a Unicode minus', '−15m', /a target is/],
    ['a no-break space', '2026-07-20\u00a014:30:05 UTC', /YYYY/],
    ['a megabyte', '9'.repeat(1 << 20), /a target is/],
    ['a megabyte of zone', `2026-07-20 14:30:05 ${'A/'.repeat(1 << 19)}`, /a target is/],
    ['a long zone', `2026-07-20 14:30:05 ${'A/'.repeat(200)}`, /IANA/],
  ])('%s', (_, text, hint) => {
    const error = refusal(text);
    expect(error).toBeInstanceOf(UsageError);
    expect(error.exitCode).toBe(2);
    expect(error.hint).toMatch(hint);
  });

  test('a time of day, with that time of today as a target', () => {
    const hintOf = (text: string, zone?: string): string => {
      try {
        parse(text, zone);
      } catch (error) {
        if (error instanceof UsageError) return error.hint ?? '';
      }
      throw new Error(`${text} was not refused`);
    };
    expect(hintOf('15:19')).toContain("'2026-11-22 15:19:00 UTC', or with the zone that is meant");
    expect(hintOf('9:05:07.25Z')).toContain("'2026-11-22 09:05:07.25 UTC'");
    // It is tomorrow there.
    expect(hintOf('15:19', 'Asia/Kathmandu')).toContain("'2026-11-23 15:19:00' (Asia/Kathmandu)");
    expect(timeOf('2026-11-22 15:19:00 UTC')).toBe(micros('2026-11-22T15:19:00Z'));
  });

  test('a configured zone that does not exist', () => {
    expect(refusal('2026-07-20 14:30:05', 'Europe/Atlantis').message).toBe("unknown zone 'Europe/Atlantis'");
    expect(refusal('2026-07-20 14:30:05', '').exitCode).toBe(2);
  });

  test('messages are one short printable line, whatever was typed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        let message = '';
        try {
          parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          message = (error as UsageError).message;
        }
        expect(message).not.toMatch(/\p{C}/u);
        expect(message.length).toBeLessThan(1000);
      }),
    );
  });

  test('no text near the grammar gets anything but a target or a refusal', () => {
    const pieces = ['2026', '-', '11', '20', 'T', ':', '14', '.', 'Z', ' ', '+01:00', 'UTC', 'Europe/Madrid', '@', 'm'];
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...pieces, 'latest', 'mark:', 'ffff:', 'd', '0'), { maxLength: 14 }),
        (list) => {
          try {
            const target = parse(list.join(''));
            if (target.kind === 'time') expect(Number.isSafeInteger(target.at)).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(JournalError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('clock changes, exit 5', () => {
  test.each<[string, string, string, string, string]>([
    ['twice', '2026-10-25 02:30:00', 'Europe/Madrid', '2026-10-25T00:30:00.000Z', '2026-10-25T01:30:00.000Z'],
    ['twice', '2026-10-25 02:00:00', 'Europe/Madrid', '2026-10-25T00:00:00.000Z', '2026-10-25T01:00:00.000Z'],
    [
      'twice',
      '2026-10-25 02:59:59.999999',
      'Europe/Madrid',
      '2026-10-25T00:59:59.999999Z',
      '2026-10-25T01:59:59.999999Z',
    ],
    ['twice', '2026-11-01 01:30:00.25', 'America/New_York', '2026-11-01T05:30:00.250Z', '2026-11-01T06:30:00.250Z'],
    ['twice', '2026-04-05 01:45:00', 'Australia/Lord_Howe', '2026-04-04T14:45:00.000Z', '2026-04-04T15:15:00.000Z'],
    ['never', '2026-03-29 02:30:00', 'Europe/Madrid', '2026-03-29T00:30:00.000Z', '2026-03-29T01:30:00.000Z'],
    ['never', '2026-03-29 02:00:00', 'Europe/Madrid', '2026-03-29T00:00:00.000Z', '2026-03-29T01:00:00.000Z'],
    ['never', '2011-12-30 12:00:00', 'Pacific/Apia', '2011-12-29T22:00:00.000Z', '2011-12-30T22:00:00.000Z'],
  ])('comes %s: %s %s', (how, local, zone, earlier, later) => {
    for (const error of [refusal(`${local} ${zone}`), refusal(local, zone)]) {
      expect(error).toBeInstanceOf(CoverageError);
      expect(error.exitCode).toBe(5);
      expect(error.code).toBe(how === 'twice' ? 'time-ambiguous' : 'time-nonexistent');
      for (const candidate of [earlier, later]) {
        expect(error.message).toContain(candidate);
        expect(error.hint).toContain(candidate);
      }
    }
  });

  test.each([
    ['2026-10-25 01:59:59.999999 Europe/Madrid', micros('2026-10-24T23:59:59.999Z', 999)],
    ['2026-10-25 03:00:00 Europe/Madrid', micros('2026-10-25T02:00:00Z')],
    ['2026-03-29 01:59:59.999999 Europe/Madrid', micros('2026-03-29T00:59:59.999Z', 999)],
    ['2026-03-29 03:00:00 Europe/Madrid', micros('2026-03-29T01:00:00Z')],
  ])('the neighbours have one meaning: %s', (text, at) => {
    expect(timeOf(text)).toBe(at);
  });

  test('the instant in the hint is a target that is accepted', () => {
    const hint = refusal('2026-10-25 02:30:00 Europe/Madrid').hint ?? '';
    expect([...hint.matchAll(/\S+Z/g)].map(([text]) => timeOf(text))).toEqual([
      micros('2026-10-25T00:30:00Z'),
      micros('2026-10-25T01:30:00Z'),
    ]);
  });
});

describe('over zones and clock changes', () => {
  const machineZone = process.env.TZ;
  afterEach(() => {
    if (machineZone === undefined) delete process.env.TZ;
    else process.env.TZ = machineZone;
  });

  const formats = new Map<string, Intl.DateTimeFormat>();
  function makeFormat(zone: string): Intl.DateTimeFormat {
    const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' });
    formats.set(zone, format);
    return format;
  }

  /** What a clock in the zone shows, by Intl. */
  function wallClock(at: number, zone: string): string {
    const format = formats.get(zone) ?? makeFormat(zone);
    const fraction = String(((at % 1e6) + 1e6) % 1e6).padStart(6, '0');
    return `${format.format(Math.floor(at / 1e6) * 1000)}.${fraction}`;
  }

  /** Half of the instants lie within hours of a clock change of some zone of the list. */
  const instants = fc.oneof(
    fc.integer({ min: micros('1973-01-01T00:00:00Z'), max: micros('2090-01-01T00:00:00Z') }),
    fc
      .record({
        change: fc.constantFrom(
          '2026-03-29T01:00:00Z',
          '2026-10-25T01:00:00Z',
          '2026-03-08T07:00:00Z',
          '2026-11-01T06:00:00Z',
          '2018-11-04T03:00:00Z',
          '2019-02-17T02:00:00Z',
          '2026-04-04T15:00:00Z',
          '2026-10-03T15:30:00Z',
          '2011-12-30T10:00:00Z',
          '2022-09-20T20:30:00Z',
          '2026-02-15T02:00:00Z',
          '2026-03-22T02:00:00Z',
        ),
        away: fc.integer({ min: -3 * 3600e6, max: 3 * 3600e6 }),
      })
      .map(({ change, away }) => micros(change) + away),
  );

  test('what a clock shows is read back as that instant, or refused with that instant among the candidates', () => {
    const seen = { once: 0, twice: 0 };
    fc.assert(
      fc.property(instants, fc.constantFrom(...zones), (at, zone) => {
        const text = `${wallClock(at, zone)} ${zone}`;
        try {
          expect(timeOf(text)).toBe(at);
          seen.once += 1;
        } catch (error) {
          if (!(error instanceof CoverageError)) throw error;
          expect(error.code).toBe('time-ambiguous');
          expect(error.message).toContain(formatInstant(at).replace(/000Z$/, 'Z'));
          seen.twice += 1;
        }
      }),
      { numRuns: 3000 },
    );
    expect(seen.once).toBeGreaterThan(1000);
    expect(seen.twice).toBeGreaterThan(0);
  });

  test('a local time is accepted when its zone shows it once, ambiguous when twice, nonexistent when never', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(instants, fc.constantFrom(...zones), (local, zone) => {
        const text = formatInstant(local).slice(0, 26).replace('T', ' ');
        const around = [-24, -12, 0, 12, 24].map((hours) => offsetOf(local + hours * 3600e6, zone));
        const readings = [...new Set(around.map((offset) => local - offset))].filter(
          (at) => wallClock(at, zone) === text,
        );
        try {
          expect([timeOf(`${text} ${zone}`)]).toEqual(readings);
        } catch (error) {
          if (!(error instanceof CoverageError)) throw error;
          expect(readings).toHaveLength(error.code === 'time-ambiguous' ? 2 : 0);
          seen.add(error.code);
        }
      }),
      { numRuns: 3000 },
    );
    expect([...seen].sort()).toEqual(['time-ambiguous', 'time-nonexistent']);
  });

  function offsetOf(at: number, zone: string): number {
    return micros(`${wallClock(at, zone).slice(0, 19).replace(' ', 'T')}Z`) - Math.floor(at / 1e6) * 1e6;
  }

  test('RFC 3339 in UTC and with every offset is the inverse of formatInstant', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 52 }), fc.integer({ min: -1439, max: 1439 }), (at, minutes) => {
        expect(timeOf(formatInstant(at))).toBe(at);
        const sign = minutes < 0 ? '-' : '+';
        const [hour, minute] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
        const offset = `${sign}${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
        const local = at + minutes * 60e6;
        fc.pre(local >= 0);
        expect(timeOf(formatInstant(local).replace('Z', offset))).toBe(at);
        expect(timeOf(`@${Math.floor(at / 1e6)}.${String(at % 1e6).padStart(6, '0')}`)).toBe(at);
      }),
    );
  });

  test('the echo in the configured zone is a target for the same instant', () => {
    fc.assert(
      fc.property(instants, fc.constantFrom(...zones, 'UTC', '+05:30', '-00:30'), (at, zone) => {
        const { utc, local = '' } = describeInstant(at, { zone, now });
        expect(timeOf(utc)).toBe(at);
        expect(timeOf(local.replace(/ \(.*$/, ''))).toBe(at);
      }),
    );
  });

  test('the zone of the machine changes nothing', () => {
    const texts = [
      '2026-11-20 15:30:05 Europe/Madrid',
      '2026-03-29T02:30:00Z',
      '2026-03-08 02:30:00 UTC',
      '@1795185005.25',
      '-1d',
    ];
    const answers = (): unknown => [
      texts.map((text) => parse(text)),
      texts.map((text) => describeInstant(timeOf(text), { zone: 'Asia/Kathmandu', now })),
      refusal('2026-11-20 15:30:05').code,
      refusal('2026-10-25 02:30:00 Europe/Madrid').message,
    ];
    process.env.TZ = 'UTC';
    const expected = answers();
    const offsets = new Set([new Date(now / 1000).getTimezoneOffset()]);
    for (const zone of ['America/New_York', 'Europe/Madrid', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Apia']) {
      process.env.TZ = zone;
      offsets.add(new Date(now / 1000).getTimezoneOffset());
      expect(answers(), zone).toEqual(expected);
    }
    // The machine's zone really did change.
    expect(offsets.size).toBe(6);
  });
});

describe('describeInstant', () => {
  const at = micros('2026-11-20T14:30:05.250Z');

  test('in UTC, in the configured zone, and from now', () => {
    expect(describeInstant(at, { zone: 'Europe/Madrid', now })).toEqual({
      utc: '2026-11-20T14:30:05.250Z',
      local: '2026-11-20 15:30:05.250+01:00 (Europe/Madrid)',
      relative: '2 d 5 h ago',
    });
    expect(describeInstant(at + 1, { zone: '-05:30', now }).local).toBe('2026-11-20 09:00:05.250001-05:30');
    expect(describeInstant(at, { zone: undefined, now })).not.toHaveProperty('local');
  });

  test.each([
    [0, 'now'],
    [-999, 'now'],
    [-1000, '1 ms ago'],
    [250_000, 'in 250 ms'],
    [3e6, 'in 3 s'],
    [-59.9e6, '59 s ago'],
    [-90e6, '1 min 30 s ago'],
    [-900e6, '15 min ago'],
    [-3600e6, '1 h ago'],
    [-3661e6, '1 h 1 min ago'],
    [-3601e6, '1 h ago'],
    [-54 * 3600e6, '2 d 6 h ago'],
    [-86_400e6, '1 d ago'],
    [1000 * 86_400e6, 'in 1000 d'],
  ])('%d µs from now is %s', (distance, relative) => {
    expect(describeInstant(now + distance, { zone: undefined, now }).relative).toBe(relative);
  });
});
