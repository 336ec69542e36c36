// Time, with real servers: what was written while nothing could be received is found when it was written, if the primary
// could be asked meanwhile, and refused as uncertain if not. The truth is taken down by the writer: after each write, the
// primary's clock and its offset.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Micros } from '../../src/core/clock.ts';
import { CoverageError } from '../../src/core/errors.ts';
import type { Cut, UncertaintyRule } from '../../src/restore/locate/locate.ts';
import { loadCatalog } from '../../src/log/catalog.ts';
import { planRestore } from '../../src/restore/plan/plan-restore.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import type { RespClient } from '../support/resp-client.ts';
import { CaptureRig, primaryOffset } from './capture-rig.ts';

/** The state of the primary at an instant of its clock. */
interface Truth {
  readonly time: Micros;
  readonly offset: number;
}

const second = 1_000_000;
const password = 'not-a-secret';

/** Writes every 20 ms until stopped. */
class Writer {
  readonly truths: Truth[] = [];
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(client: RespClient) {
    this.#running = this.#run(client);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** What was there at most `margin` away from the instant. */
  around(time: Micros, before: Micros, behind: Micros): { readonly least: number; readonly most: number } {
    const least = this.truths.findLast((truth) => truth.time <= time - before)?.offset ?? 0;
    const most = this.truths.find((truth) => truth.time >= time + behind)?.offset ?? Infinity;
    return { least, most };
  }

  async #run(client: RespClient): Promise<void> {
    for (let i = 0; !this.#isStopped; i += 1) {
      await client.call('SET', 'count', i);
      const [seconds, micros] = (await client.call('TIME')) as Buffer[];
      const offset = await primaryOffset(client);
      this.truths.push({ time: Number(seconds) * second + Number(micros), offset });
      await sleep(20);
    }
  }
}

/** A journal that logs in as a user of its own, so that what it may do can be changed under it. */
async function attachAsUser(rig: CaptureRig, ...rules: readonly string[]): Promise<void> {
  await rig.client.call('ACL', 'SETUSER', 'journal', 'on', `>${password}`, '+@all', ...rules);
  await rig.attach({ args: ['--user', 'journal'], env: { JOURNAL_PASSWORD: password } });
}

/** The link is lost, and not let back in for `ms`; whatever else the user may do goes on. */
async function interrupt(rig: CaptureRig, ms: number): Promise<void> {
  const from = rig.journal.lines.length;
  await rig.client.call('ACL', 'SETUSER', 'journal', '-psync');
  await rig.client.call('CLIENT', 'KILL', 'TYPE', 'replica');
  await sleep(ms);
  await rig.client.call('ACL', 'SETUSER', 'journal', '+psync');
  await rig.journal.waitFor('attached', { from, timeoutMs: 30_000 });
}

async function cutAt(
  rig: CaptureRig,
  at: Micros,
  uncertainty: UncertaintyRule = 'refuse',
): Promise<Cut | CoverageError> {
  const request = { target: { kind: 'time', at }, text: `@${at}`, mode: 'at', now: systemClock.wall() } as const;
  try {
    return (await planRestore(localDisk, rig.journal.tree, { ...request, relativeTtl: 'convert', uncertainty })).cut;
  } catch (error) {
    if (error instanceof CoverageError) return error;
    throw error;
  }
}

/** Evenly spread over the time that the writer wrote in. */
function instants({ truths }: Writer, count: number): Micros[] {
  const [first, last] = [truths[0]!.time, truths.at(-1)!.time];
  return Array.from({ length: count }, (_, i) => first + Math.round(((last - first) * (i + 0.5)) / count));
}

function expectTrue(cut: Cut | CoverageError, writer: Writer, at: Micros): void {
  if (cut instanceof CoverageError) throw cut;
  const { least, most } = writer.around(at, 350_000, 50_000);
  expect(cut.offset).toBeGreaterThanOrEqual(least);
  expect(cut.offset).toBeLessThanOrEqual(most);
}

