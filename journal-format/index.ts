/**
 * The public face of the format, `import … from 'journal/format'`: reading and writing journal bytes without Redis,
 * sockets or disks. SPEC.md is the law; everything here is pure: bytes in, values out.
 */
export type { Attach } from './attach.ts';
export { decodeAttach, encodeAttach } from './attach.ts';
export type { BaseContents, BaseRecord } from './base.ts';
export { decodeBase, encodeBase } from './base.ts';
export type { DataSum } from './data-sum.ts';
export { addToSum, noData } from './data-sum.ts';
export type { DecodedDocument, DocumentKind } from './document.ts';
export { decodeDocument, documentHeaderBytes, documentLength, encodeDocument, formatVersion } from './document.ts';
export type { FormatErrorKind } from './errors.ts';
export { FormatError, isFormatError } from './errors.ts';
export type { IdEntry } from './fields.ts';
export type { BlockFilter, Filters } from './filters.ts';
export { decodeFilters, decodeFiltersOf, encodeFilters } from './filters.ts';
export type { BlockEntry, FiltersEntry, Footer } from './footer.ts';
export { decodeFooter, encodeFooter } from './footer.ts';
export type { FrameFields, FrameHeader, FrameKind, FramePlace } from './frame.ts';
export {
  checkFollows,
  checkFrameBody,
  decodeFrameHeader,
  encodeFrame,
  findFrame,
  frameHeaderBytes,
  placeAfter,
} from './frame.ts';
export type { GapCause, GapRecord, GapSide, Orphan } from './gap.ts';
export { decodeGap, encodeGap } from './gap.ts';
export type { KeyHashes } from './key-filter.ts';
export { KeyFilterMaker, mayHold, mayHoldAll } from './key-filter.ts';
export type { KeyHash } from './key-hash.ts';
export { KeyHasher, hashKey } from './key-hash.ts';
export { KeySet } from './key-set.ts';
export * from './limits.ts';
export type { MarkRecord } from './mark.ts';
export { decodeMark, encodeMark } from './mark.ts';
export type { TimelineEntry } from './names.ts';
export {
  baseName,
  fileNames,
  isMarkFileName,
  isMarkName,
  isRemovedName,
  isReplicationId,
  isSourceName,
  isUnique,
  markFileName,
  openSegmentName,
  parseTimelineEntry,
  parseTimelineFolder,
  rdbName,
  removedName,
  sealedSegmentName,
  stopName,
  temporaryPrefix,
  timelineFolder,
} from './names.ts';
export type { Read } from './reads.ts';
export { Reads, ReadsEncoder, decodeReads } from './reads.ts';
export type { Decoded, Encoded } from './record.ts';
export type { RemovedRecord } from './removed.ts';
export { decodeRemoved, encodeRemoved } from './removed.ts';
export type { Sample } from './samples.ts';
export { decodeSamples, encodeSamples } from './samples.ts';
export type { Trailer } from './sealed.ts';
export { checkSealed, decodeBlock, decodeTrailer, encodeBlock, encodeTrailer, trailerBytes } from './sealed.ts';
export type { SealedHeader, SegmentHeader } from './segment-header.ts';
export { decodeSealedHeader, decodeSegmentHeader, encodeSealedHeader, encodeSegmentHeader } from './segment-header.ts';
export type { StopRecord } from './stop.ts';
export { decodeStop, encodeStop } from './stop.ts';
export type { TimelineRecord } from './timeline.ts';
export { decodeTimeline, encodeTimeline } from './timeline.ts';
