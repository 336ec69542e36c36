// Acknowledged means synced. kill -9 cannot show that, since the page cache survives it; the kernel's own record of what
// was asked of it in which order can: each acknowledgement that goes out must follow the completed sync of every byte it
// covers, and of the names of the files that hold them.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { CaptureRig } from '../redis/capture-rig.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { pickServer } from '../support/servers.ts';
import { canTrace, fileOf, parseTrace, stringsOf, traced } from '../support/system-calls.ts';
import type { SystemCall, TraceEvent } from '../support/system-calls.ts';
import { recordedAcks } from '../support/tap-parser.ts';

const calls = [
  ...['openat', 'mkdir', 'rename', 'renameat', 'renameat2', 'write', 'writev', 'sendmsg', 'sendto'],
  ...['pwrite64', 'pwritev', 'pwritev2', 'fdatasync', 'fsync'],
];

interface Frame {
  readonly start: number;
  readonly end: number;
  readonly file: string;
}

interface Covered {
  readonly file: string;
  readonly frames: readonly Frame[];
  readonly names: readonly string[];
  readonly writes: number;
}

/** What the medium holds for certain, as the calls go by. */
class Medium {
  /** Frames written, in the order of the stream: two may be being written at once. Of these the ones that were synced. */
  readonly #written: Frame[] = [];
  readonly #synced = new Set<Frame>();
  /** Names made in a directory, and those that were synced with it. */
  readonly #names: string[] = [];
  readonly #syncedNames = new Set<string>();
  /** By file, how many writes of any bytes there were, and how many of them were synced; a rename takes them along. */
  readonly #writes = new Map<string, number>();
  readonly #syncedWrites = new Map<string, number>();
  /** What a sync that is under way will have synced. */
  readonly #covered = new Map<number, Covered>();
  /** Acknowledged offsets that were not zero, in order. */
  readonly acks: number[] = [];
  readonly lies: string[] = [];
  segments = 0;

  take({ at, call }: TraceEvent): void {
    if (at === 'begin') this.#begin(call);
    else if (call.result?.startsWith('-1') !== true) this.#end(call);
  }

