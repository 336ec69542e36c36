/**
 * A directory that a stock server starts from. Made of the journal's bytes, base and stream, or of what of them some keys
 * depend on; or, where a server would not load these exactly, of an RDB that a scratch server has saved, with nothing
 * behind it.
 *
 * Invariant: the stream's bytes are those of the primary from the base's offset + 1 to the cut, verbatim unless the plan
 * says otherwise, behind one SELECT: a server begins to load on db 0.
 */
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { combineCrc32 } from '../../../journal-format/crc32-combine.ts';
import { encodeCommand } from '../../redis/commands-out.ts';
import { copyBase, copyPieces } from '../replay/base-copy.ts';
import type { BaseCopy } from '../replay/base-copy.ts';
import type { DirectorySink } from './directory-sink.ts';
import { restoredFile } from './output.ts';
import type { RestoredFile, RestoreOutput, RestoreSource, Written } from './output.ts';
import { OutputFile } from './output-file.ts';
import { PlannedBytes } from '../replay/planned-bytes.ts';
import { PutAside } from '../replay/put-aside.ts';
import { saveDataset } from './saved-rdb.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import type { Plan } from '../plan/plan.ts';
import type { Picked } from './filter-saved.ts';

const folder = 'appendonlydir';
const baseFile = `${folder}/appendonly.aof.1.base.rdb`;
const streamFile = `${folder}/appendonly.aof.1.incr.aof`;
const manifestFile = `${folder}/appendonly.aof.manifest`;
const preambleFile = 'appendonly.aof';
const recordFile = 'restore.json';
const manifest = 'file appendonly.aof.1.base.rdb seq 1 type b\n' + 'file appendonly.aof.1.incr.aof seq 1 type i\n';

export class DirectoryOutput implements RestoreOutput {
  readonly #sink: DirectorySink;
  /** What a server looks for. */
  #entry = preambleFile;

  constructor(sink: DirectorySink) {
    this.#sink = sink;
  }

  get to(): string {
    return this.#sink.to;
  }

  get scratchParent(): string {
    return dirname(this.#sink.to);
  }

  async write(source: RestoreSource): Promise<Written> {
    const { plan, dataset } = source;
    if (plan.form === 'preamble-aof') {
      return await (dataset === undefined ? this.#preamble(source) : this.#saved(source, dataset, [preambleFile]));
    }
    this.#entry = folder;
    await this.#sink.makeDirectory(folder);
    const written = await (dataset === undefined
      ? this.#multiPart(source)
      : this.#saved(source, dataset, [baseFile, streamFile]));
    await this.#sink.writeFile(manifestFile, manifest);
    return written;
  }

  async publish(record: string): Promise<void> {
    await this.#sink.writeFile(recordFile, record);
    await this.#sink.publish([recordFile, this.#entry]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#sink[Symbol.asyncDispose]();
  }

  /** Redis 7.0 and later, Valkey: base and stream in files of their own, named in a manifest. */
  async #multiPart(source: RestoreSource): Promise<Written> {
    await using aside = new PutAside(source.disk, this.#sink.aside);
    const replayed = new PlannedBytes(source.disk, source.plan, source.advance, { ...source, aside });
    const { output: base, isClone, crc } = await this.#copyBase(source, replayed, this.#sink.file(baseFile));
    await using _base = base;
    await using stream = await OutputFile.create(source.disk, this.#sink.file(streamFile));
    const streamCrc = await writeStream(source.plan, replayed, stream, 0);
    const files = [
      restoredFile(baseFile, await base.finish(), crc),
      restoredFile(streamFile, await stream.finish(), streamCrc),
    ];
    return { ...written(files, isClone, replayed.warnings()), picked: picked(source.plan, replayed) };
  }

  /** Redis up to 6.2: the stream right behind the base, in one file. */
  async #preamble(source: RestoreSource): Promise<Written> {
    await using aside = new PutAside(source.disk, this.#sink.aside);
    const replayed = new PlannedBytes(source.disk, source.plan, source.advance, { ...source, aside });
    const { output, isClone, crc } = await this.#copyBase(source, replayed, this.#sink.file(preambleFile));
    await using _output = output;
    const wholeCrc = await writeStream(source.plan, replayed, output, crc);
    const files = [restoredFile(preambleFile, await output.finish(), wholeCrc)];
    return { ...written(files, isClone, replayed.warnings()), picked: picked(source.plan, replayed) };
  }

  /** An RDB, and where there is a file for it, a stream of nothing. */
  async #saved(
    source: RestoreSource,
    dataset: ScratchDataset,
    [rdb, stream]: readonly [string, string?],
  ): Promise<Written> {
    const { bytes, crc, picked } = await saveDataset(source, dataset, this.#sink.file(rdb));
    const files = [restoredFile(rdb, bytes, crc)];
    if (stream !== undefined) {
      await using empty = await OutputFile.create(source.disk, this.#sink.file(stream));
      files.push(restoredFile(stream, await empty.finish(), 0));
    }
    return { ...written(files, false, []), picked };
  }

  async #copyBase({ disk, plan, advance }: RestoreSource, replayed: PlannedBytes, path: string): Promise<BaseCopy> {
    const { base, bytes, held } = plan;
    const reserve = (baseBytes: number): Promise<void> => this.#sink.reserve(baseBytes + bytes.stream);
    if (!replayed.changesBase) return copyBase(disk, base, path, reserve, advance);
    // How much some keys take, nobody knows before.
    if (held?.keys === undefined) await reserve(bytes.base);
    return copyPieces(disk, path, replayed.rdb());
  }
}

/** `crc` is that of what is in the file already; gives the one of all of it. */
async function writeStream(plan: Plan, replayed: PlannedBytes, output: OutputFile, crc: number): Promise<number> {
  const select = encodeCommand('SELECT', String(plan.base.record.db));
  let running = crc32(select, crc);
  output.append(select);
  for await (const { bytes, crc: known, slab } of replayed.pieces()) {
    running = known === undefined ? crc32(bytes, running) : combineCrc32(running, known, bytes.length);
    output.append(bytes, slab);
    await output.room();
  }
  return running;
}

/** Without a server they are not counted; at most it can be told that there is none. */
function picked({ selection }: Plan, { mayHaveKeys }: PlannedBytes): Partial<Picked> | undefined {
  if (selection === undefined) return undefined;
  return mayHaveKeys ? {} : { taken: 0 };
}

function written(files: readonly RestoredFile[], isBaseClone: boolean, warnings: readonly string[]): Written {
  return { files, bytes: files.reduce((sum, file) => sum + file.bytes, 0), isBaseClone, warnings };
}
