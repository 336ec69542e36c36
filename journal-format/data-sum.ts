/**
 * Length and CRC-32 of a frame's data, taken part by part while the parts arrive: by the time a frame is formed they have
 * left the processor's cache. frame.ts joins it with that of the meta, which is known last and comes first.
 */
import { crc32 } from 'node:zlib';

export interface DataSum {
  readonly length: number;
  /** Unseeded. */
  readonly crc: number;
}

export const noData: DataSum = { length: 0, crc: 0 };

export function addToSum(sum: DataSum, part: Uint8Array): DataSum {
  return { length: sum.length + part.length, crc: crc32(part, sum.crc) };
}
