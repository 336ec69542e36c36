// Judges what is on a disk: every promise is kept, every restore is what the primary's state was or is refused, and all
// reports tell of the same gaps. It reads with the real readers, on a copy, while the world stands still.
// Neighbours: witness.ts knows what was promised, history.ts what is true.
import assert from 'node:assert/strict';
import { CoverageError } from '../../src/core/errors.ts';
import { formatInstant } from '../../src/core/instant.ts';
import type { Micros } from '../../src/core/clock.ts';
import { formatPosition } from '../../src/core/position.ts';
import type { Offset } from '../../src/core/position.ts';
import { idAt, loadCatalog } from '../../src/log/catalog.ts';
import type { Timeline } from '../../src/log/catalog.ts';
import { certainWithin } from '../../src/restore/locate/certainty.ts';
import { gather } from '../../src/restore/locate/time-evidence.ts';
import { readRange } from '../../src/log/read-range.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { timeCoverage } from '../../src/restore/locate/locate-coverage.ts';
import type { CutMode, UncertaintyRule } from '../../src/restore/locate/locate.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { executeRestore } from '../../src/restore/restore.ts';
import type { Target } from '../../src/restore/locate/target.ts';
import { cli } from '../cli/cli.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { Random } from '../support/random.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { Engine, decodeCommands, decodeRdb, text } from './dataset.ts';
import { judgeTime } from './time-audit.ts';
import type { Truth } from './truth.ts';
import type { Epoch, Read, Witness } from './witness.ts';

/** What was written during an interruption has come that long behind it, at most. */
const settledMost = 60_000_000;

/** A timeline on the disk, and what it is a record of. */
interface Kept {
  readonly timeline: Timeline;
  readonly epoch: Epoch;
}

interface Interval {
  readonly timeline: number;
  readonly from: string;
  readonly to: string;
  readonly fromPosition: string;
  readonly toPosition: string;
}

interface Gap {
  readonly timeline: number;
  readonly fromPosition: string;
  readonly toPosition: string;
  readonly from: string;
  readonly to: string;
  readonly cause: string;
}

interface Orphan {
  readonly timeline: number;
  readonly fromPosition: string;
  readonly toPosition: string;
}

interface VerifyProblem {
  readonly kind: string;
  readonly timeline: number | null;
  readonly message: string;
}

interface VerifySide {
  readonly timeline: number;
  readonly id: string;
  readonly offset: string;
  readonly time: string;
}

interface Verified {
  readonly exitCode: number;
  readonly orphans: readonly { readonly timeline: number; readonly from: string; readonly to: string }[];
  readonly problems: readonly VerifyProblem[];
  readonly gaps: readonly { readonly from: VerifySide; readonly to: VerifySide; readonly cause: string }[];
  readonly timelines: readonly {
    readonly timeline: number;
    readonly restorable: readonly {
      readonly from: string;
      readonly to: string;
      readonly first: string;
      readonly last: string;
    }[];
  }[];
}

export interface AuditOptions {
  readonly disk: SimulatedDisk;
  readonly root: string;
  readonly tree: SourceTree;
  readonly witness: Witness;
  readonly truth: Truth;
  readonly random: Random;
}

export class Audit {
  readonly #disk: SimulatedDisk;
  readonly #tree: SourceTree;
  readonly #root: string;
  readonly #witness: Witness;
  readonly #truth: Truth;
  readonly #random: Random;
  #promised: ReadonlyMap<Epoch, Offset> = new Map();
  #kept: readonly Kept[] = [];
  #restores = 0;

  constructor({ disk, root, tree, witness, truth, random }: AuditOptions) {
    this.#disk = disk;
    this.#root = root;
    this.#tree = tree;
    this.#witness = witness;
    this.#truth = truth;
    this.#random = random;
  }

  /** Of a disk as it is now. */
  static copyOf(disk: SimulatedDisk, tree: SourceTree): SimulatedDisk {
    return SimulatedDisk.holding(disk.files(), [tree.marks, tree.timelines]);
  }

