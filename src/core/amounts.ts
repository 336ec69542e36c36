/** Amounts as people write them in settings: a number, up to three digits behind its point, and a unit. */
import type { Micros } from './clock.ts';

type Units = Readonly<Record<string, number>>;

export const secondsPerUnit: Units = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const bytesPerUnit: Units = { MB: 1e6, GB: 1e9, TB: 1e12, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** `7d`, `1.5h`; undefined for anything else. */
export function parseDuration(text: string): Micros | undefined {
  const seconds = parseAmount(text, secondsPerUnit);
  return seconds === undefined ? undefined : Math.round(seconds * 1e6);
}

/** `200GB`, `1.5TiB`, in bytes; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const bytes = parseAmount(text, bytesPerUnit);
  return bytes === undefined ? undefined : Math.round(bytes);
}

function parseAmount(text: string, units: Units): number | undefined {
  const [, digits = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?) ?([A-Za-z]{1,3})$/.exec(text) ?? [];
  const one = units[unit];
  return one === undefined ? undefined : Number(digits) * one;
}
