// The soak: load on a primary with a replica and a journal, one fault after the other, for as long as it is told; then
// everything that was promised is asked for. It takes an hour and is run by hand, not by npm test.
//
//   npm run test:soak -- [--minutes 60] [--seed N] [--disk-gib 4]
//
// Prints its result as Markdown on stdout and what it does on stderr; exits 1 when anything was not as promised. In the
// first two thirds nothing ends the journal's process, so that its memory can be judged over a long life.
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/core/clock.ts';
import { readStatus } from '../../src/daemon/status.ts';
import { verifySource } from '../../src/log/verify.ts';
import { knownCommands } from '../../src/redis/command-scan.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { Random } from '../support/random.ts';
import { pickServer, serverLabel } from '../support/servers.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { type Fault, faults } from './faults.ts';
import { Gauge } from './gauge.ts';
import { Load } from './load.ts';
import { Proof } from './proof.ts';
import { type FaultCount, formatResult, type SoakResult } from './report.ts';
import { Site } from './site.ts';

interface Settings {
  readonly minutes: number;
  readonly seed: number;
  readonly diskGib: number;
}

/** Of the time, without faults that end the journal. */
const longLifeShare = 2 / 3;
const calmMs = { least: 2000, most: 8000 };
/** A quiet instant is noted after so many faults, and random instants are restored while it runs. */
const faultsPerInstant = 5;
const randomAtEnd = 40;

// An exit, unlike a signal, unmounts the small disk.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130));
const settings = readSettings();
const result = await soak(settings);
process.stdout.write(formatResult(result));
process.exit(result.problems.length === 0 ? 0 : 1);

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      'disk-gib': { type: 'string', default: '4' },
    },
  });
  return { minutes: Number(values.minutes), seed: Number(values.seed), diskGib: Number(values['disk-gib']) };
}