  /** All that was acknowledged is there, and every byte that is there is true. */
  async promises(promised: ReadonlyMap<Epoch, Offset>): Promise<void> {
    this.#promised = promised;
    if ((await this.#disk.size(this.#tree.timelines)) === undefined) {
      for (const { acknowledged } of this.#witness.epochs)
        assert.equal(acknowledged, 0, 'acknowledged, and all is gone');
      return;
    }
    const { timelines } = await loadCatalog(this.#disk, this.#tree);
    this.#kept = timelines.map((timeline) => {
      const { id, offset, stamp } = timeline.record;
      const epoch = this.#witness.find(id, offset, stamp);
      assert(epoch !== undefined, `timeline ${timeline.number} is one that nobody began`);
      return { timeline, epoch };
    });
    for (const [epoch, acknowledged] of promised) {
      if (acknowledged === 0) continue;
      const end = this.#kept.find((one) => one.epoch === epoch)?.timeline.end ?? 0;
      const what = `${acknowledged} was acknowledged behind ${epoch.offset}`;
      assert(end >= acknowledged, `${what}, and the journal ends at ${end}`);
    }
    for (const kept of this.#kept) await this.#isTrue(kept);
  }

  /** status, ls and verify tell the same, and the truth. */
  async reports(): Promise<void> {
    if ((await this.#disk.size(this.#tree.timelines)) === undefined) return;
    const status = await this.#json<{ intervals: Interval[]; gaps: Gap[]; orphans: Orphan[] }>('status');
    const ls = await this.#json<{ timelines: Interval[]; gaps: Gap[]; orphans: Orphan[] }>('ls');
    const verify = await this.#json<Verified>('verify');
    const intervals = ({ timeline, from, to, fromPosition, toPosition }: Interval): Interval => ({
      ...{ timeline, from, to, fromPosition, toPosition },
    });
    assert.deepEqual(ls.timelines.map(intervals), status.intervals.map(intervals), 'ls and status on intervals');
    assert.deepEqual(ls.gaps, status.gaps, 'ls and status on gaps');
    assert.deepEqual(ls.orphans, status.orphans, 'ls and status on orphans');
    const verified = verify.gaps.map(({ from, to, cause }) => ({
      timeline: to.timeline,
      from: from.time,
      to: to.time,
      fromPosition: `${from.id}:${from.offset}`,
      toPosition: `${to.id}:${to.offset}`,
      cause,
    }));
    const orphans = verify.orphans.map(({ timeline, from, to }) => ({ timeline, fromPosition: from, toPosition: to }));
    assert.deepEqual(orphans, status.orphans, 'verify and status on orphans');
    const told = status.gaps.map(({ timeline, from, to, fromPosition, toPosition, cause }) => ({
      ...{ timeline, from, to, fromPosition, toPosition, cause },
    }));
    assert.deepEqual(verified, told, 'verify and status on gaps');
    this.#gapsAreTrue(told, status.intervals);
    const finished = new Set(status.intervals.map(({ timeline }) => timeline));
    const newest = Math.max(0, ...verify.timelines.map(({ timeline }) => timeline));
    const isCut = (one: VerifyProblem): boolean =>
      // A process that ended between the RDB's name and its document leaves what looks like a lost document.
      one.kind === 'missing' && one.timeline === newest && !finished.has(newest);
    const problems = verify.problems.filter((one) => one.kind !== 'torn' && !isCut(one)).map(({ message }) => message);
    assert.deepEqual(problems, [], 'verify finds problems');
    const restorable = verify.timelines.filter(({ timeline }) => finished.has(timeline)).map((one) => one.restorable);
    assert.deepEqual(
      restorable.map((ranges) => ranges.map(({ from, first, last }) => ({ from, first, last }))),
      status.intervals.map(({ from, to, fromPosition }) => [{ from: fromPosition.slice(41), first: from, last: to }]),
      'verify and status on what is covered',
    );
    for (const [i, { toPosition }] of status.intervals.entries()) {
      const range = restorable[i]?.[0];
      // Where it ends inside a command, the last position that can be restored is before that.
      const isIn = range !== undefined && Number(range.to) >= Number(toPosition.slice(41));
      assert(isIn, `verify ends at ${range?.to}, status at ${toPosition}`);
    }
  }

  /** So many restores, of all kinds of targets. */
  async restores(count: number): Promise<void> {
    for (let left = count; left > 0 && this.#kept.length > 0; left -= 1) {
      const kept = this.#random.pick(this.#kept);
      const mode = this.#random.chance(0.7) ? 'at' : 'before';
      switch (this.#random.below(4)) {
        case 0:
          await this.#restorePosition(kept, mode);
          break;
        case 1:
          await this.#restoreLatest();
          break;
        default:
          if (this.#truth.isTold) await this.#restoreTold(this.#truth.shownAt(this.#momentNear(kept)), mode);
          else await this.#restoreTime(this.#instantNear(kept), mode);
      }
    }
  }

  async #isTrue({ timeline, epoch }: Kept): Promise<void> {
    const { number, base, end, boundary, lastStamp } = timeline;
    const { history } = epoch;
    const start = base.record.offset + 1;
    let next = start;
    for await (const { start: at, bytes } of readRange(this.#disk, timeline.segments, start, end)) {
      assert.equal(at, next);
      assert(history.bytes(at, at + bytes.length - 1).equals(bytes), `timeline ${number}: other bytes behind ${at}`);
      next += bytes.length;
    }
    assert.equal(next, end + 1, `timeline ${number} ends early`);
    assert.equal(boundary, Math.max(start - 1, history.boundary(end)), `timeline ${number}: boundary`);
    const acknowledged = this.#promised.get(epoch) ?? 0;
    if (acknowledged <= epoch.offset) return;
    const { from, to } = timeCoverage(timeline);
    const stamps = [epoch.reads, ...epoch.givenUp].map(
      (reads) => reads.find((read) => read.end >= acknowledged)?.stamp,
    );
    const received = Math.min(...stamps.map((stamp) => stamp ?? Infinity));
    assert(from <= (epoch.coveredFrom ?? from), `timeline ${number} is covered from too late on`);
    assert(
      to >= received || received === Infinity,
      `timeline ${number} was acknowledged beyond ${formatInstant(lastStamp)}`,
    );
  }

  #gapsAreTrue(gaps: readonly Gap[], intervals: readonly Interval[]): void {
    const followed = this.#kept.slice(1).map(({ timeline }) => timeline);
    assert.deepEqual(
      gaps.map(({ timeline, toPosition }) => ({ timeline, toPosition })),
      followed.map(({ number, base }) => ({ timeline: number, toPosition: formatPosition(base.record) })),
      'there is a gap before each timeline but the first',
    );
    for (const [i, { fromPosition, from }] of gaps.entries()) {
      const kept = this.#kept[i];
      assert(kept !== undefined);
      const { timeline, epoch } = kept;
      const [id = '', text = ''] = fromPosition.split(':');
      const offset = Number(text);
      assert(
        this.#witness.historyOf(id).isLike(epoch.history, offset),
        `a gap begins in another history: ${fromPosition}`,
      );
      const isAtEnd = offset === timeline.end && id === idAt(timeline, offset) && from === intervals[i]?.to;
      assert(
        isAtEnd && offset >= (this.#promised.get(epoch) ?? 0),
        `a gap begins at ${fromPosition}, ${from}; the timeline before ends at ${timeline.end}, ${intervals[i]?.to}`,
      );
    }
  }

  /** On or near an edge as often as anywhere. */
  #instantNear({ timeline, epoch }: Kept): Micros {
    const { from, to } = timeCoverage(timeline);
    const edges = [from, to, ...epoch.reads.map(({ stamp }) => stamp)];
    const edge = this.#random.pick(edges);
    if (this.#random.chance(0.6)) return edge + this.#random.between(-1, 1);
    return Math.round(from - 1_000_000 + (to - from + 2_000_000) * this.#random.next());
  }

  /** The same, in the world's time. */
  #momentNear({ epoch }: Kept): Micros {
    const edges = [...epoch.reads.map(({ at }) => at), ...epoch.outages.flatMap(({ lost, back }) => [lost, back])];
    const now = this.#truth.now;
    if (edges.length === 0 || this.#random.chance(0.3)) return Math.round(now * this.#random.next());
    return this.#random.pick(edges) + this.#random.pick([-30_000_000, -1_000_000, -1, 0, 1, 1_000_000]);
  }

  /** A time of the primary, which was asked for it. */
  async #restoreTold(at: Micros, mode: CutMode): Promise<void> {
    const last = mode === 'at' ? at : at - 1;
    const plan = await this.#plan({ kind: 'time', at }, mode, [0, 4, 5]);
    if (plan === undefined) {
      await this.#acceptUncertain(at, mode);
      return;
    }
    const kept = this.#kept.find(({ timeline }) => timeline.number === plan.timeline);
    assert(kept !== undefined);
    const { offset, time } = plan.cut;
    judgeTime({ at: last, cut: offset, time }, kept.epoch, this.#truth);
    await this.#isRight(plan, kept, offset);
  }

  async #acceptUncertain(at: Micros, mode: CutMode): Promise<void> {
    const plan = await this.#plan({ kind: 'time', at }, mode, [0, 4, 5], 'accept');
    if (plan === undefined) return;
    const kept = this.#kept.find(({ timeline }) => timeline.number === plan.timeline);
    const { offset, time } = plan.cut;
    assert(kept !== undefined && time?.uncertain !== undefined, `${plan.text} is certain when it is accepted`);
    const { uncertain } = time;
    // Where the timeline ends, what had been written by then may be beyond it.
    const to = uncertain.to === kept.timeline.boundary ? Infinity : uncertain.to;
    const told = { ...time, uncertain: { ...uncertain, to } };
    judgeTime({ at: mode === 'at' ? at : at - 1, cut: offset, time: told }, kept.epoch, this.#truth);
  }

  async #restoreTime(at: Micros, mode: CutMode): Promise<void> {
    const last = mode === 'at' ? at : at - 1;
    const covering = this.#kept.filter(
      ({ timeline }) => timeline.base.record.stamp <= last && last <= timeCoverage(timeline).to,
    );
    const [kept] = covering;
    const isClear = kept !== undefined && covering.length === 1;
    const mayBeUncertain = isClear && (await this.#isInterrupted(kept.timeline, last));
    const exitCode = covering.length === 0 ? 4 : isClear ? 0 : 5;
    const plan = await this.#plan({ kind: 'time', at }, mode, mayBeUncertain ? [0, 5] : [exitCode]);
    if (plan === undefined || kept === undefined) return;
    const { timeline, epoch } = kept;
    assert(!this.#isUnknown(kept, last), `${plan.text} is in an outage, and was taken for certain`);
    const isBaseOnly = last < timeline.base.record.completed;
    // What was given up may be on the disk instead of what came again: as true, with the stamps of its own time.
    const cuts = [epoch.reads, ...epoch.givenUp].map((reads) => {
      const received = isBaseOnly ? epoch.offset : receivedBy(reads, last, kept);
      return Math.max(epoch.offset, epoch.history.boundary(received));
    });
    const { offset } = plan.cut;
    await this.#isRight(plan, kept, cuts.includes(offset) ? offset : (cuts[0] ?? epoch.offset));
  }

  /** Whether the log says that the stream was away around the instant, and for how long its answer may be uncertain. */
  async #isInterrupted(timeline: Timeline, at: Micros): Promise<boolean> {
    const { interruptions } = await gather(this.#disk, timeline, timeline.segments);
    return interruptions.some(({ lostStamp, stamp }) => {
      const settled = Math.min(settledMost, Math.max(certainWithin, stamp - lostStamp));
      return stamp - lostStamp > certainWithin && lostStamp <= at && at < stamp + settled;
    });
  }

  /** Whether what came behind an outage may have been written before the instant as well as behind it. */
  #isUnknown({ timeline, epoch }: Kept, at: Micros): boolean {
    return epoch.outages.some(({ offset, from, to }) => {
      if (to - from <= certainWithin || at <= from || at >= to) return false;
      const behind = epoch.reads.findLast(({ end, stamp }) => stamp <= to + certainWithin && end <= timeline.end);
      return epoch.history.boundary(behind?.end ?? offset) > epoch.history.boundary(offset);
    });
  }

  async #restoreLatest(): Promise<void> {
    const kept = this.#kept.at(-1);
    if (kept === undefined) return;
    const plan = await this.#plan({ kind: 'latest' }, 'at', [0]);
    if (plan !== undefined) await this.#isRight(plan, kept, kept.timeline.boundary);
  }

  async #restorePosition({ timeline, epoch }: Kept, mode: CutMode): Promise<void> {
    const first = timeline.base.record.offset;
    const offset = this.#random.between(first + 1, Math.max(first + 1, timeline.end));
    if (offset > timeline.end) return;
    const id = idAt(timeline, offset);
    const end = epoch.history.boundaryBehind(offset - 1) ?? Infinity;
    const expected = mode === 'at' ? end : epoch.history.boundary(offset - 1);
    const kept = this.#kept.filter((one) => one.timeline.ids.some((entry) => entry.id === id));
    // Another timeline of the same history may hold the end of the command.
    const isWhole = kept.some((one) => one.timeline.boundary >= expected) || expected <= timeline.boundary;
    if (mode === 'at' && end > timeline.boundary && kept.length > 1) return;
    const plan = await this.#plan({ kind: 'position', idPrefix: id, offset }, mode, [isWhole ? 0 : 4]);
    if (plan === undefined) return;
    const chosen = this.#kept.find((one) => one.timeline.number === plan.timeline);
    assert(chosen !== undefined);
    await this.#isRight(plan, chosen, Math.max(expected, chosen.timeline.base.record.offset));
  }

  /** The plan; undefined when it was refused, as it had to be. */
  async #plan(
    target: Target,
    mode: CutMode,
    expected: readonly number[],
    uncertainty: UncertaintyRule = 'refuse',
  ): Promise<Plan | undefined> {
    const asked = `${mode} ${JSON.stringify(target)}`;
    try {
      const now = Number.MAX_SAFE_INTEGER;
      const request = { target, mode, now, text: asked, relativeTtl: 'refuse', uncertainty } as const;
      const plan = await planRestore(this.#disk, this.#tree, request);
      assert(expected.includes(0), `${asked} had to be refused, and gave a plan up to ${plan.cut.offset}`);
      return plan;
    } catch (error) {
      if (!(error instanceof CoverageError)) throw error;
      assert(expected.includes(error.exitCode), `${asked} was refused: ${error.message}`);
      return undefined;
    }
  }

  async #isRight(plan: Plan, { timeline, epoch }: Kept, cut: Offset): Promise<void> {
    const what = `${plan.text} on timeline ${timeline.number}`;
    assert.equal(plan.timeline, timeline.number, what);
    assert.equal(plan.cut.offset, cut, what);
    this.#restores += 1;
    const to = `/restored-${this.#restores}`;
    const clock = new PatientClock();
    await executeRestore(this.#disk, plan, { to, clock, writer: 'simulation' });
    const files = this.#disk.files();
    const rdb = files.get(`${to}/appendonlydir/appendonly.aof.1.base.rdb`);
    const aof = files.get(`${to}/appendonlydir/appendonly.aof.1.incr.aof`);
    assert(rdb !== undefined && aof !== undefined, `${what}: no files`);
    const dataset = decodeRdb(rdb);
    assert.equal(text(dataset), text(epoch.base), `${what}: the base is another`);
    const engine = new Engine(dataset);
    for (const command of decodeCommands(aof)) engine.execute(command);
    assert(!engine.inGroup, `${what}: it ends inside a MULTI`);
    assert.equal(text(dataset), text(epoch.history.stateAt(cut)), `${what}: another state`);
    await this.#disk.removeTree(to);
  }

  async #json<T>(verb: string): Promise<T> {
    const argv = [verb, '--json', '--dir', this.#root, '--name', this.#tree.source];
    const { stdout, stderr } = await cli(argv, { disk: this.#disk, clock: new PatientClock() });
    assert.notEqual(stdout, '', `journal ${verb} says nothing but ${stderr}`);
    return JSON.parse(stdout) as T;
  }
}

/** The last byte that had come by then, of those that are on the disk. */
function receivedBy(reads: readonly Read[], at: Micros, { timeline, epoch }: Kept): Offset {
  const read = reads.findLast(({ end, stamp }) => stamp <= at && end <= timeline.end);
  // A read whose end was lost is there as far as the timeline goes.
  const cut = reads.find(({ end }) => end > timeline.end);
  return cut !== undefined && cut.stamp <= at ? timeline.end : (read?.end ?? epoch.offset);
}

/** Whoever waits has waited. */
class PatientClock extends ManualClock {
  override sleep(ms: number): Promise<void> {
    this.advance(ms);
    return Promise.resolve();
  }
}
