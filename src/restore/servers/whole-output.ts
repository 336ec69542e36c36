/**
 * A running server, or a cluster, is given the whole dataset key by key, each key the primary of its slot, functions every
 * primary. Everything is ready, and the rails of all have been asked once more, before one of them is touched.
 *
 *   scratch → (FLUSHALL everywhere) → RESTORE … REPLACE ABSTTL, a few megabytes under way → the server, or the primaries
 *
 * Invariant: what fails after the first touch says in which state that leaves the target. Done is said of a cluster when every
 * primary, asked once more, still has the slots for which it took keys.
 */
import { InterruptedError, LinkError } from '../../core/errors.ts';
import { keysIn } from '../../redis/info.ts';
import { hasFunctions } from '../../redis/server-version.ts';
import { dumpCommands } from '../../scratch/dump-commands.ts';
import { throwIfInterrupted } from '../interruption.ts';
import type { RestoreSource, Written } from '../outputs/output.ts';
import { CommandPipe } from './command-pipe.ts';
import { withState } from './left-state.ts';
import { requireDbs } from './require-dbs.ts';
import { TargetOutput } from './target-output.ts';
import { TargetServers } from './target-servers.ts';
import type { ReachedServer } from './target-servers.ts';

const again = 'do it again with --replace: the journal still holds everything';

export class WholeOutput extends TargetOutput {
  async write({ dataset, step }: RestoreSource): Promise<Written> {
    if (dataset === undefined)
      throw new RangeError('servers are restored from a scratch server, and the plan has none');
    using servers = await TargetServers.open(this.target, dataset, this.clock, this.signal);
    await requireDbs(servers.links, dataset);
    throwIfInterrupted(this.signal);
    if (servers.plan.isLeftBehind) for (const link of servers.links) await link.letGo();
    const isFlushed = await this.#flush(servers);
    const count = { keys: 0, left: 0 };
    const pipe = new CommandPipe((args) => servers.send(args));
    const total = keysIn(await dataset.client.info('keyspace'));
    try {
      for await (const commands of dumpCommands(dataset, count, this.signal)) {
        await pipe.send(commands);
        step(count.keys, total, 'writing');
      }
      await pipe.finish();
      await servers.requireSettled();
    } catch (error) {
      const gone = isFlushed ? ', and what it held is gone' : '';
      const state = `${this.to} holds a part of it, about ${pipe.answered} commands of which were taken${gone}`;
      throw withState(this.signal.aborted ? new InterruptedError() : error, state, again);
    }
    const warnings = count.left === 0 ? [] : [`${count.left} keys whose time has passed are left out`];
    return { files: [], bytes: pipe.bytes, isBaseClone: false, warnings };
  }

  /** Whether anything is gone now. */
  async #flush({ reached }: TargetServers): Promise<boolean> {
    const full = reached.filter(({ facts }) => facts.keys > 0 || facts.libraries > 0);
    const outcomes = await Promise.all(full.map(flush));
    const failed = outcomes.find(({ error }) => error !== undefined);
    if (failed === undefined) return full.length > 0;
    if (!outcomes.some(({ isTouched }) => isTouched)) throw failed.error;
    const state =
      full.length === 1
        ? `${this.to} may be empty now`
        : `of the ${full.length} primaries of ${this.to} that held something, some or all are empty now`;
    throw withState(failed.error, state, again);
  }
}

async function flush({
  link,
  facts,
}: ReachedServer): Promise<{ readonly isTouched: boolean; readonly error?: unknown }> {
  let isTouched = false;
  try {
    await link.command('FLUSHALL');
    isTouched = true;
    if (hasFunctions(facts.server)) await link.command('FUNCTION', 'FLUSH');
    return { isTouched };
  } catch (error) {
    // One that was lost may have done it.
    return { isTouched: isTouched || (error instanceof LinkError && error.code === 'target-lost'), error };
  }
}
