// One history, out of a seed: a primary, a network, a machine with a disk, and the journal's processes on it; what
// happens to them is drawn by chance, one thing after the other, until all troubles end and everything has to be well.
// Neighbours: life.ts is a process, primary.ts and network.ts its surroundings, witness.ts and audit.ts the judges.
// Invariant: the same seed gives the same history, byte for byte. A failing one tells how to repeat it.
import { queueBytesMax } from '../../src/core/limits.ts';
import { StorageError } from '../../src/core/errors.ts';
import type { Offset } from '../../src/core/position.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import { Random } from '../support/random.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';
import { Audit } from './audit.ts';
import type { Command } from './dataset.ts';
import { History } from './history.ts';
import { Life, digestOf } from './life.ts';
import { SimulatedNetwork } from './network.ts';
import { ModelPrimary } from './primary.ts';
import { MachineStorage } from './storage.ts';
import type { End } from './storage.ts';
import { SimulatedTime } from './time.ts';
import type { WallClock } from './time.ts';
import { Truth } from './truth.ts';
import { receivedOf, Witness } from './witness.ts';
import type { Epoch } from './witness.ts';

export interface HistoryReport {
  readonly trace: readonly string[];
  /** Of the trace and of every file in the end. */
  readonly digest: number;
  /** The names of the kill points at which a process ended. */
  readonly ends: readonly string[];
  /** Timelines that were begun. */
  readonly epochs: number;
  readonly acknowledged: Offset;
}

/** A disk that has to be looked at, with what was promised when it was as it is. */
interface Suspect {
  readonly disk: SimulatedDisk;
  readonly promised: ReadonlyMap<Epoch, Offset>;
  readonly why: string;
}

const root = '/simulated/journal';
const tree = sourceTree(root, 'shop');
const second = 1000;
const start = Date.parse('2026-11-20T14:30:00Z') * 1000;
/** Once nothing is wrong any more, all must be well within this: two silences, and the longest pause between attempts. */
const recoveryMs = 300 * second;
/** Behind so many commands the workload slows down: a history is to be eventful, not long. */
const fastWrites = 150;
const slowWritesMs = 2000;
const stepsMax = 200_000;
const slabBytesMax = 2 * queueBytesMax + 128 * 1024;

