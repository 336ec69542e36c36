/**
 * Quantities for people: bytes, durations, offsets, and text from elsewhere made safe to print. Pure. JSON output never
 * goes through here.
 */

const byteUnits = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

/** `812 B`, `4.1 MB`, `67.1 MB`: powers of a thousand. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= (unit === 0 ? 1000 : 999.95) && unit < byteUnits.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? String(value) : value.toFixed(1)} ${byteUnits[unit] ?? ''}`;
}

/** The two largest units: `0.4 s`, `12 s`, `2 min 11 s`, `7 d 5 h`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const parts: (readonly [number, string])[] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(' ');
}

/** `88,120,554,871` */
export function formatCount(count: number | string): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `2026-11-20 14:30:05.412Z`: RFC 3339 to the millisecond, easier on the eye. */
export function formatTime(rfc3339: string): string {
  return rfc3339.replace('T', ' ').replace(/(\.\d{3})\d*Z$/, '$1Z');
}

/** Text that others wrote, on one line and without escape sequences. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}
