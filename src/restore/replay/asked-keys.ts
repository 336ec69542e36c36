/**
 * Keys of which commands alone do not tell whether they had elapsed, or fields of them, in a scratch server that holds
 * these and what they depend on: what had is there, and is told as the commands that remove it.
 */
import type { Micros } from '../../core/clock.ts';
import { TtlJudge } from '../../redis/ttl-rule.ts';
import type { Expiring, TtlRule } from '../../redis/ttl-rule.ts';
import type { ScratchDataset } from '../../scratch/dataset.ts';
import { ttlEdits } from '../../scratch/edit-ttl.ts';
import type { Disk } from '../../storage/disk.ts';
import { throwIfInterrupted } from '../interruption.ts';
import type { AskedPlan, Plan } from '../plan/plan.ts';
import { loadScratch } from './load-scratch.ts';
import type { LoadOptions } from './load-scratch.ts';
import { PlannedBytes } from './planned-bytes.ts';

export class AskedKeys implements AsyncDisposable {
  readonly #dataset: ScratchDataset;
  /** By `db key`. */
  readonly #names: ReadonlySet<string>;
  readonly #advance: () => void;
  #judge: TtlJudge | undefined;

  private constructor(dataset: ScratchDataset, names: ReadonlySet<string>, advance: () => void) {
    this.#dataset = dataset;
    this.#names = names;
    this.#advance = advance;
  }

  static async load(disk: Disk, plan: Plan, { scratch, keys }: AskedPlan, options: LoadOptions): Promise<AskedKeys> {
    const advance = (): void => {
      throwIfInterrupted(options.signal);
    };
    const asked = { ...plan, scratch, held: { keys }, elapsed: undefined };
    const dataset = await loadScratch(asked, new PlannedBytes(disk, asked, advance), options);
    const names = plan.elapsed?.inDoubt().map(({ db, key }) => nameOf(db, key));
    return new AskedKeys(dataset, new Set(names), advance);
  }

  /** To be read once. */
  removals(disk: Disk, rule: TtlRule, now: Micros): AsyncIterable<Buffer> {
    this.#judge = new TtlJudge({ ...rule, others: 'stay' }, Math.floor(now / 1000));
    const takes = (db: number, _type: number, key: Buffer): boolean => this.#names.has(nameOf(db, key));
    return ttlEdits(disk, this.#dataset, this.#judge, { selection: { takes }, advance: this.#advance });
  }

  /** How many they were, when the removals have been read. */
  get elapsed(): Expiring | undefined {
    return this.#judge?.count.elapsed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dataset[Symbol.asyncDispose]();
  }
}

function nameOf(db: number, key: Buffer): string {
  return `${db} ${key.toString('latin1')}`;
}
