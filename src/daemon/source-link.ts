/**
 * How the journal stands that we follow over a link, as it said last: for those who follow us, and to tell when it has lost whom
 * it follows itself.
 */
import type { Clock } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { LinkStanding, UpstreamState } from '../downstream/history.ts';
import type { LinkState } from '../redis/link-state.ts';
import type { ServerRole } from '../upstream/standing.ts';
import type { Capture } from './capture.ts';
import { LagMeter } from './lag-meter.ts';

/** How far we are behind the journal that we follow, and behind the primary. */
export interface LinkLag {
  /** Journals between the one that we follow and the primary. */
  readonly hops: number;
  /** It hears from whom it follows. */
  readonly isUp: boolean;
  readonly hop: Lag;
  readonly total: Lag;
}

export interface Lag {
  readonly bytes: number;
  /** Since the first of them is known to have been there. */
  readonly seconds: number;
}

export class SourceLink {
  readonly #clock: Clock;
  /** Undefined: there is no link, but the plain protocol. */
  #state: LinkState | undefined;
  #hop = new LagMeter();
  #total = new LagMeter();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  heard(state: LinkState): void {
    this.#state = state;
    const now = this.#clock.monotonic();
    this.#hop.told(state.durable, now);
    this.#total.told(state.head, now);
  }

  /** Of what is durable here. */
  lag(durable: Offset): LinkLag | null {
    if (this.#state === undefined) return null;
    const now = this.#clock.monotonic();
    const of = (meter: LagMeter, theirs: Offset): Lag => ({
      bytes: Math.max(0, theirs - durable),
      seconds: meter.behind(durable, now) / 1e6,
    });
    const { hops, isUp, durable: theirs, head } = this.#state;
    return { hops, isUp, hop: of(this.#hop, theirs), total: of(this.#total, head) };
  }

  /** Another server is followed, or the same in another way. */
  forget(): void {
    this.#state = undefined;
    this.#hop = new LagMeter();
    this.#total = new LagMeter();
  }

  /** Of whom it follows, it says whether it hears from them, and not who they are. */
  role(primary: ServerRole['primary']): ServerRole {
    const { host = '?', port = 0 } = primary ?? {};
    return { role: 'slave', isJournal: true, primary: { host, port, isUp: this.#state?.isUp === true } };
  }

  /** The last byte that the primary is known to have. */
  head(capture: Capture): Offset {
    return this.#state?.head ?? capture.reach.head;
  }

  /** For a journal that follows us. */
  standing(capture: Capture, { isUp }: Pick<UpstreamState, 'isUp'>): LinkStanding {
    const state = this.#state;
    const { stamp } = capture.reach;
    const head = this.head(capture);
    if (state === undefined) return { isUp, hops: 0, stamp, head };
    return { isUp: isUp && state.isUp, hops: state.hops + 1, stamp, head };
  }
}
