/**
 * Notices a command, or a MULTI, whose end does not come: nothing behind its beginning can be restored until it does,
 * and the segment that it is in cannot be cut. Told once at the beginning and once at the end of each spell; it stops
 * nothing, since a value of hundreds of megabytes is such a command as well, and what comes is durable all the same.
 *
 * Neighbours: capture.ts, whose progress it looks at; run.ts, which hands it over; status-warnings.ts.
 */
import type { Micros } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { unendedBytesTold } from '../core/limits.ts';
import type { Offset } from '../core/position.ts';
import type { Logger } from './logger.ts';

export interface UnendedCommand {
  /** Offset of the byte before its first. */
  readonly behind: string;
  /** When that byte was received; after a restart of the writer, when it began. */
  readonly since: string;
  /** What has come of it. */
  readonly bytes: number;
}

export interface UnendedEvents {
  readonly begun: (command: UnendedCommand) => void;
  /** As it was last seen. */
  readonly ended: (command: UnendedCommand) => void;
}

interface Seen {
  readonly timeline: number;
  readonly boundary: Offset;
  readonly received: Offset;
  readonly lastStamp: Micros;
}

export class UnendedWatch {
  readonly #events: UnendedEvents;
  readonly #bytesTold: number;
  /** How it was when this boundary was first seen. */
  #first: Seen | undefined;
  #state: UnendedCommand | null = null;

  constructor(events: UnendedEvents, bytesTold: number = unendedBytesTold) {
    this.#events = events;
    this.#bytesTold = bytesTold;
  }

  get state(): UnendedCommand | null {
    return this.#state;
  }

  look(seen: Seen): void {
    if (seen.timeline !== this.#first?.timeline || seen.boundary !== this.#first.boundary) {
      this.#first = seen;
      if (this.#state !== null) this.#events.ended(this.#state);
      this.#state = null;
    }
    const bytes = seen.received - seen.boundary;
    if (bytes <= this.#bytesTold) return;
    const isKnown = this.#state !== null;
    this.#state = { behind: String(seen.boundary), since: formatInstant(this.#first.lastStamp), bytes };
    if (!isKnown) this.#events.begun(this.#state);
  }
}

const unendedHint =
  'no restore reaches behind that offset until it ends. A large value ends by itself; if this one does not, look at what the link goes through, and begin a new journal with another --name';

/** The watch of a daemon. */
export function loggedUnended(logger: Logger): UnendedWatch {
  return new UnendedWatch({
    begun: ({ behind, since, bytes }) => {
      logger.warn({ event: 'command-not-ended', behind, since, bytes, hint: unendedHint });
    },
    ended: ({ behind, since, bytes }) => {
      logger.info({ event: 'command-ended', behind, since, bytes });
    },
  });
}