describeServers('the time of what was written', (binary) => {
  test('during an outage is the primary’s, as it was sampled meanwhile', async () => {
    await using rig = await CaptureRig.start(binary);
    await attachAsUser(rig);
    const writer = new Writer(await rig.primary.connect());
    await sleep(1000);
    await interrupt(rig, 2500);
    await sleep(1000);
    await writer.stop();
    await rig.journaled();
    await sleep(1500);
    const bases = new Set<string>();
    for (const at of instants(writer, 40)) {
      const cut = await cutAt(rig, at);
      expectTrue(cut, writer, at);
      if (!(cut instanceof CoverageError) && cut.time !== undefined) bases.add(cut.time.basis);
    }
    expect([...bases].sort()).toEqual(['receipt', 'samples']);
  });

  test('during an outage is uncertain when the primary may not be asked, and said to be', async () => {
    await using rig = await CaptureRig.start(binary);
    await attachAsUser(rig, '-time');
    const warning = await rig.journal.waitFor('no-samples');
    expect(warning).toMatchObject({ level: 'warn', code: 'no-permission' });
    const writer = new Writer(await rig.primary.connect());
    await sleep(1000);
    await interrupt(rig, 2500);
    await sleep(500);
    await writer.stop();
    await rig.journaled();
    const seen = new Set<string>();
    for (const at of instants(writer, 40)) {
      const cut = await cutAt(rig, at);
      if (!(cut instanceof CoverageError)) {
        expectTrue(cut, writer, at);
        seen.add('certain');
        continue;
      }
      expect(cut).toMatchObject({ code: 'time-uncertain', exitCode: 5 });
      seen.add('uncertain');
      const accepted = await cutAt(rig, at, 'accept');
      if (accepted instanceof CoverageError) throw accepted;
      const { uncertain } = accepted.time!;
      const { least, most } = writer.around(at, 0, 0);
      expect(uncertain!.from).toBeLessThanOrEqual(most);
      expect(uncertain!.to).toBeGreaterThanOrEqual(least);
      expect(accepted.offset).toBe(uncertain!.from);
    }
    expect([...seen].sort()).toEqual(['certain', 'uncertain']);
    expect(rig.journal.of('no-samples')).toHaveLength(1);
  });

  test('while the journal was stopped is uncertain, although the link stayed', async () => {
    await using rig = await CaptureRig.start(binary);
    await rig.attach();
    const writer = new Writer(await rig.primary.connect());
    await sleep(1000);
    rig.journal.signal('SIGSTOP');
    const stoppedAt = systemClock.wall();
    await sleep(4000);
    rig.journal.signal('SIGCONT');
    await sleep(1500);
    await writer.stop();
    await rig.journaled();
    await sleep(1500);
    expect(rig.journal.of('link-interrupted')).toEqual([]);
    expect(await cutAt(rig, stoppedAt + 2 * second)).toMatchObject({ code: 'time-uncertain' });
    for (const at of instants(writer, 20)) {
      const cut = await cutAt(rig, at);
      if (!(cut instanceof CoverageError)) expectTrue(cut, writer, at);
    }
  });

  test('during a slow full sync is the primary’s, as it was sampled meanwhile', async () => {
    await using rig = await CaptureRig.start(binary);
    for (let i = 0; i < 40; i += 1) {
      await rig.client.call('MSET', ...Array.from({ length: 200 }, (_, j) => `key:${i}:${j - (j % 2)}`));
    }
    await rig.client.call('CONFIG', 'SET', 'rdb-key-save-delay', '1000');
    const writer = new Writer(await rig.primary.connect());
    await rig.attach();
    await rig.client.call('CONFIG', 'SET', 'rdb-key-save-delay', '0');
    await sleep(1000);
    await writer.stop();
    await rig.journaled();
    await sleep(1500);
    const [timeline] = (await loadCatalog(localDisk, rig.journal.tree)).timelines;
    const { stamp, completed } = timeline!.base.record;
    expect(completed - stamp).toBeGreaterThan(3 * second);
    for (const at of instants(writer, 40)) {
      const cut = await cutAt(rig, at);
      // The first sample comes a moment after the full sync has begun.
      if (at > stamp + 2 * second || !(cut instanceof CoverageError)) expectTrue(cut, writer, at);
    }
  });
});
