/**
 * The base of a full sync in the plain protocol: its bytes as they come, and what its head says. Neighbours: redis/rdb-transfer.ts
 * finds the end, session.ts hands the bytes on.
 */
import { LinkError } from '../core/errors.ts';
import type { Position } from '../core/position.ts';
import { checkPosition, RdbHeadReader } from '../redis/rdb-head.ts';
import type { RdbHead } from '../redis/rdb-head.ts';
import { RdbTransfer } from '../redis/rdb-transfer.ts';
import type { TransferProgress } from '../redis/rdb-transfer.ts';
import { serverVersionFromAux } from '../redis/server-version.ts';
import type { ServerVersion } from '../redis/server-version.ts';

export class BaseTransfer {
  readonly #position: Position;
  readonly #isOfJournal: boolean;
  readonly #transfer = new RdbTransfer();
  readonly #headReader = new RdbHeadReader();
  #head: RdbHead | undefined;

  /** `position` was announced, by a journal or by a server. */
  constructor(position: Position, isOfJournal: boolean) {
    this.#position = position;
    this.#isOfJournal = isOfJournal;
  }

  get received(): number {
    return this.#transfer.received;
  }

  /** Where it was told. */
  get size(): number | undefined {
    return this.#transfer.size;
  }

  /** Who made it, as its head says. */
  get server(): ServerVersion | undefined {
    return this.#head && serverVersionFromAux(this.#head.aux);
  }

  push(bytes: Buffer): TransferProgress {
    const progress = this.#transfer.push(bytes);
    for (const part of progress.rdb) this.#readHead(part);
    return progress;
  }

  /** Of an RDB that is all here. */
  wholeHead(): RdbHead {
    if (this.#head !== undefined) return this.#head;
    throw new LinkError('protocol-broken', 'the RDB ended before its first key', 'later');
  }

  #readHead(part: Buffer): void {
    if (this.#head !== undefined) return;
    this.#head = this.#headReader.push(part);
    if (this.#head !== undefined) checkPosition(this.#head.aux, this.#position, this.#isOfJournal);
  }
}
