// MemorySink: what a session puts its bytes into when there is no disk: it becomes durable when the test says so.
// Like the log it keeps views of what it was given, and the slabs they lie in, until then; so a session that gives away
// memory which it uses again is found out.
import type { Position } from '../../src/core/position.ts';
import type { Slab } from '../../src/core/slabs.ts';
import { BoundaryScanner } from '../../src/redis/boundary-scanner.ts';
import type { RdbHead } from '../../src/redis/rdb-head.ts';
import type { ServerVersion } from '../../src/redis/server-version.ts';
import type { FullSync, FullSyncSink, ResumePoint, Sink, StreamSink } from '../../src/upstream/sink.ts';

interface Held {
  readonly bytes: Buffer;
  readonly slab: Slab | undefined;
}

/** What may take a while on a disk, or fail. */
export type SlowCall = 'resumePoint' | 'beginFullSync' | 'attach' | 'publish' | 'drain';

export class MemorySink implements Sink {
  /** Calls, in order. */
  readonly calls: string[] = [];
  /** Called when the durable offset has moved. */
  progressed: () => unknown = () => undefined;
  /** Called first by each of these; it may wait, or throw. */
  before: (call: SlowCall) => Promise<unknown> | undefined = () => undefined;
  refuse: ((server: ServerVersion) => void) | undefined;
  congested = false;
  #relieved = Promise.withResolvers<undefined>();
  #heldRdb: Held[] = [];
  #held: Held[] = [];
  #base: Position | undefined;
  #id = '';
  #isPublished = false;
  #rdb: Buffer = Buffer.alloc(0);
  #stream: Buffer = Buffer.alloc(0);
  #stamps = 0;
  readonly server: { version: ServerVersion | undefined } = { version: undefined };

  /** A sink that has followed before: `stream` is durable. */
  static after(base: Position, stream: Buffer): MemorySink {
    const sink = new MemorySink();
    sink.#base = base;
    sink.#id = base.id;
    sink.#stream = stream;
    sink.#isPublished = true;
    return sink;
  }

  get id(): string {
    return this.#id;
  }

  get isPublished(): boolean {
    return this.#isPublished;
  }

  /** The RDB so far. */
  get rdb(): Buffer {
    return Buffer.concat([this.#rdb, ...this.#heldRdb.map(({ bytes }) => bytes)]);
  }

  /** All stream bytes taken, durable or not. */
  get stream(): Buffer {
    return Buffer.concat([this.#stream, ...this.#held.map(({ bytes }) => bytes)]);
  }

  get received(): number {
    return (this.#base?.offset ?? 0) + this.stream.length;
  }

  get durable(): number {
    return (this.#base?.offset ?? 0) + this.#stream.length;
  }

  /** All that is held becomes durable. */
  commit(): void {
    this.#rdb = Buffer.concat([this.#rdb, ...this.#heldRdb.map(({ bytes }) => bytes)]);
    this.#stream = Buffer.concat([this.#stream, ...this.#held.map(({ bytes }) => bytes)]);
    for (const { slab } of [...this.#heldRdb.splice(0), ...this.#held.splice(0)]) slab?.release();
    this.progressed();
  }

  /** The disk has caught up. */
  relieve(): void {
    this.congested = false;
    this.#relieved.resolve(undefined);
    this.#relieved = Promise.withResolvers<undefined>();
  }

  async resumePoint(): Promise<ResumePoint | undefined> {
    await this.before('resumePoint');
    if (this.#base === undefined || !this.#isPublished) return undefined;
    this.commit();
    const scanner = new BoundaryScanner({ offset: this.#base.offset, db: 0 });
    scanner.scan(this.#stream);
    return { position: { id: this.#id, offset: this.durable }, scanner };
  }

  admit(server: ServerVersion): void {
    this.server.version = server;
    this.refuse?.(server);
  }

  async beginFullSync({ position }: FullSync): Promise<FullSyncSink> {
    this.calls.push('beginFullSync');
    await this.before('beginFullSync');
    this.#base = position;
    this.#id = position.id;
    this.#isPublished = false;
    this.#rdb = Buffer.alloc(0);
    this.#stream = Buffer.alloc(0);
    const isCongested = (): boolean => this.congested;
    return {
      append: (parts, slab) => void this.#heldRdb.push(...parts.map((bytes) => ({ bytes, slab: slab?.retain() }))),
      get congested() {
        return isCongested();
      },
      relieved: async () => {
        await this.#relieved.promise;
      },
      beginStream: () => this.#streamSink('beginStream'),
      publish: (head) => this.#publish(head),
    };
  }

  async attach(id: string): Promise<StreamSink> {
    await this.before('attach');
    this.#id = id;
    return this.#streamSink('attach');
  }

  stamp(): number {
    this.#stamps += 1;
    return this.#stamps;
  }

  sampled(): void {}

  async #publish(head: RdbHead): Promise<void> {
    this.calls.push(`publish ${head.magic}`);
    await this.before('publish');
    this.#isPublished = true;
  }

  #streamSink(call: string): StreamSink {
    this.calls.push(call);
    const isCongested = (): boolean => this.congested;
    const durable = (): number => this.durable;
    return {
      append: (bytes, slab) => void this.#held.push({ bytes, slab: slab?.retain() }),
      hurry: () => void this.calls.push('hurry'),
      get congested() {
        return isCongested();
      },
      relieved: async () => {
        await this.#relieved.promise;
      },
      drain: async () => {
        await this.before('drain');
        this.commit();
      },
      get durable() {
        return durable();
      },
    };
  }
}
