/**
 * A running server is given some keys, and keeps all others: RESTORE … REPLACE ABSTTL for each that is selected and was
 * there at T, a few megabytes under way. Where it is the live primary, its journal is given a mark first, as a way back.
 *
 *   scratch → (mark) → RESTORE … → (UNLINK of what is selected there and was not at T) → the server
 *
 * Invariant: no command is sent that names a key which is not selected. What fails after the first touch says what has been
 * written; done again, it comes to the same.
 */
import { tmpdir } from 'node:os';
import { InterruptedError } from '../../core/errors.ts';
import type { Clock } from '../../core/clock.ts';
import type { KeySelection } from '../../redis/key-selection.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { restoreCommands } from '../../scratch/dump-commands.ts';
import { dumpedKeys } from '../../scratch/dumped-keys.ts';
import { absentKeys } from './absent-keys.ts';
import { CommandPipe } from './command-pipe.ts';
import { countSaved } from '../outputs/filter-saved.ts';
import { throwIfInterrupted } from '../interruption.ts';
import type { RestoreOutput, RestoreSource, Written } from '../outputs/output.ts';
import { requireDbs } from './require-dbs.ts';
import { withState } from './left-state.ts';
import type { ServerTarget } from './server-output.ts';
import { TargetLink } from './target-link.ts';
import { decideTarget } from '../plan/target-rails.ts';

interface Done {
  readonly pipe: CommandPipe;
  deleted: number;
}

export class KeysOutput implements RestoreOutput {
  readonly to: string;
  readonly scratchParent: string = tmpdir();
  readonly #target: ServerTarget;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;

  constructor(target: ServerTarget, clock: Clock, signal: AbortSignal) {
    this.to = target.plan.address;
    this.#target = target;
    this.#clock = clock;
    this.#signal = signal;
  }

  async write({ disk, plan, dataset }: RestoreSource): Promise<Written> {
    const { selection } = plan;
    if (dataset === undefined || selection === undefined) throw new RangeError('the plan selects no keys');
    // Names that collide are refused before anything has been touched.
    const picked = await countSaved(disk, await dataset.save(), selection);
    using link = await TargetLink.open(this.#target.config, this.#clock, this.#signal);
    await requireDbs(link, dataset, selection);
    throwIfInterrupted(this.#signal);
    const mark = await this.#lookAgain(link, picked.taken);
    const pipe = new CommandPipe((args) => link.pipe(args));
    const done: Done = { pipe, deleted: 0 };
    try {
      const seen = await this.#set(dataset, selection, pipe);
      if (this.#target.asked.part?.deletesAbsent === true) await this.#deleteAbsent(link, dataset, selection, done);
      const elapsed = Math.max(0, picked.taken - seen);
      const { deleted } = done;
      const server = { written: seen, deleted, elapsed, mark: mark ?? null };
      return { files: [], bytes: pipe.bytes, isBaseClone: false, warnings: elapsedWarning(elapsed), picked, server };
    } catch (error) {
      throw this.#leftAfter(error, done, picked.taken, mark);
    }
  }

  async publish(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Minutes may have passed since the plan. Returns the mark, where one was set. */
  async #lookAgain(link: TargetLink, taken: number): Promise<string | undefined> {
    const { asked, need, mark } = this.#target;
    const facts = await link.facts();
    const { isLive, part } = decideTarget(facts, asked, need);
    if (!isLive || (taken === 0 && part?.deletesAbsent !== true)) return undefined;
    if (mark === undefined) throw new RangeError('nobody marks the journal of a live primary');
    return await mark(facts.replication);
  }

  /** Returns how many there were. */
  async #set(dataset: ScratchDataset, selection: KeySelection, pipe: CommandPipe): Promise<number> {
    let seen = 0;
    let selected: number | undefined;
    for await (const batch of dumpedKeys(dataset, this.#signal, selection)) {
      if (batch.db !== selected) await pipe.send([['SELECT', String(batch.db)]]);
      selected = batch.db;
      await pipe.send(restoreCommands(batch));
      seen += batch.keys.length;
    }
    await pipe.finish();
    return seen;
  }

  async #deleteAbsent(link: TargetLink, dataset: ScratchDataset, selection: KeySelection, done: Done): Promise<void> {
    for await (const absent of absentKeys(link, dataset, selection, this.#signal)) {
      const gone = await Promise.all(absent.map(({ key }) => link.bytes('UNLINK', key)));
      done.deleted += gone.filter((count) => count === 1).length;
    }
  }

  #leftAfter(error: unknown, { pipe, deleted }: Done, taken: number, mark: string | undefined): Error {
    const gone = deleted === 0 ? '' : `, and ${deleted} are deleted`;
    const state = `${this.to} has taken at least ${pipe.answered} of ${taken} keys${gone}; all that are not selected are as they were`;
    const back = mark === undefined ? '' : `; as it was before is mark:${mark}`;
    return withState(this.#signal.aborted ? new InterruptedError() : error, state, `it can be done again${back}`);
  }
}

function elapsedWarning(elapsed: number): string[] {
  if (elapsed === 0) return [];
  return [`${elapsed} keys whose time has passed are not written`];
}
