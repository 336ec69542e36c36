/**
 * The meta of attach frames (SPEC.md 5, kind 4): from the frame's start on, the stream came over a new link and under
 * this replication id. What was written while no link existed arrived late; the two stamps say how late at most.
 */
import { asBuffer, readUint64, writeUint64 } from './bytes.ts';
import { FormatError } from './errors.ts';
import { isReplicationId } from './names.ts';

export interface Attach {
  /** The replication id in force from the frame's start on. */
  readonly id: string;
  /** Stamp of the last byte received before the link was lost; 0 when there was none. */
  readonly lostStamp: number;
  /** Stamp of the attachment. */
  readonly stamp: number;
}

const idBytes = 40;
const attachBytes = 56;

export function encodeAttach(attach: Attach): Buffer {
  if (!isReplicationId(attach.id)) throw new RangeError(`not a replication id: ${attach.id}`);
  const meta = Buffer.allocUnsafe(attachBytes);
  meta.write(attach.id, 0, idBytes, 'latin1');
  writeUint64(meta, attach.lostStamp, idBytes);
  writeUint64(meta, attach.stamp, idBytes + 8);
  return meta;
}

export function decodeAttach(meta: Uint8Array): Attach {
  if (meta.length !== attachBytes) throw new FormatError('corrupt', `attach meta of ${meta.length} bytes`);
  const bytes = asBuffer(meta);
  const id = bytes.toString('latin1', 0, idBytes);
  if (!isReplicationId(id)) throw new FormatError('corrupt', 'attach without a replication id');
  return { id, lostStamp: readUint64(bytes, idBytes), stamp: readUint64(bytes, idBytes + 8) };
}
