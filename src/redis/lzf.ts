/**
 * LZF, the compression inside RDB strings: only the reading half, for the few strings that are looked at (AUX fields; a
 * server compresses any string above 20 bytes where that saves something).
 */

/** Returns undefined where `bytes` do not make exactly `size` bytes. The caller bounds `size`. */
export function lzfDecompress(bytes: Uint8Array, size: number): Buffer | undefined {
  const out = Buffer.alloc(size);
  let to = 0;
  let at = 0;
  while (at < bytes.length) {
    const control = bytes[at++]!;
    if (control < 32) {
      const run = control + 1;
      if (at + run > bytes.length || to + run > size) return undefined;
      out.set(bytes.subarray(at, at + run), to);
      at += run;
      to += run;
      continue;
    }
    let length = (control >> 5) + 2;
    if (length === 9) length += bytes[at++] ?? 0;
    const from = to - ((control & 31) << 8) - (bytes[at++] ?? size) - 1;
    if (from < 0 || to + length > size) return undefined;
    // A copy may overlap what it writes, so byte by byte.
    for (let i = 0; i < length; i++) out[to + i] = out[from + i]!;
    to += length;
  }
  return to === size ? out : undefined;
}
