/**
 * A running server, or a cluster, is given some keys, and keeps all others: RESTORE … REPLACE ABSTTL for each that is selected
 * and was there at T, a few megabytes under way, to the primary of its slot. Where one is the live primary, its journal is
 * given a mark first, as a way back.
 * Where only missing ones are written, RESTORE comes without REPLACE: a key that somebody has made by then is left alone.
 *
 *   scratch → (mark) → RESTORE … → (UNLINK of what is selected there and was not at T) → the servers
 *
 * Invariant: no command is sent that names a key which is not selected. What fails after the first touch says what has been
 * written; done again, it comes to the same.
 */
import { InterruptedError } from '../../core/errors.ts';
import { restoreCommands } from '../../scratch/dump-commands.ts';
import type { DumpCommand } from '../../scratch/dump-commands.ts';
import { dumpedKeys } from '../../scratch/dumped-keys.ts';
import { CommandPipe } from './command-pipe.ts';
import type { RestoreSource, Written } from '../outputs/output.ts';
import { withState } from './left-state.ts';
import { PartTarget } from './part-target.ts';
import { missingAmong } from './missing-keys.ts';
import { TargetOutput } from './target-output.ts';
import type { TargetServers } from './target-servers.ts';

interface Done {
  readonly pipe: CommandPipe;
  deleted: number;
  leftAlone: number;
  /** Of these, keys that came between the look and RESTORE. */
  late: number;
}

export class KeysOutput extends TargetOutput {
  async write(source: RestoreSource): Promise<Written> {
    using part = await PartTarget.open(this.target, source, this.clock, this.signal);
    const { servers, picked } = part;
    const mark = await this.#mark(part);
    const pipe = new CommandPipe((words) => this.#send(servers, words, done));
    const done: Done = { pipe, deleted: 0, leftAlone: 0, late: 0 };
    try {
      const seen = await this.#set(part, done, source.step);
      if (this.#deletesAbsent) await this.#deleteAbsent(part, done);
      await servers.requireSettled();
      const elapsed = Math.max(0, picked.taken - seen);
      const { deleted, leftAlone } = done;
      const server = { written: seen - leftAlone, leftAlone, deleted, elapsed, mark: mark ?? null };
      const warnings = elapsedWarning(elapsed);
      return { files: [], bytes: done.pipe.bytes, isBaseClone: false, warnings, picked, server };
    } catch (error) {
      throw this.#leftAfter(error, done, picked.taken, mark);
    }
  }

  get #onlyMissing(): boolean {
    return this.target.asked.part?.onlyMissing === true;
  }

  get #deletesAbsent(): boolean {
    return this.target.asked.part?.deletesAbsent === true;
  }

  /** The name of the mark, where one was set: where the live primary is now, not when it was looked at. */
  async #mark({ live, picked }: PartTarget): Promise<string | undefined> {
    if (live === undefined || (picked.taken === 0 && !this.#deletesAbsent)) return undefined;
    const { mark } = this.target;
    if (mark === undefined) throw new RangeError('nobody marks the journal of a live primary');
    return await mark(live.link.address, await live.link.replication());
  }

  /** Returns how many there were. */
  async #set(
    { servers, dataset, selection, picked }: PartTarget,
    done: Done,
    step: RestoreSource['step'],
  ): Promise<number> {
    const { pipe } = done;
    let seen = 0;
    let selected: number | undefined;
    for await (const batch of dumpedKeys(dataset, this.signal, selection)) {
      if (batch.db !== selected) await pipe.send([['SELECT', String(batch.db)]]);
      selected = batch.db;
      const keys = this.#onlyMissing ? await missingAmong(servers, batch.keys) : batch.keys;
      done.leftAlone += batch.keys.length - keys.length;
      await pipe.send(restoreCommands({ db: batch.db, keys }, !this.#onlyMissing));
      seen += batch.keys.length;
      step(seen, picked.taken, 'writing');
    }
    await pipe.finish();
    return seen;
  }

  async #send(servers: TargetServers, words: DumpCommand, done: Done): Promise<unknown> {
    try {
      return await servers.send(words);
    } catch (error) {
      if (!this.#onlyMissing || !(error instanceof Error) || !error.message.startsWith('BUSYKEY')) throw error;
      done.leftAlone += 1;
      done.late += 1;
      return undefined;
    }
  }

  async #deleteAbsent(part: PartTarget, done: Done): Promise<void> {
    for await (const { link, keys } of part.absent(this.signal)) {
      const gone = await Promise.all(keys.map(({ key }) => link.bytes('UNLINK', key)));
      done.deleted += gone.filter((count) => count === 1).length;
    }
  }

  #leftAfter(error: unknown, { pipe, deleted, late }: Done, taken: number, mark: string | undefined): Error {
    const gone = deleted === 0 ? '' : `, and ${deleted} are deleted`;
    const state = `${this.to} has taken at least ${pipe.answered - late} of ${taken} keys${gone}; all that are not selected are as they were`;
    const back = mark === undefined ? '' : `; as it was before is mark:${mark}`;
    return withState(this.signal.aborted ? new InterruptedError() : error, state, `it can be done again${back}`);
  }
}

function elapsedWarning(elapsed: number): string[] {
  if (elapsed === 0) return [];
  return [`${elapsed} keys whose time has passed are not written`];
}
