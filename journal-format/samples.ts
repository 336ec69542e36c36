/**
 * The meta of sample frames (SPEC.md 5, kind 3): pairs of the primary's clock and its offset, with our stamp of the
 * moment they arrived. They bound when bytes that were received late were really written.
 */
import { Leb128Reader, asBuffer, leb128Bytes, readUint64, writeLeb128, writeUint64 } from './bytes.ts';
import { FormatError } from './errors.ts';
import { frameMetaBytesMax } from './limits.ts';

export interface Sample {
  /** Our stamp when the reply arrived. */
  readonly stamp: number;
  /** The primary's clock, µs since the epoch. */
  readonly primaryTime: number;
  readonly primaryOffset: number;
  readonly roundTripMicros: number;
}

const sampleBytes = 28;

export function encodeSamples(samples: readonly Sample[]): Buffer {
  if (samples.length === 0) throw new RangeError('a sample frame holds at least one sample');
  const head = leb128Bytes(samples.length);
  const length = head + samples.length * sampleBytes;
  if (length > frameMetaBytesMax) throw new RangeError(`${samples.length} samples in a frame`);
  const meta = Buffer.allocUnsafe(length);
  let at = writeLeb128(meta, samples.length, 0);
  for (const sample of samples) {
    writeUint64(meta, sample.stamp, at);
    writeUint64(meta, sample.primaryTime, at + 8);
    writeUint64(meta, sample.primaryOffset, at + 16);
    meta.writeUInt32LE(sample.roundTripMicros, at + 24);
    at += sampleBytes;
  }
  return meta;
}

export function decodeSamples(meta: Uint8Array): Sample[] {
  const reader = new Leb128Reader(meta);
  const count = reader.next();
  if (count < 1 || count * sampleBytes !== reader.left) {
    throw new FormatError('corrupt', `${count} samples in ${meta.length} bytes`);
  }
  const bytes = asBuffer(meta);
  const samples: Sample[] = [];
  for (let at = reader.position; at < bytes.length; at += sampleBytes) {
    samples.push({
      stamp: readUint64(bytes, at),
      primaryTime: readUint64(bytes, at + 8),
      primaryOffset: readUint64(bytes, at + 16),
      roundTripMicros: bytes.readUInt32LE(at + 24),
    });
  }
  return samples;
}
