// `kill -9` of the journal at random moments under load, over and over: what kill.test.ts does some dozen times and
// kill.long.ts thousands of times. A witness writes numbered values and has WAIT confirm each, with the journal as the
// only follower; a confirmed one must be on disk whatever happens next.
// Invariant: every round ends with byte identity between journal and wire, after exactly one full sync.
import { expect } from 'vitest';
import { CaptureRig, fullSyncs } from '../redis/capture-rig.ts';
import { journaledEnd, recordedHistories } from '../support/journal-content.ts';
import { Random } from '../support/random.ts';
import { replyNumber } from '../support/resp-client.ts';
import type { RespClient } from '../support/resp-client.ts';
import type { ServerBinary } from '../support/servers.ts';
import { recordedAcks, replicationConnections } from '../support/tap-parser.ts';

export interface KilledRound {
  readonly seed: number;
  readonly kills: number;
}

interface Kill {
  /** The last byte on disk after it. */
  readonly end: number;
  /** The highest numbered value that WAIT had confirmed before it. */
  readonly confirmed: number;
}

/** One primary and one journal directory, killed again and again. */
export async function runKilledRound(binary: ServerBinary, { seed, kills }: KilledRound): Promise<void> {
  const random = new Random(seed);
  await using rig = await CaptureRig.start(binary);
  await rig.client.call('SET', 'before', 'the base');
  await rig.attach();
  const stop = new AbortController();
  const witness = new Witness();
  const writers = Promise.all([witness.run(rig, stop.signal), load(rig, random, stop.signal)]);
  const seen: Kill[] = [];
  try {
    for (let kill = 1; kill <= kills; kill += 1) {
      await sleep(random.between(20, 500));
      const { confirmed } = witness;
      await rig.journal.kill9();
      const end = await journaledEnd(rig.journal.tree);
      expect(end, `seed ${seed}, kill ${kill}: acknowledged and gone`).toBeGreaterThanOrEqual(highestAck(rig));
      seen.push({ end, confirmed });
      // Sometimes the next kill comes in the middle of recovery or of the handshake.
      if (random.between(0, 3) === 0) rig.run();
      else await rig.attach();
    }
    await rig.journal.waitFor('ready');
  } finally {
    stop.abort();
    await writers;
  }
  await rig.journaled();
  expect(await rig.journal.stop(), `seed ${seed}`).toBe(0);
  await rig.expectIdentity(`seed ${seed}`);
  expect(await fullSyncs(rig.client), `seed ${seed}: full syncs at the primary`).toBe(1);
  expectConfirmedOnDisk(rig, seen, seed);
}

/** Every value that WAIT had confirmed lies before the end of what was on disk at the kill that followed. */
function expectConfirmedOnDisk(rig: CaptureRig, seen: readonly Kill[], seed: number): void {
  const [history] = recordedHistories(rig.tap);
  if (history === undefined) throw new Error('the tap has seen no full sync');
  expect(Math.max(...seen.map(({ confirmed }) => confirmed)), `seed ${seed}: nothing was confirmed`).toBeGreaterThan(0);
  for (const { end, confirmed } of seen) {
    if (confirmed === 0) continue;
    const value = valueOf(confirmed);
    const at = history.stream.indexOf(value);
    expect(at, `seed ${seed}: ${value} was never sent`).toBeGreaterThan(-1);
    const offset = history.offset + at + value.length;
    expect(offset, `seed ${seed}: ${value} was confirmed and is gone`).toBeLessThanOrEqual(end);
  }
}

function highestAck(rig: CaptureRig): number {
  const acks = replicationConnections(rig.tap).flatMap(({ toPrimary }) => recordedAcks(toPrimary));
  return Math.max(0, ...acks.map(({ ack, fack = 0 }) => Math.max(ack, fack)));
}

/** Writes one numbered value after the other, each confirmed by the journal before the next. */
class Witness {
  /** The last one that was. */
  confirmed = 0;

  async run(rig: CaptureRig, signal: AbortSignal): Promise<void> {
    await using client = await rig.primary.connect();
    for (let n = 1; !signal.aborted; n += 1) {
      await client.call('SET', 'witness', valueOf(n));
      if (await isJournaled(client, signal)) this.confirmed = n;
    }
  }
}

/** Asks until the journal is there and has it on disk; false when the test ends before. */
async function isJournaled(client: RespClient, signal: AbortSignal): Promise<boolean> {
  let count = 0;
  while (count < 1) {
    if (signal.aborted) return false;
    count = replyNumber(await client.call('WAIT', 1, 200));
  }
  return true;
}

function valueOf(n: number): string {
  return `<witness ${n}>`;
}

/** Some megabytes a second, in commands of very different sizes, some of them in groups. */
async function load(rig: CaptureRig, random: Random, signal: AbortSignal): Promise<void> {
  await using client = await rig.primary.connect();
  while (!signal.aborted) {
    const commands: string[][] = [];
    const isGroup = random.between(0, 1) === 0;
    if (isGroup) commands.push(['MULTI']);
    for (let i = random.between(1, 40); i > 0; i -= 1) {
      const size = random.between(0, 30) === 0 ? random.between(1, 100_000) : random.between(1, 500);
      commands.push(['SET', `key:${random.between(0, 1000)}`, 'x'.repeat(size)]);
    }
    if (isGroup) commands.push(['EXEC']);
    await client.callMany(commands);
    await sleep(2);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
