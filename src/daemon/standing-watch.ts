/**
 * Watches what the server that is followed says it is, and tells when it is no primary: in the log, and whoever keeps the
 * state. Told once each time it changes.
 */
import { systemClock } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { formatAddress } from '../upstream/address.ts';
import type { SourceAddress } from '../upstream/address.ts';
import type { SourceChoiceEvents } from '../upstream/source-choice.ts';
import { degradation } from '../upstream/standing.ts';
import type { Degradation, ServerRole } from '../upstream/standing.ts';
import type { Logger } from './logger.ts';
import type { Degraded } from './state-file.ts';

export class StandingWatch {
  readonly #logger: Logger;
  readonly #tell: (degraded: Degraded | null) => void;
  #known: Degradation | undefined;
  /** Only INFO tells; who is asked later says to be a replica. */
  #isJournal = false;

  constructor(logger: Logger, tell: (degraded: Degraded | null) => void) {
    this.#logger = logger;
    this.#tell = tell;
  }

  look(address: SourceAddress, role: ServerRole): void {
    this.#isJournal ||= role.isJournal === true;
    const found = degradation(address, { ...role, isJournal: this.#isJournal });
    if (found?.message === this.#known?.message) return;
    this.#known = found;
    if (found === undefined) {
      this.#logger.info({ event: 'follows-primary', source: formatAddress(address) });
      this.#tell(null);
      return;
    }
    const { isGrave, code, message, hint } = found;
    this.#logger[isGrave ? 'error' : 'warn']({ event: 'degraded', code, error: message, hint });
    this.#tell({ code, message, hint, isGrave, at: formatInstant(systemClock.wall()) });
  }

  /** Another server is followed. */
  forget(): void {
    this.#known = undefined;
    this.#isJournal = false;
  }
}

export function loggedRivals(logger: Logger): SourceChoiceEvents {
  return {
    rivals: (chosen, rivals) => {
      logger.error({
        event: 'two-primaries',
        chosen: formatAddress(chosen),
        others: rivals.map(formatAddress),
        hint: 'the history that goes on from the journal is followed, else the server that was followed last, else the first in the list; make the others replicas again',
      });
    },
  };
}
