// What a journal sends over a link, taken in without a socket: the same however it is cut, nothing of it when it is altered, and
// of what a liar seals with right checksums only what makes sense in its order.
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeBase } from '../../journal-format/base.ts';
import { IntegrityError, LinkError } from '../../src/core/errors.ts';
import { LinkIntake } from '../../src/redis/link-intake.ts';
import type { Announced, LinkEvent } from '../../src/redis/link-intake.ts';
import { linkHeaderBytes } from '../../src/redis/link-frame.ts';
import { baseIdentity } from '../../src/redis/link-state.ts';
import { fakeId, smallRdb, streamCommand } from '../support/fake-primary.ts';
import {
  attachEntry,
  linkedRecord,
  linkStamp,
  LinkTalk,
  noteEntry,
  sampleEntry,
  streamEntry,
} from '../support/link-talk.ts';

const offset = 1000;
const chunk = 64;
const rdb = smallRdb(fakeId, offset);
const record = linkedRecord(rdb, fakeId, offset, chunk);
const base = { id: fakeId, offset };
const ping = streamCommand('PING');
const sample = { stamp: linkStamp + 9, primaryTime: linkStamp, primaryOffset: offset, roundTripMicros: 1 };

function conversation(held: number): Buffer {
  const talk = new LinkTalk().state().frame('base', held, encodeBase(record).bytes);
  for (let at = held; at < rdb.length; at += chunk) talk.frame('piece', at, rdb.subarray(at, at + chunk)).state();
  const notes = [noteEntry('tick', offset + 1, linkStamp + 5), sampleEntry(offset + 1, [sample])];
  const first = [attachEntry(offset + 1, fakeId, linkStamp + 4), ...notes, streamEntry(offset + 1, ping)];
  return talk
    .log(first, 'packed')
    .stream(offset + 1 + ping.length, ping)
    .state({ durable: 5, head: 9 }).bytes;
}

function take(announced: Announced, ...pieces: readonly Buffer[]): LinkEvent[] {
  const intake = new LinkIntake(announced);
  const events: LinkEvent[] = [];
  for (const piece of pieces) {
    intake.push(piece);
    for (let event = intake.next(); event !== undefined; event = intake.next()) events.push(event);
  }
  return events;
}

/** For comparison. */
function plain(events: readonly LinkEvent[]): unknown[] {
  return events.map((event) => (event.kind === 'stream' ? { ...event, reads: event.reads.toArray() } : event));
}

/** All bytes of the RDB and of the stream, without a hole; throws where there is one. */
function bytesOf(events: readonly LinkEvent[], held: number): { readonly rdb: number; readonly stream: number } {
  let [at, next] = [held, offset + 1];
  for (const event of events) {
    if (event.kind === 'piece') at += event.bytes.length;
    if (event.kind !== 'stream') continue;
    expect(at).toBe(rdb.length);
    expect(event.start).toBe(next);
    next += event.data.length;
  }
  return { rdb: at, stream: next };
}

const announced: Announced = { base, held: undefined };
const whole = conversation(0);

describe('what comes over a link', () => {
  test('is the same, cut at every byte, and byte by byte', () => {
    const events = plain(take(announced, whole));
    expect(bytesOf(take(announced, whole), 0)).toEqual({ rdb: rdb.length, stream: offset + 1 + 2 * ping.length });
    for (let at = 0; at <= whole.length; at += 1) {
      expect(plain(take(announced, whole.subarray(0, at), whole.subarray(at)))).toEqual(events);
    }
    expect(plain(take(announced, ...Array.from(whole, (byte) => Buffer.from([byte]))))).toEqual(events);
  });

  test('is refused from the frame on of which any byte is another', () => {
    const events = plain(take(announced, whole));
    for (let at = 0; at < whole.length; at += 1) {
      const altered = Buffer.from(whole);
      altered.writeUInt8(altered.readUInt8(at) ^ (1 << (at % 8)), at);
      const intake = new LinkIntake(announced);
      intake.push(altered);
      const seen: LinkEvent[] = [];
      const takeAll = (): void => {
        for (let event = intake.next(); event !== undefined; event = intake.next()) seen.push(event);
      };
      expect(takeAll, `byte ${at}`).toThrow(LinkError);
      expect(plain(seen)).toEqual(events.slice(0, seen.length));
    }
  });

  test('goes on in a base where it was asked to, and nowhere else', () => {
    const held = { identity: baseIdentity(record), bytes: chunk };
    expect(bytesOf(take({ base, held }, conversation(chunk)), chunk).rdb).toBe(rdb.length);
    expect(bytesOf(take({ base, held }, conversation(0)), 0).rdb).toBe(rdb.length);
    const refused: readonly Announced[] = [
      { base, held: undefined },
      { base, held: { ...held, bytes: 2 * chunk } },
      { base, held: { ...held, identity: '0'.repeat(64) } },
      { next: offset + 1 },
    ];
    for (const other of refused) expect(() => take(other, conversation(chunk))).toThrow('a base that');
  });

  test('that a liar has sealed with right checksums is refused as what it is, or makes sense', () => {
    const change = fc.record({ frame: fc.nat(), at: fc.noBias(fc.nat()), value: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(), { maxLength: 2 }),
        (changes, removed) => {
          const events: LinkEvent[] = [];
          const intake = new LinkIntake(announced);
          try {
            intake.push(resealed(whole, changes, removed));
            for (let event = intake.next(); event !== undefined; event = intake.next()) events.push(event);
          } catch (error) {
            expect(error instanceof LinkError || error instanceof IntegrityError, String(error)).toBe(true);
          }
          const { rdb: got } = bytesOf(events, 0);
          expect(got).toBeLessThanOrEqual(rdb.length);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

interface Change {
  readonly frame: number;
  readonly at: number;
  readonly value: number;
}

/** With other bytes, in headers too, and some frames left out; the checksums are right. */
function resealed(bytes: Buffer, changes: readonly Change[], removed: readonly number[]): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + linkHeaderBytes + bytes.readUInt32LE(at + 8);
    frames.push(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  for (const { frame, at, value } of changes) {
    const changed = frames[frame % frames.length];
    if (changed !== undefined) changed[at % changed.length] = value;
  }
  for (const index of removed) frames.splice(index % (frames.length + 1), 1);
  let chain = 0;
  for (const frame of frames) {
    frame.writeUInt32LE(crc32(frame.subarray(linkHeaderBytes), chain), 24);
    chain = crc32(frame.subarray(0, 28));
    frame.writeUInt32LE(chain, 28);
  }
  return Buffer.concat(frames);
}
