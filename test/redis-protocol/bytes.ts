// Small makers of protocol bytes for these tests, written without the code under test.

/** A command as a primary writes it. */
export function command(...args: (string | Buffer)[]): Buffer {
  const parts = args.map((arg) => {
    const bytes = Buffer.from(arg as string);
    return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
  });
  return Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...parts]);
}

/** The bytes one at a time. */
export function singleBytes(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]));
}

/** The bytes cut at every place in turn. */
export function splitsInTwo(bytes: Buffer): [Buffer, Buffer][] {
  return Array.from({ length: bytes.length + 1 }, (_, at) => [bytes.subarray(0, at), bytes.subarray(at)]);
}

/** The bytes cut into pieces of the given lengths, over and over. */
export function pieces(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const cut: Buffer[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const end = at + Math.max(1, lengths[i % lengths.length] ?? bytes.length);
    cut.push(bytes.subarray(at, end));
    at = end;
  }
  return cut;
}
