/**
 * One key of a scratch dataset, looked at again and again while the stream is applied to it, step by step.
 *
 * Neighbours: key-history.ts says where to stop, scratch/probe-key.ts looks.
 */
import type { Offset } from '../core/position.ts';
import { keyspaceIn } from '../redis/info.ts';
import { RdbEntries } from '../redis/rdb-entries.ts';
import { rdbOf } from '../redis/server-version.ts';
import { valueBytes } from '../redis/value-digest.ts';
import { loadScratch } from '../restore/replay/load-scratch.ts';
import { PlannedBytes } from '../restore/replay/planned-bytes.ts';
import type { Plan } from '../restore/plan/plan.ts';
import type { ScratchDataset } from '../scratch/dataset.ts';
import { probeCommands, probedKeys } from '../scratch/probe-key.ts';
import type { ProbedKey } from '../scratch/probe-key.ts';
import type { Disk } from '../storage/disk.ts';
import { filePieces } from '../storage/file-pieces.ts';
import type { DiffOptions } from './diff.ts';
import { throwIfInterrupted } from './interruption.ts';
import { absentValue, keyValue } from './key-value.ts';
import type { KeyValue } from './key-value.ts';
import { streamBetween } from './stream-between.ts';
import type { Boundary } from './stream-between.ts';

export type ScratchUse = Pick<DiffOptions, 'parent' | 'memoryBytes' | 'clock' | 'signal'>;

export class KeyWatch implements AsyncDisposable {
  readonly #disk: Disk;
  readonly #plan: Plan;
  readonly #key: Buffer;
  readonly #dataset: ScratchDataset;
  readonly #signal: AbortSignal;
  #at: Boundary;

  private constructor(disk: Disk, plan: Plan, key: Buffer, dataset: ScratchDataset, at: Boundary, signal: AbortSignal) {
    this.#disk = disk;
    this.#plan = plan;
    this.#key = key;
    this.#dataset = dataset;
    this.#at = at;
    this.#signal = signal;
  }

  /** Loads what `plan` needs, as it was at `at`, which is not behind its cut. */
  static async begin(disk: Disk, plan: Plan, key: Buffer, at: Boundary, use: ScratchUse): Promise<KeyWatch> {
    const { parent, memoryBytes, clock, signal } = use;
    const earlier = { ...plan, cut: { ...plan.cut, offset: at.offset } };
    const advance = (): void => {
      throwIfInterrupted(signal);
    };
    const options = { parent, allowedBytes: memoryBytes, clock, signal };
    const dataset = await loadScratch(earlier, new PlannedBytes(disk, earlier, advance), options);
    return new KeyWatch(disk, plan, key, dataset, at, signal);
  }

  /** The dbs that hold anything. */
  async dbs(): Promise<number[]> {
    return keyspaceIn(await this.#dataset.client.info('keyspace')).map(({ db }) => db);
  }

  /** What it is in each of the dbs once all up to the boundary `to`, where `db` is selected, is applied. */
  async lookAt(to: Boundary, dbs: readonly number[], atMs: number): Promise<KeyValue[]> {
    await this.#dataset.edit(this.#commands(to.offset, dbs));
    this.#at = to;
    const found = await probedKeys(this.#dataset, dbs);
    const values: KeyValue[] = [];
    for (const db of dbs) {
      const probed = found.find((one) => one.db === db);
      values.push(probed === undefined ? absentValue(db) : await this.#valueOf(probed, atMs));
    }
    return values;
  }

  async *#commands(to: Offset, dbs: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
    const advance = (): void => {
      throwIfInterrupted(this.#signal);
    };
    yield* streamBetween(this.#disk, this.#plan, this.#at, to, advance);
    yield probeCommands(this.#dataset.program, this.#key, dbs);
  }

  async #valueOf({ db, payload, payloadBytes, endsMs }: ProbedKey, atMs: number): Promise<KeyValue> {
    const value = payload && valueBytes(payload);
    const encoded = {
      ...{ db, code: value?.[0] ?? -1, magic: rdbOf(this.#dataset.program).magic, bytes: payloadBytes },
      ...{ value: value?.subarray(1), endsMs: endsMs === 'past' ? await this.#endOf(db) : endsMs },
    };
    return keyValue(encoded, atMs);
  }

  /** Of what has elapsed, out of an RDB. */
  async #endOf(db: number): Promise<number> {
    const entries = new RdbEntries((found) => found.db === db && found.key.equals(this.#key));
    await using file = await this.#disk.open(await this.#dataset.save(), 'read');
    for await (const { bytes } of filePieces(file)) {
      throwIfInterrupted(this.#signal);
      for (const { endsMs } of entries.push(bytes)) return endsMs;
    }
    return entries.finish()[0]?.endsMs ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dataset[Symbol.asyncDispose]();
  }
}
