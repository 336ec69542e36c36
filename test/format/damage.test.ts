// Every vector split at every byte and damaged in every byte: what is cut short is torn, what is changed is refused, and
// nothing is ever mistaken for something else.
//
// One answer is less sharp than one would wish, and cannot be sharper: a document whose length field was damaged upwards
// asks for bytes that are not there, which is what a torn one does too. Where the file goes on, it is corrupt.
import { describe, expect, test } from 'vitest';
import { decodeDocument, documentLength } from '../../journal-format/document.ts';
import { FormatError } from '../../journal-format/errors.ts';
import type { FormatErrorKind } from '../../journal-format/errors.ts';
import { decodeFooter } from '../../journal-format/footer.ts';
import { checkFrameBody, decodeFrameHeader, findFrame, frameHeaderBytes } from '../../journal-format/frame.ts';
import { decodeBlock, decodeTrailer, trailerBytes } from '../../journal-format/sealed.ts';
import { decodeSegmentHeader } from '../../journal-format/segment-header.ts';
import { describeVector } from './vectors/describe.ts';
import { vector, vectorNames } from './golden.ts';

const documents = vectorNames.filter((name) => name.startsWith('document-'));
const frames = vectorNames.filter((name) => name.startsWith('frame-') && !name.startsWith('frame-unknown-required'));

const sealed = ['sealed', 'sealed-filters'];

describe('a document', () => {
  test.each(documents)('%s is torn when cut anywhere', (name) => {
    const bytes = vector(name);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(
        refusal(() => decodeDocument(bytes.subarray(0, length))),
        `${length} bytes`,
      ).toBe('torn');
    }
    expect(documentLength(bytes.subarray(0, 16))).toBe(bytes.length);
  });

  test.each(documents)('%s is refused when any bit of it is flipped', (name) => {
    const bytes = vector(name);
    forEachFlip(bytes, (damaged, at) => {
      const kind = refusal(() => decodeDocument(damaged));
      const isLength = at >= 8 && at < 12;
      expect(isLength ? ['torn', 'corrupt'] : ['corrupt'], `byte ${at}`).toContain(kind);
    });
  });

  test('is corrupt when its length is damaged and the file goes on behind it', () => {
    const bytes = vector('document-stop');
    const longer = Buffer.concat([bytes, Buffer.alloc(0x1_0000, 0x2e)]);
    forEachFlip(longer.subarray(0, 10), (head) => {
      expect(refusal(() => decodeDocument(Buffer.concat([head, longer.subarray(10)])))).toBe('corrupt');
    });
  });

  test('is decoded the same with other bytes behind it', () => {
    const bytes = vector('document-gap');
    expect(decodeDocument(Buffer.concat([bytes, Buffer.from('JRNL')]))).toEqual(decodeDocument(bytes));
  });
});

describe('a frame', () => {
  test.each(frames)('of %s is torn when cut anywhere', (name) => {
    const { bytes, salt } = frameOf(name);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(
        refusal(() => checkFrame(bytes.subarray(0, length), salt)),
        `${length} bytes`,
      ).toBe('torn');
    }
    expect(() => checkFrame(bytes, salt)).not.toThrow();
  });

  test.each(frames)('of %s is corrupt when any bit of it is flipped', (name) => {
    const { bytes, salt } = frameOf(name);
    forEachFlip(bytes, (damaged, at) => {
      expect(
        refusal(() => checkFrame(damaged, salt)),
        `byte ${at}`,
      ).toBe('corrupt');
    });
  });

  test('is corrupt under any other salt, so that stale and forged bytes are not frames', () => {
    const { bytes, salt } = frameOf('frame-stream');
    for (let bit = 0; bit < 32; bit += 1) {
      const other = (salt ^ (1 << bit)) >>> 0;
      expect(refusal(() => decodeFrameHeader(bytes, 0, other))).toBe('corrupt');
      expect(findFrame(bytes, 0, other)).toBe(-1);
    }
  });

  test('is found wherever it begins, and nowhere else', () => {
    const { bytes, salt } = frameOf('frame-stream');
    const hay = Buffer.concat([
      Buffer.from('JFRMJFRM and JFR'),
      bytes,
      Buffer.from('JFRM'),
      bytes,
      bytes.subarray(0, 79),
    ]);
    const first = findFrame(hay, 0, salt);
    const second = findFrame(hay, first + 1, salt);
    expect([first, second, findFrame(hay, second + 1, salt)]).toEqual([16, 16 + bytes.length + 4, -1]);
  });
});

