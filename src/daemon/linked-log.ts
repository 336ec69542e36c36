/**
 * Writes what comes over a link with another journal as that journal has it: with its stamps, samples and attachments. Neighbour:
 * capture.ts, which makes one for each link; timekeeper.ts, which has no part in it.
 *
 * Invariant: stamps never go back, and nothing that the other journal noted is written twice, though it may be told twice.
 */
import type { Attach } from '../../journal-format/attach.ts';
import { idEntriesMax } from '../../journal-format/limits.ts';
import type { Sample } from '../../journal-format/samples.ts';
import type { Micros } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Slab } from '../core/slabs.ts';
import type { LastNotes } from '../log/evidence.ts';
import type { StreamWriter } from '../log/stream-writer.ts';
import type { LinkedStreamSink, LinkNote, StreamMark } from '../upstream/sink.ts';

export class LinkedLog implements LinkedStreamSink {
  readonly #writer: StreamWriter;
  #known: LastNotes;

  /** `known`: what the log has so far. */
  constructor(writer: StreamWriter, known: LastNotes) {
    this.#writer = writer;
    this.#known = known;
  }

  get durable(): Offset {
    return this.#writer.durable;
  }

  get congested(): boolean {
    return this.#writer.congested;
  }

  /** That our disk was behind says nothing of when the bytes were written. */
  relieved(): Promise<void> {
    return this.#writer.relieved('source');
  }

  append(bytes: Buffer, slab: Slab | undefined, stamp: Micros, mark: StreamMark): void {
    this.#writer.append(bytes, slab, this.#notBefore(stamp), mark);
  }

  note(note: LinkNote): void {
    switch (note.kind) {
      case 'tick':
        this.#writer.tick(note.stamp);
        return;
      case 'sample':
        this.#sampled(note.samples.filter(({ stamp }) => stamp > this.#known.sampled));
        return;
      case 'attach':
        this.#attached(note.attach);
    }
  }

  hurry(): void {
    this.#writer.hurry();
  }

  drain(): Promise<void> {
    return this.#writer.drain();
  }

  #attached({ id, stamp }: Attach): void {
    const isKnown = this.#writer.ids.some((entry) => entry.id === id);
    // What is known of interruptions may be by another clock; a name that we lack was not told before, whatever its stamp.
    if (isKnown && stamp <= this.#known.attached) return;
    this.#known = { ...this.#known, attached: Math.max(stamp, this.#known.attached) };
    // A name that the history had before is no switch back: it is told again of a time before the switch.
    if (!isKnown) requireRoomForName(this.#writer);
    this.#writer.attach(isKnown ? this.#writer.id : id, this.#notBefore(stamp));
  }

  #sampled(samples: readonly Sample[]): void {
    this.#known = { ...this.#known, sampled: samples.at(-1)?.stamp ?? this.#known.sampled };
    this.#writer.samples(samples);
  }

  /** Of a journal that followed somebody else before, whose clock was ahead. */
  #notBefore(stamp: Micros): Micros {
    return Math.max(stamp, this.#writer.lastStamp);
  }
}

/** A segment's header holds all names, and no more than so many. */
export function requireRoomForName({ ids }: StreamWriter): void {
  if (ids.length < idEntriesMax) return;
  throw new LinkError('too-many-names', `the history would have more than ${idEntriesMax} names`, 'later', {
    hint: 'a new journal, with another --name, can follow it; this one keeps what it has',
  });
}
