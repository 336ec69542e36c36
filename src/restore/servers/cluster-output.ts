/**
 * A cluster takes over the dataset, each key the primary of its slot, functions every primary. Everything is ready, and the
 * rails of all primaries have been asked once more, before one of them is touched.
 *
 *   scratch → (FLUSHALL everywhere) → RESTORE … REPLACE ABSTTL, a few megabytes under way → by slot, the primaries
 *
 * Invariant: done is said when every primary, asked once more, still has the slots for which it took keys.
 */
import { tmpdir } from 'node:os';
import type { Clock } from '../../core/clock.ts';
import { InterruptedError, UsageError } from '../../core/errors.ts';
import { formatSlots } from '../../redis/cluster-map.ts';
import { infoFields, keyspaceIn } from '../../redis/info.ts';
import { hasFunctions } from '../../redis/server-version.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { dumpCommands } from '../../scratch/dump-commands.ts';
import type { DumpCommand } from '../../scratch/dump-commands.ts';
import { ClusterLink, slotsMoved } from './cluster-link.ts';
import type { ReachedPrimary } from './cluster-link.ts';
import { CommandPipe } from './command-pipe.ts';
import { throwIfInterrupted } from '../interruption.ts';
import { withState } from './left-state.ts';
import type { RestoreOutput, RestoreSource, Written } from '../outputs/output.ts';
import type { ServerTarget } from './server-output.ts';
import { decideCluster, refuseShares } from '../plan/target-cluster.ts';
import type { TargetLink } from './target-link.ts';
import type { PlannedPrimary } from '../plan/target-rails.ts';

const again = 'do it again with --replace, when the cluster is at rest: the journal still holds everything';

export class ClusterOutput implements RestoreOutput {
  readonly to: string;
  readonly scratchParent: string = tmpdir();
  readonly #target: ServerTarget;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;

  constructor(target: ServerTarget, clock: Clock, signal: AbortSignal) {
    this.to = `the cluster of ${target.plan.address}`;
    this.#target = target;
    this.#clock = clock;
    this.#signal = signal;
  }

  async write({ dataset }: RestoreSource): Promise<Written> {
    if (dataset === undefined)
      throw new RangeError('a cluster is restored from a scratch server, and the plan has none');
    using cluster = await ClusterLink.open(this.#target.config, this.#clock, this.#signal);
    const before = await this.#lookAgain(cluster, dataset);
    throwIfInterrupted(this.#signal);
    const flushed = await this.#flush(cluster, before);
    const count = { keys: 0, left: 0 };
    const pipe = new CommandPipe((args) => send(cluster, args));
    try {
      for await (const commands of dumpCommands(dataset, count, this.#signal)) await pipe.send(commands);
      await pipe.finish();
      await cluster.refuseMoved(before);
    } catch (error) {
      const gone = flushed ? ', and what it held is gone' : '';
      const state = `${this.to} holds a part of it, about ${pipe.answered} commands of which were taken${gone}`;
      throw withState(this.#signal.aborted ? new InterruptedError() : error, state, again);
    }
    const warnings = count.left === 0 ? [] : [`${count.left} keys whose time has passed are left out`];
    return { files: [], bytes: pipe.bytes, isBaseClone: false, warnings };
  }

  async publish(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Minutes may have passed since the plan: what was seen then is no ground for what happens now. */
  async #lookAgain(cluster: ClusterLink, dataset: ScratchDataset): Promise<ReachedPrimary[]> {
    const { asked, need, plan } = this.#target;
    const primaries = await cluster.facts();
    const now = decideCluster(primaries, asked, need);
    if (mapOf(now.cluster) !== mapOf(plan.cluster)) {
      throw new UsageError('cluster-unsettled', `the slots of ${this.to} have other owners than in the plan`, {
        exitCode: 11,
        hint: 'look at a new plan first; nothing was changed',
      });
    }
    const used = infoFields(await dataset.client.info('memory')).get('used_memory');
    refuseShares(primaries, Number(used ?? 0));
    for (const { db, keys } of keyspaceIn(await dataset.client.info('keyspace'))) {
      if (db !== 0) await this.#refuseDb(cluster, db, keys);
    }
    return primaries;
  }

  /** Most clusters have db 0 only. Which db is selected concerns nobody but us. */
  async #refuseDb(cluster: ClusterLink, db: number, keys: number): Promise<void> {
    for (const link of cluster.links) {
      try {
        await link.ask('SELECT', String(db));
        await link.ask('SELECT', '0');
      } catch (error) {
        throw new UsageError('cluster-dbs', `${keys} keys are in db ${db}, which ${link.address} does not have`, {
          exitCode: 1,
          hint: 'a cluster has db 0 alone, unless it is Valkey 9 with cluster-databases; nothing was changed',
          cause: error,
        });
      }
    }
  }

  /** Whether anything is gone now. */
  async #flush(cluster: ClusterLink, before: readonly ReachedPrimary[]): Promise<boolean> {
    const full = before.filter(({ facts }) => facts.keys > 0 || facts.libraries > 0);
    const done = await Promise.allSettled(
      full.map(async ({ link, facts }) => {
        await link.command('FLUSHALL');
        if (hasFunctions(facts.server)) await link.command('FUNCTION', 'FLUSH');
      }),
    );
    const failed = done.find((one) => one.status === 'rejected');
    if (failed === undefined) return full.length > 0;
    throw withState(
      failed.reason,
      `of the ${full.length} primaries of ${this.to} that held something, some or all are empty now`,
      again,
    );
  }
}

function mapOf(primaries: readonly PlannedPrimary[] | undefined): string {
  return (primaries ?? []).map(({ id, address, ranges }) => `${id} ${address} ${formatSlots(ranges)}`).join('\n');
}

/** A key goes where its slot is, anything else everywhere. */
async function send(cluster: ClusterLink, words: DumpCommand): Promise<unknown> {
  const [name, key] = words;
  if (name === 'RESTORE' && Buffer.isBuffer(key)) return await sendTo(cluster.linkOf(key), words);
  return await Promise.all(cluster.links.map((link) => sendTo(link, words)));
}

async function sendTo(link: TargetLink, words: DumpCommand): Promise<unknown> {
  try {
    return await link.pipe(words);
  } catch (error) {
    const reply = error instanceof Error ? error.message : String(error);
    if (/^(MOVED|ASK) /.test(reply)) throw slotsMoved(`${link.address} answered ${reply}`);
    throw new Error(`${reply} (${link.address})`, { cause: error });
  }
}