  #begin(call: SystemCall): void {
    if (call.name === 'fdatasync' || call.name === 'fsync') {
      const file = fileOf(call);
      const frames = this.#written.filter((frame) => frame.file === file);
      const names = this.#names.filter((name) => path.dirname(name) === file);
      this.#covered.set(call.id, { file, frames, names, writes: this.#writes.get(file) ?? 0 });
    }
    if (fileOf(call).startsWith('socket:')) this.#acknowledge(Buffer.concat(stringsOf(call)));
  }

  #end(call: SystemCall): void {
    switch (call.name) {
      case 'openat':
        if (call.args.includes('O_CREAT')) this.#names.push(stringsOf(call)[0]?.toString() ?? '');
        break;
      case 'mkdir':
        this.#names.push(stringsOf(call)[0]?.toString() ?? '');
        break;
      case 'rename':
      case 'renameat':
      case 'renameat2':
        this.#rename(stringsOf(call).map(String));
        break;
      case 'pwrite64':
      case 'pwritev':
      case 'pwritev2':
        this.#count(this.#writes, fileOf(call), 1);
        for (const bytes of stringsOf(call)) this.#write(fileOf(call), bytes);
        break;
      case 'fdatasync':
      case 'fsync':
        this.#sync(call);
        break;
      default:
        break;
    }
  }

  #write(file: string, bytes: Buffer): void {
    if (bytes.toString('latin1', 0, 4) !== 'JFRM' || bytes[4] !== 1) return;
    const start = Number(bytes.readBigUInt64LE(16));
    this.#written.push({ start, end: start + bytes.readUInt32LE(12) - 1, file });
    this.#written.sort((a, b) => a.start - b.start);
  }

  #sync(call: SystemCall): void {
    const covered = this.#covered.get(call.id);
    if (covered === undefined) throw new Error(`a sync that never began: ${call.args}`);
    this.#covered.delete(call.id);
    this.#syncedWrites.set(covered.file, Math.max(covered.writes, this.#syncedWrites.get(covered.file) ?? 0));
    for (const frame of covered.frames) this.#synced.add(frame);
    for (const name of covered.names) this.#syncedNames.add(name);
  }

  #rename([from = '', to = '']: readonly string[]): void {
    this.#names.push(to);
    for (const counts of [this.#writes, this.#syncedWrites]) {
      this.#count(counts, to, counts.get(from) ?? 0);
      counts.delete(from);
    }
  }

  #count(counts: Map<string, number>, file: string, more: number): void {
    counts.set(file, (counts.get(file) ?? 0) + more);
  }

  #acknowledge(bytes: Buffer): void {
    for (const { ack, fack = 0 } of recordedAcks(bytes)) {
      const offset = Math.max(ack, fack);
      if (offset === 0) continue;
      this.acks.push(offset);
      const durable = this.#durable();
      if (durable === undefined) this.lies.push(`${offset} before there was a base`);
      else if (offset > durable) this.lies.push(`${offset}, when ${durable} was durable`);
    }
  }

  /** Its name is on the medium, and the names of all folders above it that were made since. */
  #isNamed(file: string): boolean {
    const wanted = this.#names.filter((name) => file === name || file.startsWith(`${name}/`));
    return wanted.includes(file) && wanted.every((name) => this.#syncedNames.has(name));
  }

  /** All that was ever written to it, and its name. */
  #isWhole(file: string): boolean {
    const writes = this.#writes.get(file) ?? 0;
    return writes > 0 && this.#syncedWrites.get(file) === writes && this.#isNamed(file);
  }

  /** The offset of the base whose document and RDB could not be lost any more. */
  #base(): number | undefined {
    for (const document of this.#syncedNames) {
      const [, offset] = /([0-9a-f]{16})-\w+\.base$/.exec(document) ?? [];
      if (offset === undefined) continue;
      const needed = [document, document.replace(/base$/, 'rdb'), path.join(path.dirname(document), 'timeline')];
      if (needed.every((file) => this.#isWhole(file))) return Number.parseInt(offset, 16);
    }
    return undefined;
  }

  /** The last byte before the first that could still be lost; undefined without a base. */
  #durable(): number | undefined {
    const base = this.#base();
    if (base === undefined) return undefined;
    let end = base;
    const files = new Set<string>();
    for (const frame of this.#written) {
      if (frame.start <= end) throw new Error(`a frame begins at ${frame.start}, the one before ends at ${end}`);
      if (frame.start > end + 1 || !this.#synced.has(frame) || !this.#isNamed(frame.file)) break;
      end = frame.end;
      files.add(frame.file);
    }
    this.segments = files.size;
    return end;
  }
}

describe.skipIf(!canTrace())('in the kernel’s record (needs strace)', () => {
  test('every acknowledgement follows the sync of what it acknowledges, of the base before it, and of all their names', async () => {
    const file = path.join(temporaryDirectory('trace'), 'trace');
    await using rig = await CaptureRig.start(pickServer());
    await rig.client.call('SET', 'before', 'the base');
    const journal = rig.run({ segmentBytes: 32 * 1024, under: traced(calls, file) });
    await journal.waitFor('ready');
    for (let write = 0; write < 60; write++) {
      await rig.client.call('SET', `key:${write}`, 'x'.repeat(write * 100));
      if (write % 3 === 0) await rig.journaled();
    }
    await rig.journaled();
    expect(await journal.stop(), journal.stderr).toBe(0);
    const ended = new RegExp(`^${journal.pid} +\\+\\+\\+ exited with 0`, 'm');
    const text = await eventually('the end of the trace', () => {
      const written = readFileSync(file, 'latin1');
      return ended.test(written) && written;
    });
    const medium = new Medium();
    for (const event of parseTrace(text)) medium.take(event);
    expect(medium.lies).toEqual([]);
    expect(medium.acks.length).toBeGreaterThan(20);
    expect(medium.segments).toBeGreaterThan(3);
    const end = recordedAcks(rig.tap.connections[0]?.toPrimary ?? Buffer.alloc(0)).at(-1)?.ack;
    expect(medium.acks.at(-1)).toBe(end);
  });
});
