/**
 * The blocks of a sealed segment against its footer: each block's checksum and frames, what the index says of it, the
 * footer's sums, the digest over everything. A damaged block costs its own bytes and not those behind it.
 */
import { createHash } from 'node:crypto';
import { FormatError } from '../../journal-format/errors.ts';
import type { BlockEntry, Footer } from '../../journal-format/footer.ts';
import type { FramePlace } from '../../journal-format/frame.ts';
import { placeAfter } from '../../journal-format/frame.ts';
import { decodeBlock } from '../../journal-format/sealed.ts';
import type { Offset } from '../core/position.ts';
import type { DiskFile } from '../storage/disk.ts';
import type { TimeEvidence } from './evidence.ts';
import { takeFrame } from './frames.ts';
import type { SealedReader } from './segment-reader.ts';
import type { FrameAudit } from './verify-frames.ts';
import { FiltersAudit } from './verify-filters.ts';
import type { VerifyRun } from './verify-run.ts';

export interface SealedPlace {
  readonly file: DiskFile;
  readonly reader: SealedReader;
  readonly audit: FrameAudit;
  readonly path: string;
  readonly timeline: number;
}

/** Checks everything behind the documents; they themselves were checked when the reader was opened. */
export async function auditBlocks(run: VerifyRun, place: SealedPlace): Promise<void> {
  const { file, reader, audit, path, timeline } = place;
  const { footer, header } = reader;
  const headerBytes = Buffer.alloc(footer.blocks[0]?.position ?? 0);
  await file.read(headerBytes, 0);
  const digest = createHash('sha256').update(headerBytes);
  const filters = await filtersAudit(run, place);
  const counts = { frames: 0, raw: 0 };
  let isWhole = true;
  let before: FramePlace | undefined = { crc: header.chain, nextOffset: header.start, lastStamp: 0 };
  for (const block of footer.blocks) {
    run.advance(block.storedLength);
    const stored = await reader.storedBlock(block);
    digest.update(stored);
    const next = auditBlock(run, place, block, stored, before, counts, isWhole ? filters : undefined);
    isWhole &&= next !== undefined;
    before = next;
  }
  // Where a block is damaged, sums and digest are wrong as a matter of course.
  if (!isWhole) return;
  filters?.end();
  const { tail } = audit;
  const sums: readonly (readonly [string, unknown, unknown])[] = [
    ['frames', footer.frames, counts.frames],
    ['raw', footer.raw, counts.raw],
    ['end', footer.end, tail.end],
    ['end as a boundary', footer.end, tail.boundary],
    ['first', footer.first, tail.firstStamp],
    ['last', footer.last, tail.lastStamp],
    ['db', footer.db, tail.db],
    ['durable', footer.durable, tail.durable],
    ['ids', JSON.stringify(footer.ids), JSON.stringify(tail.ids)],
    ...evidenceSums(footer, audit.evidence),
    ['sha256', Buffer.from(footer.sha256).toString('hex'), digest.digest('hex')],
  ];
  for (const [key, said, found] of sums) {
    if (said === found) continue;
    const message = `the footer's ${key} is ${String(said)}, but that of its blocks is ${String(found)}`;
    run.findings.add({ kind: 'corrupt', path, timeline, message });
  }
}

/** Undefined where there are none, or such as cannot be read, which is told. */
async function filtersAudit(run: VerifyRun, place: SealedPlace): Promise<FiltersAudit | undefined> {
  const { reader, path, timeline } = place;
  try {
    const filters = await reader.filters();
    return filters && run.known && new FiltersAudit(run, place, filters, run.known);
  } catch (error) {
    run.findings.addError(error, { path, timeline, position: reader.footer.filters?.position });
    return undefined;
  }
}

/** An older footer may be silent about time. */
function evidenceSums(
  footer: Footer,
  { attaches, samples }: TimeEvidence,
): readonly (readonly [string, unknown, unknown])[] {
  if (footer.attaches === undefined) return [];
  return [
    ['attaches', JSON.stringify(footer.attaches), JSON.stringify(attaches)],
    ['samples', JSON.stringify(footer.samples), JSON.stringify(samples)],
  ];
}

/** What the frame behind the block has to follow; undefined when the block is damaged. */
function auditBlock(
  run: VerifyRun,
  { reader, audit, path, timeline }: SealedPlace,
  block: BlockEntry,
  stored: Buffer,
  before: FramePlace | undefined,
  counts: { frames: number; raw: number },
  filters: FiltersAudit | undefined,
): FramePlace | undefined {
  const { salt } = reader.header;
  let next = before;
  let start: Offset = block.start;
  try {
    if (before !== undefined) checkIndex(block, { boundary: audit.tail.boundary, db: audit.tail.db });
    const raw = decodeBlock(block, stored);
    for (let at = 0; at < raw.length;) {
      const frame = takeFrame(raw, at, salt, next);
      if (at === 0) checkIndex(block, { start: frame.header.start, firstStamp: frame.header.firstStamp });
      audit.add(frame);
      filters?.push(frame.data);
      next = placeAfter(frame.header);
      start = next.nextOffset;
      at += frame.header.length;
      counts.frames += 1;
    }
    counts.raw += raw.length;
    filters?.endBlock(block.end);
    checkIndex(block, { end: audit.tail.end, lastStamp: audit.tail.lastStamp });
    return next;
  } catch (error) {
    const range = block.end < start ? undefined : { from: start, to: block.end };
    run.findings.addError(error, { path, timeline, position: block.position, range });
    return undefined;
  }
}

function checkIndex(block: BlockEntry, found: Partial<BlockEntry>): void {
  for (const [key, value] of Object.entries(found)) {
    if (block[key as keyof BlockEntry] === value) continue;
    throw new FormatError('corrupt', `the index says another ${key} than its frames have`);
  }
}
