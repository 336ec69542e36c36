/**
 * Carries out a plan: base and stream into a directory that a stock server starts from, every byte verified while it is
 * read, and restore.json, which says exactly what was restored. It decides nothing.
 *
 * Invariant: the stream's bytes are those of the primary from the base's offset + 1 to the cut, verbatim unless the plan
 * says otherwise, behind one SELECT: a server begins to load on db 0.
 */
import { crc32 } from 'node:zlib';
import type { Clock } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { loadCatalogLeft } from '../log/catalog.ts';
import { readRemoved } from '../log/removed.ts';
import { isNotFound } from '../log/source-tree.ts';
import type { Disk } from '../storage/disk.ts';
import { copyBase } from './base-copy.ts';
import type { BaseCopy } from './base-copy.ts';
import { DirectorySink } from './directory-sink.ts';
import { throwIfInterrupted } from './interruption.ts';
import { OutputFile } from './output-file.ts';
import { resolveOwner } from './owner.ts';
import type { Plan } from './plan.ts';
import { orphanWarning, planToJson } from './plan-print.ts';
import type { PlanJson } from './plan-print.ts';
import { removedError } from './locate-removed.ts';
import { PlannedBytes } from './planned-bytes.ts';

export interface RestoreOptions {
  /** The directory to be made. */
  readonly to: string;
  /** USER[:GROUP], by name or number. */
  readonly owner?: string | undefined;
  readonly clock: Clock;
  /** Program and version, for restore.json. */
  readonly writer: string;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the plan that are done, of all. */
  readonly progress?: ((done: number, total: number) => void) | undefined;
}

export interface RestoredFile {
  /** Relative to the directory. */
  readonly path: string;
  readonly bytes: number;
  /** CRC-32 of the whole file, 8 hex digits. */
  readonly crc32: string;
}

/** What restore.json holds. */
export interface RestoreRecord extends PlanJson {
  readonly journal: string;
  readonly created: string;
  readonly files: readonly RestoredFile[];
  readonly warnings: readonly string[];
}

export interface RestoreReport {
  /** Absolute path of the directory. */
  readonly to: string;
  /** Bytes of all restored files. */
  readonly bytes: number;
  /** The base shares its extents with the journal's copy. */
  readonly isBaseClone: boolean;
  readonly seconds: number;
  readonly record: RestoreRecord;
}

const folder = 'appendonlydir';
const baseFile = `${folder}/appendonly.aof.1.base.rdb`;
const streamFile = `${folder}/appendonly.aof.1.incr.aof`;
const manifestFile = `${folder}/appendonly.aof.manifest`;
const preambleFile = 'appendonly.aof';
const recordFile = 'restore.json';
const manifest = 'file appendonly.aof.1.base.rdb seq 1 type b\n' + 'file appendonly.aof.1.incr.aof seq 1 type i\n';

export async function executeRestore(disk: Disk, plan: Plan, options: RestoreOptions): Promise<RestoreReport> {
  try {
    return await execute(disk, plan, options);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const removed = await readRemoved(disk, plan.tree);
    const record = removed.find(({ timeline }) => timeline === plan.cut.timeline);
    throw record === undefined ? error : removedError(record, (await loadCatalogLeft(disk, plan.tree)).timelines);
  }
}

async function execute(disk: Disk, plan: Plan, options: RestoreOptions): Promise<RestoreReport> {
  const { clock, signal } = options;
  const started = clock.monotonic();
  const owner = options.owner === undefined ? undefined : await resolveOwner(disk, options.owner);
  await using sink = await DirectorySink.open(disk, options.to, owner);
  const run = new Run(disk, plan, sink, options);
  const { files, isBaseClone, warnings } =
    plan.form === 'multi-part-aof' ? await run.multiPart() : await run.preamble();
  const orphan = orphanWarning(plan);
  const record: RestoreRecord = {
    journal: options.writer,
    created: formatInstant(clock.wall()),
    ...planToJson(plan),
    files,
    warnings: [...(orphan === undefined ? [] : [orphan]), ...plan.warnings, ...warnings],
  };
  await sink.writeFile(recordFile, `${JSON.stringify(record, undefined, 2)}\n`);
  throwIfInterrupted(signal);
  await sink.publish([recordFile, plan.form === 'multi-part-aof' ? folder : preambleFile]);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return { to: sink.to, bytes, isBaseClone, seconds: (clock.monotonic() - started) / 1e6, record };
}

interface Written {
  readonly files: RestoredFile[];
  readonly isBaseClone: boolean;
  readonly warnings: string[];
}

class Run {
  readonly #disk: Disk;
  readonly #plan: Plan;
  readonly #sink: DirectorySink;
  readonly #options: RestoreOptions;
  #done = 0;

  constructor(disk: Disk, plan: Plan, sink: DirectorySink, options: RestoreOptions) {
    this.#disk = disk;
    this.#plan = plan;
    this.#sink = sink;
    this.#options = options;
  }

  /** Redis 7.0 and later, Valkey: base and stream in files of their own, named in a manifest. */
  async multiPart(): Promise<Written> {
    await this.#sink.makeDirectory(folder);
    const { output: base, isClone, crc } = await this.#copyBase(this.#sink.file(baseFile));
    await using _base = base;
    await using stream = await OutputFile.create(this.#disk, this.#sink.file(streamFile));
    const { crc: streamCrc, warnings } = await this.#writeStream(stream, 0);
    const files = [
      restoredFile(baseFile, await base.finish(), crc),
      restoredFile(streamFile, await stream.finish(), streamCrc),
    ];
    await this.#sink.writeFile(manifestFile, manifest);
    return { files, isBaseClone: isClone, warnings };
  }

  /** Redis up to 6.2: the stream right behind the base, in one file. */
  async preamble(): Promise<Written> {
    const { output, isClone, crc } = await this.#copyBase(this.#sink.file(preambleFile));
    await using _output = output;
    const { crc: wholeCrc, warnings } = await this.#writeStream(output, crc);
    const files = [restoredFile(preambleFile, await output.finish(), wholeCrc)];
    return { files, isBaseClone: isClone, warnings };
  }

  #copyBase(path: string): Promise<BaseCopy> {
    const { base, bytes } = this.#plan;
    const reserve = (baseBytes: number): Promise<void> => this.#sink.reserve(baseBytes + bytes.stream);
    return copyBase(this.#disk, base, path, reserve, (piece) => {
      this.#advance(piece);
    });
  }

  /** `crc` is that of what is in the file already; gives the one of all of it. */
  async #writeStream(output: OutputFile, crc: number): Promise<{ crc: number; warnings: string[] }> {
    const replayed = new PlannedBytes(this.#disk, this.#plan, (bytes) => {
      this.#advance(bytes);
    });
    let running = crc;
    const append = (bytes: Buffer): void => {
      running = crc32(bytes, running);
      output.append(bytes);
    };
    append(selectCommand(this.#plan.base.record.db));
    for await (const bytes of replayed.stream()) {
      append(bytes);
      await output.room();
    }
    return { crc: running, warnings: replayed.warnings() };
  }

  #advance(bytes: number): void {
    throwIfInterrupted(this.#options.signal);
    this.#done += bytes;
    this.#options.progress?.(this.#done, this.#plan.bytes.total);
  }
}

function restoredFile(path: string, bytes: number, crc: number): RestoredFile {
  return { path, bytes, crc32: crc.toString(16).padStart(8, '0') };
}

function selectCommand(db: number): Buffer {
  const digits = String(db);
  return Buffer.from(`*2\r\n$6\r\nSELECT\r\n$${digits.length}\r\n${digits}\r\n`, 'latin1');
}
