/**
 * What the outputs into running servers have in common: a server that was decided on, and nothing that could be kept out of
 * sight. What is written there is there.
 */
import { tmpdir } from 'node:os';
import type { Clock } from '../../core/clock.ts';
import type { ReplicationInfo } from '../../redis/replication-info.ts';
import type { RestoreOutput, RestoreSource, Written } from '../outputs/output.ts';
import type { TargetAsked, TargetNeed, TargetPlan } from '../plan/target-rails.ts';
import type { TargetConfig } from './target-link.ts';

export interface ServerTarget {
  readonly config: TargetConfig;
  readonly asked: TargetAsked;
  readonly need: TargetNeed;
  /** What was decided, and shown. */
  readonly plan: TargetPlan;
  /** Gives the journal of a live primary, at this address, a mark where that is now; returns its name. */
  readonly mark?: ((address: string, now: ReplicationInfo) => Promise<string>) | undefined;
}

export abstract class TargetOutput implements RestoreOutput {
  readonly to: string;
  readonly scratchParent: string = tmpdir();
  protected readonly target: ServerTarget;
  protected readonly clock: Clock;
  protected readonly signal: AbortSignal;

  constructor(target: ServerTarget, clock: Clock, signal: AbortSignal) {
    const { address, cluster } = target.plan;
    this.to = cluster === undefined ? address : `the cluster of ${address}`;
    this.target = target;
    this.clock = clock;
    this.signal = signal;
  }

  abstract write(source: RestoreSource): Promise<Written>;

  async publish(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
