/**
 * A whole small journal for the vectors: a source with a timeline of a sealed, an abandoned and an open segment, a full
 * resync after which a second timeline begins, a mark and a clean stop. It is what an independent reader is run on.
 */
import { crc32 } from 'node:zlib';
import { encodeBase } from '../../../journal-format/base.ts';
import type { BaseRecord } from '../../../journal-format/base.ts';
import { encodeGap } from '../../../journal-format/gap.ts';
import { encodeMark } from '../../../journal-format/mark.ts';
import * as names from '../../../journal-format/names.ts';
import { encodeStop } from '../../../journal-format/stop.ts';
import { encodeTimeline } from '../../../journal-format/timeline.ts';
import { base, firstId, header, noon, secondId } from './documents.ts';
import { SegmentBuilder, seal, typicalSegment } from './segments.ts';

const ping = '*1\r\n$4\r\nPING\r\n';
const minute = 60_000_000;

/** Paths below the journal's root, and what is in the files. */
export function journalFiles(): Record<string, Buffer> {
  const first = typicalSegment();
  const sealed = seal(first, [3, 4]);
  const ids = [{ id: firstId, offset: 1001 }, ...sealed.footer.ids.slice(1)];
  const abandoned = new SegmentBuilder({
    ...header,
    segment: '1badcafe',
    start: first.next,
    db: 7,
    ids,
    stamp: first.stamp,
    salt: 77,
  });
  abandoned.stream([ping, ping]).stream([ping]);
  const last = new SegmentBuilder({
    ...abandoned.header,
    segment: '2badcafe',
    start: first.next + 2 * ping.length,
    stamp: abandoned.stamp + minute,
    salt: 78,
  });
  last.durable = last.next - 1;
  last.stream([ping]).stream(['*2\r\n$3\r\nDEL\r\n$4\r\nuser\r\n', ping]);
  const end = { timeline: 1, id: secondId, offset: last.next - 1, stamp: last.stamp };
  return {
    ...files('cache-1/timelines/00000001', {
      ...timelineFiles(1, 1000, firstId),
      [names.sealedSegmentName(sealed.footer, header.segment)]: sealed.bytes,
      [names.openSegmentName(abandoned.header.start, abandoned.header.segment)]: abandoned.bytes(),
      [names.openSegmentName(last.header.start, last.header.segment)]: Buffer.concat([last.bytes(), Buffer.alloc(64)]),
      [names.stopName(end.offset, 'a0a0a0a0')]: encodeStop(end).bytes,
    }),
    ...files('cache-1/timelines/00000002', {
      ...timelineFiles(2, 9000, firstId),
      gap: encodeGap({
        from: end,
        to: { timeline: 2, id: firstId, offset: 9000, stamp: end.stamp + minute },
        cause: 'history-changed',
        detail: 'full resync',
      }).bytes,
      '.tmp-00112233': Buffer.from('unfinished'),
    }),
    ...files('cache-1/marks', {
      [names.markFileName('release')]: encodeMark({ ...end, name: 'release', created: end.stamp + 5 }).bytes,
    }),
  };
}

function timelineFiles(timeline: number, offset: number, id: string): Record<string, Buffer> {
  // Two chunks, so that the short last one is seen.
  const rdb = Buffer.concat([Buffer.from('REDIS0012'), Buffer.alloc(70, 'x'), Buffer.of(0xff), Buffer.alloc(8)]);
  const chunk = 64;
  const chunks = Uint32Array.of(crc32(rdb.subarray(0, chunk)), crc32(rdb.subarray(chunk)));
  const crc64 = '0000000000000000';
  const record: BaseRecord = { ...base, timeline, offset, id, db: 0, size: rdb.length, crc64, chunk, chunks };
  return {
    timeline: encodeTimeline({
      source: header.source,
      timeline,
      id,
      offset,
      stamp: noon,
      address: 'redis.example:6379',
      server: { kind: 'redis', version: '7.4.2' },
      writer: header.writer,
    }).bytes,
    [names.rdbName(offset, 'b0b0b0b0')]: rdb,
    [names.baseName(offset, 'b0b0b0b0')]: encodeBase(record).bytes,
  };
}

function files(folder: string, entries: Record<string, Buffer>): Record<string, Buffer> {
  return Object.fromEntries(Object.entries(entries).map(([name, bytes]) => [`${folder}/${name}`, bytes]));
}
