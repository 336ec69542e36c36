/**
 * What is found, as an export needs it (pure): from right behind a command on, where it goes on with another one; and of the
 * ends of groups no more than tell where one is over of which something was found.
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
  #isInGroup = false;

  /** `wantsEnds`: MULTI and EXEC are among the events, and are there for this only. */
  constructor(after: ExportStart | undefined, wantsEnds: boolean) {
    this.#after = after;
    this.#wantsEnds = wantsEnds;
  }

  take(events: readonly FindEvent[]): FindEvent[] {
    return events.filter((event) => (event.kind === 'command' ? this.#isMeant(event) : !this.#isDone(event)));
  }

  #isMeant(found: FoundCommand): boolean {
    const { position, timeline, command } = found;
    if (this.#isBefore(position.offset, timeline.ids)) return false;
    if (!this.#wantsEnds) return true;
    const name = nameOf(command);
    if (name === 'MULTI') return false;
    const wasInGroup = this.#isInGroup;
    this.#isInGroup = command.inMulti && name !== 'EXEC';
    return name !== 'EXEC' || wasInGroup;
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
