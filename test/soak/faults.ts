// The faults of the soak: what is done to the site, and how many gaps that must leave. Each comes once
// as soon as it may, then they are chosen by weight.
// Invariant: when run() returns, nothing is in the way any more of everybody's being level again.
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/core/clock.ts';
import { readStatus } from '../../src/daemon/status.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import type { Random } from '../support/random.ts';
import type { SmallDisk } from '../support/small-disk.ts';
import type { Site } from './site.ts';

export interface FaultContext {
  readonly site: Site;
  readonly random: Random;
  readonly disk: SmallDisk | undefined;
  readonly problem: (text: string) => void;
}

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** `perhaps`: it depends on who was ahead of whom. */
  readonly gaps: 'none' | 'one' | 'perhaps';
  /** The journal's process does not outlive it. */
  readonly endsJournal?: true;
  readonly needsDisk?: true;
  readonly run: (context: FaultContext) => Promise<void>;
}

const fullDiskMs = 12_000;

export const faults: readonly Fault[] = [
  { name: 'link cut', weight: 4, gaps: 'none', run: async ({ site }) => site.tap.cut() },
  { name: 'link closed in order', weight: 2, gaps: 'none', run: async ({ site }) => site.tap.cut({ orderly: true }) },
  {
    name: 'link stalled',
    weight: 2,
    gaps: 'none',
    run: ({ site, random }) => disturbed(site, { stalled: true }, random.between(1000, 8000)),
  },
  {
    name: 'link slow',
    weight: 2,
    gaps: 'none',
    run: ({ site, random }) => disturbed(site, { bytesPerSecond: 100_000 }, random.between(1000, 5000)),
  },
  {
    name: 'address refuses connections',
    weight: 2,
    gaps: 'none',
    run: async ({ site, random }) => {
      await site.tap.refuse();
      site.tap.cut();
      await sleep(random.between(500, 4000));
      await site.tap.accept();
    },
  },
  {
    name: 'primary hangs',
    weight: 1,
    gaps: 'none',
    run: async ({ site, random }) => {
      site.primary.suspend();
      await sleep(random.between(500, 5000));
      site.primary.resume();
    },
  },
  {
    name: 'journal hangs',
    weight: 1,
    gaps: 'none',
    run: async ({ site, random }) => {
      site.journal.signal('SIGSTOP');
      await sleep(random.between(500, 8000));
      site.journal.signal('SIGCONT');
    },
  },
  {
    name: 'journal stopped and started',
    weight: 2,
    gaps: 'none',
    endsJournal: true,
    run: async ({ site, random, problem }) => {
      const code = await site.journal.stop();
      if (code !== 0) problem(`journal stopped with exit ${String(code)}`);
      await sleep(random.between(0, 2000));
      site.startJournal();
    },
  },
  {
    name: 'journal killed',
    weight: 3,
    gaps: 'none',
    endsJournal: true,
    run: async ({ site, random }) => {
      await site.journal.kill9();
      await sleep(random.between(0, 2000));
      site.startJournal();
    },
  },
  {
    name: 'disk full',
    weight: 2,
    gaps: 'none',
    needsDisk: true,
    run: async ({ site, disk, problem }) => {
      const end = performance.now() + fullDiskMs;
      while (performance.now() < end) {
        disk?.fill();
        await sleep(500);
      }
      const { healthy, state } = await readStatus(localDisk, site.journal.tree, systemClock);
      if (healthy) problem(`the disk had been full for ${fullDiskMs} ms, and the status was ${state}, healthy`);
      disk?.free();
    },
  },
  { name: 'failover', weight: 3, gaps: 'none', run: ({ site }) => site.failOver() },
  { name: 'primary killed, replica promoted', weight: 2, gaps: 'perhaps', run: ({ site }) => site.loseThePrimary() },
  { name: 'primary restarted', weight: 1, gaps: 'perhaps', run: ({ site }) => site.restartThePrimary() },
  { name: 'replica restarted', weight: 1, gaps: 'none', run: ({ site }) => site.restartTheReplica() },
  {
    name: 'replication id changed',
    weight: 1,
    gaps: 'one',
    run: async ({ site }) => {
      // Followers learn of it when they come back; until then a failover to one of them would be refused.
      await site.withPrimary((client) =>
        client.callMany([
          ['DEBUG', 'CHANGE-REPL-ID'],
          ['CLIENT', 'KILL', 'TYPE', 'slave'],
        ]),
      );
    },
  },
  {
    name: 'backlog overrun',
    weight: 1,
    gaps: 'one',
    run: async ({ site }) => {
      await site.withPrimary((client) => client.call('CONFIG', 'SET', 'repl-backlog-size', '16kb'));
      await site.tap.refuse();
      site.tap.cut();
      await sleep(3000);
      await site.tap.accept();
      await site.settled();
      await site.withPrimary((client) => client.call('CONFIG', 'SET', 'repl-backlog-size', '256mb'));
    },
  },
];

async function disturbed(site: Site, conditions: Parameters<Site['tap']['disturb']>[0], forMs: number): Promise<void> {
  site.tap.disturb(conditions);
  await sleep(forMs);
  site.tap.disturb({});
}