async function soak({ minutes, seed, diskGib }: Settings): Promise<SoakResult> {
  const refusal = SmallDisk.refusal('ext4');
  using disk = refusal === undefined ? SmallDisk.mount('ext4', diskGib * 1024) : undefined;
  await using site = await Site.start(pickServer(), disk?.path ?? temporaryDirectory('soak'));
  const problems: string[] = [];
  const startedAt = new Date();
  const problem = (text: string): void => {
    problems.push(text);
    tell(startedAt, `PROBLEM: ${text}`);
  };
  using gauge = new Gauge(() => site.journal);
  const load = new Load(site, seed);
  const proof = new Proof(site, load, problem);
  const random = new Random(seed);
  load.start();
  const counts = new Map<Fault, FaultCount>();
  const deadline = performance.now() + minutes * 60_000;
  const begin = performance.now();
  let result = {};
  try {
    await disturb();
    result = await prove();
  } catch (error) {
    problem(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return {
    server: serverLabel(site.binary),
    seed,
    startedAt,
    seconds: (Math.min(performance.now(), deadline) - begin) / 1000,
    faults: [...counts.values()].sort((a, b) => faults.indexOf(a.fault) - faults.indexOf(b.fault)),
    notTried: refusal === undefined ? [] : [`a full disk: ${refusal}`],
    lives: site.lives.length,
    fullSyncs: site.logged('full-sync').length,
    reconnections: load.reconnections,
    gauge: gauge.verdict(),
    restores: proof.restores,
    streamBytes: 0,
    commands: load.commands,
    confirmed: { all: load.confirmed.length, inStreams: 0, inBases: 0 },
    gaps: { logged: site.logged('gap').length, status: NaN, verify: NaN },
    verifyExit: NaN,
    ...result,
    problems,
  };

  async function disturb(): Promise<void> {
    for (let number = 1; performance.now() < deadline; number += 1) {
      const isLongLife = performance.now() - begin < minutes * 60_000 * longLifeShare;
      const possible = faults.filter(({ needsDisk, endsJournal }) => {
        if (needsDisk === true && disk === undefined) return false;
        return !(isLongLife && endsJournal === true);
      });
      const untried = possible.filter((candidate) => !counts.has(candidate));
      const fault = untried.length > 0 ? random.pick(untried) : chooseByWeight(random, possible);
      await commit(fault);
      if (number % faultsPerInstant === 0) await note();
      await sleep(random.between(calmMs.least, calmMs.most));
    }
  }

  async function commit(fault: Fault): Promise<void> {
    tell(startedAt, fault.name);
    const before = { gaps: site.logged('gap').length, syncs: site.logged('full-sync').length };
    await fault.run({ site, random, disk, problem });
    if (!site.journal.isRunning) {
      problem(`the journal ended by itself after '${fault.name}': ${site.journal.stderr.slice(-600)}`);
      site.startJournal();
    }
    await site.settled();
    const gaps = site.logged('gap').length - before.gaps;
    const syncs = site.logged('full-sync').length - before.syncs;
    const most = fault.gaps === 'none' ? 0 : 1;
    const least = fault.gaps === 'one' ? 1 : 0;
    if (gaps < least || gaps > most) problem(`${gaps} gaps after '${fault.name}'`);
    if (syncs !== gaps) problem(`${syncs} full syncs and ${gaps} gaps after '${fault.name}'`);
    const count = counts.get(fault) ?? { fault, times: 0, gaps: 0 };
    counts.set(fault, { fault, times: count.times + 1, gaps: count.gaps + gaps });
  }

  /** A new one, which is restored at once, while the journal is written. */
  async function note(): Promise<void> {
    await proof.note();
    const instant = proof.instants.at(-1);
    if (instant !== undefined) await proof.checkQuiet(instant);
    await checkRandomInstants(2);
  }

  async function checkRandomInstants(count: number): Promise<void> {
    const { intervals } = await readStatus(localDisk, site.journal.tree, systemClock);
    for (let left = count; left > 0 && intervals.length > 0; left -= 1) {
      const { from, to } = random.pick(intervals);
      await proof.checkRandom(random, Date.parse(from) * 1000, Date.parse(to) * 1000);
    }
  }

  async function prove(): Promise<Partial<SoakResult>> {
    await load.stop();
    await site.settled();
    const code = await site.journal.stop();
    if (code !== 0) problem(`the journal stopped with exit ${String(code)}`);
    tell(startedAt, 'proving');
    const verified = await verifySource(localDisk, site.journal.tree, { known: knownCommands });
    const status = await readStatus(localDisk, site.journal.tree, systemClock);
    const logged = site.logged('gap').length;
    if (verified.gaps.length !== logged || status.gaps.length !== logged) {
      problem(`${logged} gaps were logged, ${status.gaps.length} are in status, ${verified.gaps.length} in verify`);
    }
    if (verified.exitCode !== (logged === 0 ? 0 : 3)) {
      problem(`verify exits ${verified.exitCode}: ${JSON.stringify(verified.problems.slice(0, 5))}`);
    }
    const inJournal = await proof.checkConfirmed();
    for (const instant of proof.instants) await proof.checkQuiet(instant);
    await checkRandomInstants(randomAtEnd);
    const { isFlat, rssMb, descriptors } = gauge.verdict();
    if (isFlat === false) problem(`not flat: ${rssMb.join(' to ')} MB, ${descriptors.join(' to ')} descriptors`);
    const { timelines } = await proof.catalog();
    return {
      streamBytes: timelines.reduce((sum, { base, end }) => sum + end - base.record.offset, 0),
      confirmed: { all: load.confirmed.length, ...inJournal },
      gaps: { logged, status: status.gaps.length, verify: verified.gaps.length },
      verifyExit: verified.exitCode,
    };
  }
}

function chooseByWeight(random: Random, possible: readonly Fault[]): Fault {
  let roll = random.next() * possible.reduce((sum, { weight }) => sum + weight, 0);
  const chosen = possible.find(({ weight }) => (roll -= weight) < 0) ?? possible[0];
  if (chosen === undefined) throw new Error('no fault is possible');
  return chosen;
}

function tell(since: Date, text: string): void {
  process.stderr.write(`${((Date.now() - since.getTime()) / 1000).toFixed(0).padStart(5)} s  ${text}\n`);
}
