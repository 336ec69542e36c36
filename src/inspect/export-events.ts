/**
 * What is found, as an export needs it (pure): from right behind a command on, where it goes on with another one; up to a
 * limit, but for what is in one group; and of the ends of groups no more than tell where one is over of which something was
 * found.
 */
import type { Offset } from '../core/position.ts';
import { nameOf } from '../redis/command-reader.ts';
import type { FindEvent, FoundCommand } from './find.ts';

export interface ExportStart {
  readonly idPrefix: string;
  readonly offset: Offset;
}

export class ExportEvents {
  readonly #after: ExportStart | undefined;
  readonly #wantsEnds: boolean;
  readonly #limit: number;
  #isInGroup = false;
  #count = 0;

  /** `wantsEnds`: MULTI and EXEC are among the events, and are there for this only. `limit`: of commands. */
  constructor(after: ExportStart | undefined, wantsEnds: boolean, limit = Infinity) {
    this.#after = after;
    this.#wantsEnds = wantsEnds;
    this.#limit = limit;
  }

  /** Nothing more will be taken. */
  get isOver(): boolean {
    return this.#count >= this.#limit && !this.#isInGroup;
  }

  take(events: readonly FindEvent[]): FindEvent[] {
    return events.filter(
      (event) => !this.isOver && (event.kind === 'command' ? this.#isMeant(event) : !this.#isDone(event)),
    );
  }

  #isMeant(found: FoundCommand): boolean {
    const { position, timeline, command } = found;
    if (this.#isBefore(position.offset, timeline.ids)) return false;
    const name = this.#wantsEnds ? nameOf(command) : '';
    if (name === 'MULTI') return false;
    const wasInGroup = this.#isInGroup;
    this.#isInGroup = this.#wantsEnds && command.inMulti && name !== 'EXEC';
    if (name === 'EXEC') return wasInGroup;
    this.#count += 1;
    return true;
  }

  #isDone(event: Exclude<FindEvent, FoundCommand>): boolean {
    if (event.kind !== 'switch') return false;
    return this.#isBefore(event.position.offset + 1, [event.position, event]);
  }

  #isBefore(offset: Offset, ids: readonly { readonly id: string }[]): boolean {
    const after = this.#after;
    return after !== undefined && offset <= after.offset && ids.some(({ id }) => id.startsWith(after.idPrefix));
  }
}