describe('an open segment', () => {
  test('ends at its last whole frame when cut anywhere, and its tail is torn or clean, never corrupt', () => {
    const bytes = vector('open');
    const ends = frameEnds(bytes);
    for (let length = documentLength(bytes) + 1; length < bytes.length; length += 1) {
      const position = ends.filter((end) => end <= length).at(-1);
      const state = position === length ? 'clean' : 'torn';
      expect(tailOf(bytes.subarray(0, length)), `${length} bytes`).toMatchObject({ position, state });
    }
  });

  test('ends before the frame whose bytes are damaged, and is corrupt unless that is the last one', () => {
    const bytes = vector('open');
    const ends = frameEnds(bytes);
    const last = ends.at(-2) ?? 0;
    forEachFlip(
      bytes,
      (damaged, at) => {
        const position = ends.filter((end) => end <= at).at(-1);
        expect(tailOf(damaged), `byte ${at}`).toMatchObject({ position, state: at < last ? 'corrupt' : 'torn' });
      },
      documentLength(bytes),
    );
  });
});

describe('a sealed segment', () => {
  test.each(sealed)('%s is corrupt when cut anywhere behind its header: it got its name when it was whole', (name) => {
    const bytes = vector(name);
    for (let length = documentLength(bytes) + 1; length < bytes.length; length += 1) {
      expect(describeVector(bytes.subarray(0, length)), `${length} bytes`).toEqual({ error: 'corrupt' });
    }
  });

  test.each(sealed)('%s is refused when any bit of it is flipped', (name) => {
    const bytes = vector(name);
    forEachFlip(bytes, (damaged, at) => {
      const { error } = describeVector(damaged) as { error?: string };
      expect(['torn', 'corrupt'], `byte ${at}`).toContain(error);
    });
  });

  test('has a trailer in which any flipped bit is found', () => {
    const bytes = vector('sealed');
    const trailer = bytes.subarray(-trailerBytes);
    forEachFlip(trailer, (damaged) => {
      expect(refusal(() => decodeTrailer(damaged, bytes.length))).toBe('corrupt');
    });
    for (let length = 0; length < trailerBytes; length += 1) {
      expect(refusal(() => decodeTrailer(trailer.subarray(0, length), bytes.length))).toBe('torn');
    }
    expect(refusal(() => decodeTrailer(trailer, bytes.length + 1))).toBe('corrupt');
  });

  test('has blocks in which any flipped bit is found before anything is decompressed', () => {
    const bytes = vector('sealed');
    const trailer = decodeTrailer(bytes.subarray(-trailerBytes), bytes.length);
    const { blocks } = decodeFooter(bytes.subarray(trailer.position)).record;
    for (const block of blocks) {
      const stored = bytes.subarray(block.position, block.position + block.storedLength);
      expect(decodeBlock(block, stored)).toHaveLength(block.rawLength);
      forEachFlip(stored, (damaged) => {
        expect(refusal(() => decodeBlock(block, damaged))).toBe('corrupt');
      });
      expect(refusal(() => decodeBlock(block, stored.subarray(1)))).toBe('torn');
    }
  });
});

/** Calls `visit` with a copy in which one bit of one byte is flipped: each byte, and over the bytes each bit. */
function forEachFlip(bytes: Buffer, visit: (damaged: Buffer, at: number) => void, from = 0): void {
  for (let at = from; at < bytes.length; at += 1) {
    for (const bit of [at % 8, (at + 3) % 8]) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << bit), at);
      visit(damaged, at);
    }
  }
}

function refusal(act: () => unknown): FormatErrorKind | 'accepted' {
  try {
    act();
    return 'accepted';
  } catch (error) {
    if (error instanceof FormatError) return error.kind;
    throw error;
  }
}

/** The first frame of a vector, and the salt of its segment. */
function frameOf(name: string): { bytes: Buffer; salt: number } {
  const segment = vector(name);
  const { length, record } = decodeSegmentHeader(segment);
  const header = decodeFrameHeader(segment, length, record.salt);
  return { bytes: segment.subarray(length, length + header.length), salt: record.salt };
}

function checkFrame(bytes: Buffer, salt: number): void {
  checkFrameBody(decodeFrameHeader(bytes, 0, salt), bytes.subarray(frameHeaderBytes), salt);
}

/** Where the header document ends, and each frame. */
function frameEnds(bytes: Buffer): number[] {
  const { record, length } = decodeSegmentHeader(bytes);
  const ends = [length];
  for (let at = length; at < bytes.length; ends.push(at)) at += decodeFrameHeader(bytes, at, record.salt).length;
  return ends;
}

function tailOf(bytes: Buffer): unknown {
  return (describeVector(bytes) as { tail: unknown }).tail;
}
