/** The one way in which commands leave this program for a server: a RESP array of bulk strings. */

export function encodeCommand(...args: readonly (string | Uint8Array)[]): Buffer {
  const parts: (string | Uint8Array)[] = [`*${args.length}\r\n`];
  for (const arg of args) {
    const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg;
    parts.push(`$${bytes.length}\r\n`, bytes, '\r\n');
  }
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}
