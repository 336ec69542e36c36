/**
 * Reads documents from files (SPEC.md 4). What a length on disk says is held against the limits of the format before
 * anything is allocated for it.
 */
import { documentHeaderBytes, documentLength } from '../../journal-format/document.ts';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { fileProblem } from './format-problem.ts';

/** The record in a file of its own; IntegrityError when it is not right. */
export async function readDocumentFile<T>(
  disk: Disk,
  path: string,
  decode: (bytes: Uint8Array) => { readonly record: T },
): Promise<T> {
  await using file = await disk.open(path, 'read');
  try {
    return decode(await readDocument(file)).record;
  } catch (error) {
    throw fileProblem(path, error);
  }
}

/** The bytes of the document that begins at `at`; fewer when the file ends inside it. */
export async function readDocument(file: DiskFile, at = 0): Promise<Buffer> {
  const head = Buffer.alloc(documentHeaderBytes);
  const got = await file.read(head, at);
  const bytes = Buffer.alloc(documentLength(head.subarray(0, got)));
  return bytes.subarray(0, await file.read(bytes, at));
}
