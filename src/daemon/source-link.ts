/**
 * How the journal stands that we follow over a link, as it said last: for those who follow us, and to tell when it has lost whom
 * it follows itself.
 */
import type { LinkStanding, UpstreamState } from '../downstream/history.ts';
import type { LinkState } from '../redis/link-state.ts';
import type { ServerRole } from '../upstream/standing.ts';
import type { Capture } from './capture.ts';

export class SourceLink {
  /** Undefined: there is no link, but the plain protocol. */
  #state: LinkState | undefined;

  heard(state: LinkState): void {
    this.#state = state;
  }

  /** Another server is followed, or the same in another way. */
  forget(): void {
    this.#state = undefined;
  }

  /** Of whom it follows, it says whether it hears from them, and not who they are. */
  role(primary: ServerRole['primary']): ServerRole {
    const { host = '?', port = 0 } = primary ?? {};
    return { role: 'slave', isJournal: true, primary: { host, port, isUp: this.#state?.isUp === true } };
  }

  /** For a journal that follows us. */
  standing(capture: Capture, { isUp }: Pick<UpstreamState, 'isUp'>): LinkStanding {
    const state = this.#state;
    const { stamp, head } = capture.reach;
    if (state === undefined) return { isUp, hops: 0, stamp, head };
    return { isUp: isUp && state.isUp, hops: state.hops + 1, stamp, head: state.head };
  }
}