export class World {
  readonly seed: number;
  readonly #most: number;
  readonly trace: string[] = [];
  readonly ends: string[] = [];
  readonly #time = new SimulatedTime();
  readonly #wall: WallClock = { origin: start };
  /** Of the primaries' machine. */
  #clock: WallClock = { origin: start };
  readonly #truth: Truth;
  readonly #random: Random;
  readonly #workload: Random;
  readonly #network: SimulatedNetwork;
  readonly #storage: MachineStorage;
  readonly #witness: Witness;
  readonly #settings: {
    readonly segmentBytes: number;
    readonly backlogBytes: number;
    readonly outputBytesMax: number;
    readonly valueBytesMax: number;
    readonly writeEveryMs: number;
    readonly hasStateFile: boolean;
    /** Seconds by which the clock of the primary is ahead; undefined: it does not tell. */
    readonly aheadSeconds: number | undefined;
  };
  #primary: ModelPrimary;
  #life: Life | undefined;
  #isRestarting = false;
  #isEnding = false;
  #violation: string | undefined;
  readonly #suspects: Suspect[] = [];
  #keys = 0;
  #steps = 0;

  /** `most`: so many things happen at most. */
  constructor(seed: number, most: number) {
    this.seed = seed;
    this.#most = most;
    const random = new Random(seed);
    this.#random = random;
    this.#workload = new Random(seed + 1);
    const note = (text: string): void => {
      this.#note(text);
    };
    const time = this.#time;
    this.#network = new SimulatedNetwork({ time, random: new Random(seed + 2), note });
    this.#storage = new MachineStorage({
      time,
      random: new Random(seed + 3),
      note,
      kill: (end, where) => {
        this.#kill(end, where);
      },
      look: (where) => {
        this.#suspect(`the power could go ${where}`);
      },
    });
    this.#witness = new Witness((what) => {
      this.#violation ??= what;
    });
    this.#settings = {
      segmentBytes: random.pick([1, 300, 2000, 20_000]),
      backlogBytes: random.pick([300, 3000, 100_000]),
      outputBytesMax: random.pick([5000, 50_000, 1_000_000]),
      valueBytesMax: random.pick([10, 100, 3000]),
      writeEveryMs: random.pick([30, 150, 1500]),
      hasStateFile: random.chance(0.2),
      aheadSeconds: random.chance(0.3) ? undefined : random.pick([0, 0, 0.03, -0.5, 7, -3600]),
    };
    this.#clock.origin += (this.#settings.aheadSeconds ?? 0) * 1e6;
    this.#truth = new Truth(this.#time, this.#settings.aheadSeconds !== undefined);
    this.#note(`seed ${seed}: ${JSON.stringify(this.#settings)}`);
    const from = random.pick([0, 1, 5000]);
    const history = new History(from, new Map());
    this.#primary = this.#serve(this.#newId(), history, undefined, from);
  }

  /** All of it; throws at the first thing that is not right. */
  async run(): Promise<HistoryReport> {
    this.#begin();
    this.#writeOn();
    for (let left = this.#random.between(3, this.#most); left > 0; left -= 1) {
      this.#act();
      await this.#pass(this.#random.pick([1, 20, 300, 1500, 5000, 15_000]));
    }
    await this.#end();
    let acknowledged = 0;
    for (const epoch of this.#witness.epochs) acknowledged += epoch.acknowledged;
    return {
      trace: this.trace,
      digest: digestOf(new Map([['trace', Buffer.from(this.trace.join('\n'))], ...this.#storage.disk.files()])),
      ends: this.ends,
      epochs: this.#witness.epochs.length,
      acknowledged,
    };
  }

  #note(text: string): void {
    this.trace.push(`${(this.#time.now / 1e6).toFixed(3)} ${text}`);
  }

  /** Lets so much time go by. */
  async #pass(ms: number, isOver: () => boolean = () => false): Promise<void> {
    const end = this.#time.now + ms * 1000;
    await this.#look();
    while (!isOver() && (await this.#time.step(end))) {
      this.#steps += 1;
      if (this.#steps > stepsMax) throw new Error(`more than ${stepsMax} events: something turns in circles`);
      await this.#look();
    }
    await this.#look();
  }

  async #look(): Promise<void> {
    if (this.#violation !== undefined) throw new Error(this.#violation);
    const held = this.#life?.slabs.heldBytes ?? 0;
    if (held > slabBytesMax) throw new Error(`${held} bytes of slabs are held`);
    for (const { disk, promised, why } of this.#suspects.splice(0)) {
      this.#note(`audit: ${why}`);
      const audit = this.#audit(disk);
      await audit.promises(promised);
      await audit.restores(this.#random.between(0, 1));
      if (this.#random.chance(0.1)) await audit.reports();
    }
    this.#watch();
  }

  /** Starts the process again when it has ended. */
  #watch(): void {
    const end = this.#life?.end;
    if (end === undefined || this.#isRestarting || this.#isEnding) return;
    this.#note(`journal: ${end.how}${end.how === 'failed' ? `: ${String(end.error)}` : ''}`);
    if (end.how === 'failed' && !(end.error instanceof StorageError && this.#storage.hasFailed)) throw end.error;
    if (end.how === 'stopped') this.#requireNothingHeld();
    this.#isRestarting = true;
    this.#time.after(this.#random.pick([1, 500, 3000]), () => {
      this.#isRestarting = false;
      this.#begin();
    });
  }

  #requireNothingHeld(): void {
    const held = this.#life?.slabs.held ?? 0;
    if (held !== 0) throw new Error(`${held} slabs were never let go`);
  }

  #begin(): void {
    this.#note('journal: started');
    const { segmentBytes, hasStateFile } = this.#settings;
    this.#life = new Life({
      time: this.#time,
      wall: this.#wall,
      disk: this.#storage.disk,
      root,
      tree,
      network: this.#network,
      witness: this.#witness,
      truth: this.#truth,
      random: this.#random,
      segmentBytes,
      hasStateFile,
      hasDiskFailed: () => this.#storage.hasFailed,
      note: (text) => {
        this.#note(text);
      },
      acknowledged: () => {
        if (this.#random.chance(0.02)) this.#suspect('an acknowledgement left, and the power goes');
      },
    });
  }

  /** What would be found if the power went now. */
  #suspect(why: string): void {
    const disk = this.#storage.disk.afterPowerLoss(this.#seed());
    this.#suspects.push({ disk, promised: this.#witness.promises(), why });
  }

  #audit(disk: SimulatedDisk): Audit {
    return new Audit({ disk, root, tree, witness: this.#witness, truth: this.#truth, random: this.#random });
  }

  /** The process ends now, or the machine. */
  #kill(end: End, where: string): void {
    const life = this.#life;
    if (life === undefined || life.end !== undefined) return;
    this.#note(`${end} ${where}`);
    this.ends.push(where);
    life.kill(end === 'killed');
    const { disk } = this.#storage;
    this.#storage.use(end === 'killed' ? disk.kill() : disk.crash(this.#seed()));
    const found = Audit.copyOf(this.#storage.disk, tree);
    this.#suspects.push({ disk: found, promised: this.#witness.promises(), why: `${end} ${where}` });
  }

  /** One thing happens. */
  #act(): void {
    const { network, primary } = { network: this.#network, primary: this.#primary };
    const random = this.#random;
    const ms = random.pick([10, 500, 4000, 30_000]);
    const which = random.pick(['all', 'stream', 'stream', 'side'] as const);
    const actions: readonly (readonly [weight: number, name: string, act: () => void])[] = [
      [6, 'burst of writes', () => this.#burst(random.between(5, 60))],
      [4, 'GETACK', () => primary.isAlive && primary.ask()],
      [4, 'kill -9', () => this.#kill('killed', 'at any time')],
      [4, 'power loss', () => this.#kill('power', 'at any time')],
      [8, 'kill point', () => this.#armKillPoint()],
      [3, 'stop', () => this.#life?.stop()],
      [3, `links cut: ${which}`, () => network.cut('it was cut', which)],
      [2, `links silent: ${which}`, () => network.goSilent(which)],
      [4, `stall of ${ms} ms: ${which}`, () => network.stall(ms, which)],
      [2, `partition of ${ms} ms`, () => this.#partition(ms)],
      [2, 'slow network', () => (network.slowMs = random.pick([0, 0, 30, 400]))],
      [2, `disk full for ${ms} ms`, () => this.#fill(ms)],
      [3, 'disk error', () => this.#storage.errors.push(...random.pick([['io'], ['no-space'], ['io', 'io']] as const))],
      [2, `disk stalls for ${ms} ms`, () => this.#storage.stall(ms)],
      [3, 'wall clock step', () => this.#stepWall()],
      [1, 'primary clock step', () => this.#stepPrimary()],
      [1, `machine pauses for ${ms} ms`, () => this.#pause(ms)],
      [2, 'primary restarted with its RDB', () => this.#restartPrimary(true)],
      [1, 'primary restarted without history', () => this.#restartPrimary(false)],
      [3, 'failover', () => this.#failOver()],
      [1, 'CHANGE-REPL-ID', () => primary.isAlive && primary.changeId(this.#newId())],
      [1, 'backlog gone', () => primary.forgetBacklog()],
      [1, 'replicas dropped', () => primary.dropAll('CLIENT KILL')],
      [1, `primary loading for ${ms} ms`, () => primary.loading(ms)],
      [3, 'what if', () => this.#suspect('what if the power went')],
    ];
    let left = random.below(actions.reduce((sum, [weight]) => sum + weight, 0));
    const chosen = actions.find(([weight]) => (left -= weight) < 0);
    this.#note(`* ${chosen?.[1] ?? ''}`);
    chosen?.[2]();
  }

  #armKillPoint(): void {
    const random = this.#random;
    this.#storage.killPoint = {
      side: random.pick(['before', 'behind']),
      countdown: random.pick([1, 2, 3, 5, 8, 13, 21]),
      end: random.pick(['killed', 'power', 'power']),
    };
  }

  #partition(ms: number): void {
    this.#network.isPartitioned = true;
    if (this.#random.chance(0.5)) this.#network.goSilent();
    else this.#network.cut('the network is gone');
    this.#time.after(ms, () => {
      this.#network.isPartitioned = false;
    });
  }

  #fill(ms: number): void {
    this.#storage.isFull = true;
    this.#time.after(ms, () => {
      if (this.#storage.isFull) this.#storage.isFull = false;
    });
  }

  #stepWall(): void {
    const random = this.#random;
    const seconds = random.pick([0.4, 3, 90, 3600, 86_400]) * random.pick([-1, 1]);
    this.#note(`wall clock: ${seconds} s`);
    this.#wall.origin += seconds * 1e6;
  }

  #pause(ms: number): void {
    this.#life?.clock.pause(ms);
    this.#truth.pause(ms);
  }

  #stepPrimary(): void {
    const random = this.#random;
    const seconds = random.pick([0.4, 3, 90, 3600]) * random.pick([-1, 1]);
    this.#note(`clock of the primary: ${seconds} s`);
    this.#clock.origin += seconds * 1e6;
    this.#truth.shows(this.#clock.origin);
  }

  #serve(
    id: string,
    history: History,
    before: { readonly id: string; readonly last: Offset } | undefined,
    backlogFrom: Offset,
  ): ModelPrimary {
    this.#witness.histories.set(id, history);
    this.#truth.shows(this.#clock.origin);
    const primary = new ModelPrimary({
      time: this.#time,
      clock: this.#clock,
      tellsTime: this.#settings.aheadSeconds !== undefined,
      random: new Random(this.#seed()),
      note: (text) => {
        this.#note(text);
      },
      id,
      history,
      before,
      backlogFrom,
      backlogBytes: this.#settings.backlogBytes,
      outputBytesMax: this.#settings.outputBytesMax,
      renamed: (newId, same) => {
        this.#witness.histories.set(newId, same);
      },
    });
    this.#network.server = primary;
    return primary;
  }

  #restartPrimary(hasHistory: boolean): void {
    const { id, history, offset } = this.#primary;
    this.#primary.die();
    if (hasHistory) {
      this.#primary = this.#serve(this.#newId(), history, { id, last: offset }, offset);
    } else {
      const from = this.#random.below(100);
      const old = history.stateAt(history.boundary(Math.floor((history.start + offset) / 2)));
      this.#primary = this.#serve(this.#newId(), new History(from, old), undefined, from);
    }
    this.#primary.loading(this.#random.pick([0, 100, 3000]));
  }

  /** A replica that is as far as the primary, or behind it, takes over; the journal may be on either side. */
  #failOver(): void {
    const { id, history, offset } = this.#primary;
    this.#primary.die();
    const lag = this.#random.pick([0, 0, 30, 300, 3000]);
    const at = history.boundary(Math.max(history.start, offset - this.#random.between(0, lag)));
    // On another machine, whose clock may be another.
    const { origin } = this.#clock;
    this.#clock = { origin: origin + this.#random.pick([0, 0, 0, 2, -2, 600]) * 1e6 };
    this.#note(`failover at ${at}, the primary was at ${offset}`);
    const backlogFrom = Math.max(history.start, at - this.#settings.backlogBytes);
    this.#primary = this.#serve(this.#newId(), history.fork(at), { id, last: at }, backlogFrom);
  }

  #burst(count: number): void {
    for (let left = count; left > 0 && this.#primary.isAlive; left -= 1) this.#write();
  }

  #writeOn(): void {
    const { writeEveryMs } = this.#settings;
    const everyMs = this.#keys < fastWrites ? writeEveryMs : Math.max(slowWritesMs, writeEveryMs);
    this.#time.after(-Math.log(1 - this.#workload.next()) * everyMs, () => {
      if (this.#isEnding) return;
      if (this.#primary.isAlive) this.#write();
      this.#writeOn();
    });
  }

  #write(): void {
    const random = this.#workload;
    const count = random.chance(0.2) ? random.between(2, 6) : 1;
    this.#primary.write(random.pick([0, 0, 0, 0, 1, 7]), ...Array.from({ length: count }, () => this.#command()));
  }

  #command(): Command {
    const random = this.#workload;
    const key = `key ${random.below(20)}`;
    this.#keys += 1;
    switch (random.below(5)) {
      case 0:
        return ['DEL', key];
      case 1:
      case 2:
        return ['INCRBY', `count ${random.below(5)}`, String(random.between(1, 9))];
      default:
        return ['SET', key, `${this.#keys} `.padEnd(random.below(this.#settings.valueBytesMax), '\r\n*1$x')];
    }
  }

  /** Nothing goes wrong any more: all must be well soon, stay well over a stop, and be true. */
  async #end(): Promise<void> {
    this.#note('* all is mended');
    this.#isEnding = false;
    this.#network.isPartitioned = false;
    this.#network.slowMs = 0;
    this.#storage.heal();
    await this.#pass(recoveryMs, () => this.#isWell());
    if (!this.#isWell()) throw new Error(`not streaming again after ${recoveryMs / 1000} s: ${this.#where()}`);
    this.#note('* well again, and stopped');
    this.#isEnding = true;
    this.#life?.stop();
    await this.#pass(60 * second, () => this.#life?.end !== undefined);
    if (this.#life?.end?.how !== 'stopped') throw new Error(`it did not stop: ${this.#where()}`);
    this.#requireNothingHeld();
    await this.#pass(second);
    const audit = this.#audit(Audit.copyOf(this.#storage.disk, tree));
    await audit.promises(this.#witness.promises());
    await audit.reports();
    await audit.restores(4);
  }

  #isWell(): boolean {
    const progress = this.#life?.capture?.progress;
    const { offset, online } = this.#primary;
    const isThere = progress?.isEstablished === true && progress.durable === offset;
    return isThere && online === 1 && this.#life?.isLinked === true && this.#primary.acknowledged === offset;
  }

  #where(): string {
    const progress = this.#life?.capture?.progress;
    const streaming = this.#life?.streaming;
    const { offset, acknowledged, online } = this.#primary;
    const received = streaming === undefined ? 'nothing' : receivedOf(streaming);
    return JSON.stringify({ offset, acknowledged, online, received, durable: progress?.durable, end: this.#life?.end });
  }

  #newId(): string {
    return this.#random.bytes(20).toString('hex');
  }

  #seed(): number {
    return this.#random.below(2 ** 31);
  }
}
