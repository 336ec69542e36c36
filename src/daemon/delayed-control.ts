/**
 * What can be asked of a delayed copy, and the answers: the same document each time, which says where it stands. Neighbours:
 * delayed-history.ts does it, downstream/control-door.ts is the door.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { fileNames } from '../../journal-format/names.ts';
import { systemClock } from '../core/clock.ts';
import type { Micros } from '../core/clock.ts';
import { JournalError, LinkError, UsageError } from '../core/errors.ts';
import type { ExitCode } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import type { ReplicaState } from '../downstream/client.ts';
import { askAtDoor } from '../downstream/control-door.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { Target } from '../restore/locate/target.ts';
import { parseTarget } from '../restore/locate/target.ts';
import type { DelayedHistory } from './delayed-history.ts';
import { describe } from './describe-error.ts';
import type { ServedTtl } from './instant-history.ts';
import { replicasOf } from './status-lists.ts';
import type { StatusReplica } from './status-lists.ts';

export const delayedVerbs = ['pause', 'step', 'resume', 'status'] as const;
export type DelayedVerb = (typeof delayedVerbs)[number];

/** Where a delayed copy is talked to, unless something else is said. */
export function controlPath({ directory }: SourceTree): string {
  return join(directory, fileNames.delayedSocket);
}

/** As `serve status --json` prints it: keys are always there; times RFC 3339, offsets strings. Those of replicas are of the
 * history that is served, which is its own. */
export interface DelayedStatus {
  readonly source: string;
  /** waiting: nothing is due yet. */
  readonly state: 'waiting' | 'following' | 'paused';
  readonly delaySeconds: number;
  /** Whether what expires ends later by the delay. */
  readonly ttl: ServedTtl;
  readonly pausedSince: string | null;
  /** The dataset is the one of this instant. */
  readonly instant: string | null;
  readonly behindSeconds: number | null;
  readonly timeline: number | null;
  /** The last command that is served, as the primary numbers it, and when it was received. */
  readonly position: string | null;
  readonly lastByte: string | null;
  readonly replicas: readonly StatusReplica[];
  readonly warnings: readonly string[];
}

export interface ControlOptions {
  readonly source: string;
  readonly delay: Micros;
  readonly ttl: ServedTtl;
  readonly history: DelayedHistory;
  readonly replicas: () => readonly ReplicaState[];
  readonly warnings: () => Promise<readonly string[]>;
  /** Somebody did something; they are answered afterwards. */
  readonly told: (verb: DelayedVerb, status: DelayedStatus) => Promise<void>;
}

const requestSchema = z.discriminatedUnion('verb', [
  z.object({ verb: z.enum(['pause', 'resume', 'status']) }),
  z.object({
    verb: z.literal('step'),
    target: z.string(),
    mode: z.enum(['at', 'before']),
    timezone: z.string().optional(),
    acceptUncertainty: z.boolean(),
  }),
]);
export type DelayedRequest = z.infer<typeof requestSchema>;

const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional(), exitCode: z.int() }),
});

/** The answer to a request from the door. */
export async function answerControl(options: ControlOptions, given: unknown): Promise<unknown> {
  const { data: request } = requestSchema.safeParse(given);
  try {
    if (request === undefined) throw new UsageError('bad-request', 'this is not a request that is known here');
    await act(options.history, request);
    const status = await statusOf(options);
    if (request.verb !== 'status') await options.told(request.verb, status);
    return { status };
  } catch (error) {
    const { code, error: message, hint } = describe(error);
    return { error: { code, message, hint, exitCode: error instanceof JournalError ? error.exitCode : 1 } };
  }
}

/** Asks the process that serves; its refusals are thrown as they were there. */
export async function askDelayed(path: string, request: DelayedRequest, signal: AbortSignal): Promise<DelayedStatus> {
  const answer = await askAtDoor(path, request, signal);
  const { data: refused } = errorSchema.safeParse(answer);
  if (refused !== undefined) {
    const { code, message, hint, exitCode } = refused.error;
    throw new UsageError(code, message, { hint, exitCode: exitCode as ExitCode });
  }
  const { data } = z
    .object({ status: z.custom<DelayedStatus>((value) => typeof value === 'object') })
    .safeParse(answer);
  if (data === undefined) {
    throw new LinkError('no-answer', `what listens at ${path} is no delayed copy`, 'never', {
      hint: 'is the journal program there of the same version?',
    });
  }
  return data.status;
}

async function act(history: DelayedHistory, request: DelayedRequest): Promise<void> {
  switch (request.verb) {
    case 'pause':
      await history.pause();
      return;
    case 'resume':
      await history.resume();
      return;
    case 'status':
      return;
    case 'step': {
      const { target: text, mode, timezone, acceptUncertainty } = request;
      const target = stepTarget(text, timezone, history);
      await history.step({ target, mode, uncertainty: acceptUncertainty ? 'accept' : 'refuse' });
    }
  }
}

/** As everywhere, and `+30s`: so much later than the dataset is. */
function stepTarget(text: string, zone: string | undefined, history: DelayedHistory): Target {
  const { instant } = history.standing;
  if (!text.startsWith('+') || instant === undefined) return parseTarget(text, { now: systemClock.wall(), zone });
  const mirrored = parseTarget(`-${text.slice(1)}`, { now: instant, zone });
  return mirrored.kind === 'time' ? { kind: 'time', at: 2 * instant - mirrored.at } : mirrored;
}

async function statusOf({ source, delay, ttl, history, replicas, warnings }: ControlOptions): Promise<DelayedStatus> {
  const { state, since, instant, reached, trouble } = history.standing;
  return {
    source,
    state,
    delaySeconds: delay / 1_000_000,
    ttl,
    pausedSince: formatted(since),
    instant: formatted(instant),
    behindSeconds: instant === undefined ? null : Math.max(0, systemClock.wall() - instant) / 1_000_000,
    timeline: reached?.timeline ?? null,
    position: reached?.position ?? null,
    lastByte: formatted(reached?.stamp),
    replicas: replicasOf(replicas(), history.now()?.durable ?? 0),
    warnings: [...(trouble === undefined ? [] : [trouble.message]), ...(await warnings())],
  };
}

function formatted(at: Micros | undefined): string | null {
  return at === undefined ? null : formatInstant(at);
}
