// What a boundary scanner must find, in the plainest way: the bytes so far as a whole, read from their beginning. Slow and
// short; the real scanner is compared with it.

export interface NaiveResult {
  boundary: number;
  boundaryDb: number;
  acksWanted: number;
  /** Offset of the first byte that no primary sends. */
  brokenAt: number | undefined;
}

interface Cursor {
  bytes: Buffer;
  at: number;
}

class Incomplete extends Error {}

class Broken extends Error {
  readonly index: number;

  constructor(index: number) {
    super();
    this.index = index;
  }
}

export function naiveScan(bytes: Buffer, start: { offset: number; db: number }): NaiveResult {
  const found: NaiveResult = { boundary: start.offset, boundaryDb: start.db, acksWanted: 0, brokenAt: undefined };
  let db = start.db;
  let inMulti = false;
  const cursor = { bytes, at: 0 };
  try {
    while (cursor.at < bytes.length) {
      const check = (args: Buffer[], count: number): void => {
        const complaint = complain(args, count, inMulti);
        if (complaint) throw new Broken(cursor.at - 1);
      };
      const args = takeCommand(cursor, check);
      const name = args[0]!.toString('latin1').toLowerCase();
      if (name === 'select') db = Number(args[1]!.toString());
      if (name === 'multi') inMulti = true;
      if (name === 'exec' || name === 'discard') inMulti = false;
      if (name === 'discard') db = found.boundaryDb;
      if (name === 'replconf' && args[1]?.toString('latin1').toLowerCase() === 'getack') found.acksWanted += 1;
      if (inMulti) continue;
      found.boundary = start.offset + cursor.at;
      found.boundaryDb = db;
    }
  } catch (error) {
    if (error instanceof Broken) found.brokenAt = start.offset + error.index + 1;
    else if (!(error instanceof Incomplete)) throw error;
  }
  return found;
}

/** Called as soon as an argument is complete, as a violation is one at its first wrong byte. */
function complain(args: Buffer[], count: number, inMulti: boolean): boolean {
  const name = args[0]!.toString('latin1').toLowerCase();
  if (args.length === 1) {
    if (name === 'select') return count !== 2;
    if (name === 'multi') return count !== 1 || inMulti;
    if (name === 'exec') return count !== 1;
    if (name === 'discard') return count !== 1 || !inMulti;
  }
  return args.length === 2 && name === 'select' && !/^\d{1,10}$/.test(args[1]!.toString('latin1'));
}

function takeCommand(cursor: Cursor, check: (args: Buffer[], count: number) => void): Buffer[] {
  const count = takeLine(cursor, '*', 64 * 1024 * 1024, 1);
  const args: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const length = takeLine(cursor, '$', 4 * 1024 * 1024 * 1024, 0);
    if (cursor.at + length > cursor.bytes.length) throw new Incomplete();
    args.push(cursor.bytes.subarray(cursor.at, cursor.at + length));
    cursor.at += length;
    expectByte(cursor, 13);
    expectByte(cursor, 10);
    check(args, count);
  }
  return args;
}

function takeLine(cursor: Cursor, type: string, max: number, min: number): number {
  expectByte(cursor, type.charCodeAt(0));
  let text = '';
  while (cursor.bytes[cursor.at] !== 13 || text === '') {
    const byte = cursor.bytes[cursor.at];
    if (byte === undefined) throw new Incomplete();
    text += String.fromCharCode(byte);
    if (!/^(0|[1-9]\d*)$/.test(text) || Number(text) > max) throw new Broken(cursor.at);
    cursor.at += 1;
  }
  cursor.at += 1;
  expectByte(cursor, 10);
  if (Number(text) < min) throw new Broken(cursor.at - 1);
  return Number(text);
}

function expectByte(cursor: Cursor, wanted: number): void {
  if (cursor.at >= cursor.bytes.length) throw new Incomplete();
  if (cursor.bytes[cursor.at] !== wanted) throw new Broken(cursor.at);
  cursor.at += 1;
}
