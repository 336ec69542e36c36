// The link between two journals on real servers, through a proxy that delays, throttles and cuts: no byte is lost, and time at
// the far site is that of the near one.
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { loadCatalog } from '../../src/log/catalog.ts';
import { readEvidence } from '../../src/log/evidence.ts';
import { openSegmentReader } from '../../src/log/segment-reader.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { decodeReads } from '../../journal-format/reads.ts';
import { systemClock } from '../../src/core/clock.ts';
import { readStatus } from '../../src/daemon/status.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { Door } from '../support/door.ts';
import { eventually } from '../support/eventually.ts';
import { journaledEnd, journaledHistories } from '../support/journal-content.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { replyNumber } from '../support/resp-client.ts';
import { fullSyncs, primaryOffset, startJournal } from './capture-rig.ts';
import { ChainRig } from './chain-rig.ts';
import { password } from './feed-rig.ts';

/** All that a journal knows of time: bases, the reads, what it noted. */
async function timeOf(tree: SourceTree): Promise<unknown> {
  const { timelines } = await loadCatalog(localDisk, tree);
  const all: unknown[] = [];
  for (const { base, segments, end } of timelines) {
    const reads: { stamp: number; end: number }[] = [];
    const notes = { samples: [] as unknown[], attaches: [] as unknown[] };
    for (const segment of segments) {
      const { samples, attaches } = await readEvidence(localDisk, segment);
      notes.samples.push(...samples.filter(({ primaryOffset: offset }) => offset <= end));
      notes.attaches.push(...attaches);
      await using reader = await openSegmentReader(localDisk, segment.path, segment.kind);
      for await (const { header, meta } of reader.frames()) {
        if (header.kind !== 'stream') continue;
        decodeReads(meta, header).forEach((stamp, last) => {
          // One read may have been cut in two on the way.
          if (reads.at(-1)?.stamp === stamp) reads.pop();
          reads.push({ stamp, end: last });
        });
      }
    }
    const { stamp, completed, id, offset, size, crc64 } = base.record;
    all.push({ base: { stamp, completed, id, offset, size, crc64 }, reads, ...notes });
  }
  return all;
}

/** Both know the same of time; the last words may still be under way. */
async function expectSameTime(chain: ChainRig, message: string): Promise<void> {
  await chain.near.client.call('SET', 'the last', 'word');
  await chain.level();
  await eventually(
    'the far journal to know of time what the near one does',
    async () => {
      const near = await timeOf(chain.near.journal.tree);
      const far = await timeOf(chain.far.tree);
      expect(far, message).toEqual(near);
      return true;
    },
    { timeoutMs: 20_000, everyMs: 200 },
  );
}

describeServers('over a link with a directory that is served, the far journal', (binary) => {
  test('has the bytes and the time of whoever writes there, who may come and go', { timeout: 120_000 }, async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    await chain.near.write(200);
    await chain.near.attach();
    const { process, port } = await chain.near.serve();
    await using _process = process;
    const source = `redis://127.0.0.1:${port}`;
    const far = await chain.attach({ source });
    expect(far.of('connected')).toEqual([
      expect.objectContaining({ link: 1, server: (await chain.near.journal.waitFor('connected')).server }),
    ]);
    await chain.near.write(200);
    await expectSameTime(chain, `seed ${seed}`);
    expect(await chain.status()).toMatchObject({ healthy: true, degraded: null, link: { hops: 0, isUp: true } });
    // Nobody writes: what is there is served, also to one that has nothing yet.
    await chain.near.journal.kill9();
    await eventually('its status to tell', async () => (await chain.status()).degraded?.code === 'source-alone');
    const fresh = path.join(temporaryDirectory('fresh'), 'journal-data');
    const env = { JOURNAL_PASSWORD: password };
    await using another = startJournal(binary, { source, dir: fresh, env });
    await another.waitFor('ready');
    await eventually(
      'it to have all',
      async () => (await journaledEnd(another.tree)) === (await journaledEnd(far.tree)),
    );
    expect(await timeOf(another.tree)).toEqual(await timeOf(far.tree));
    // The next writer goes on.
    await chain.near.attach();
    await chain.near.write(200);
    await expectSameTime(chain, `seed ${seed}`);
    await eventually('it to be well again', async () => (await chain.status()).healthy);
    await chain.expectSame(`seed ${seed}`);
    for (const journal of [far, another]) expect(journal.of('full-sync')).toHaveLength(1);
    expect(await fullSyncs(chain.near.client)).toBe(1);
  });
});

describeServers('over a link, the far journal', (binary) => {
  test('has the stamps, samples and interruptions of the near one, whatever happens to either', async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    await chain.near.write(200);
    await chain.near.attach();
    const far = await chain.attach();
    expect(far.of('connected')).toEqual([expect.objectContaining({ link: 1 })]);
    for (let round = 0; round < 3; round += 1) {
      await chain.near.write(100);
      await sleep(1200);
      if (round === 0) chain.near.capture.tap.cut();
      if (round === 1) await chain.far.kill9();
      if (round === 1) await chain.attach();
      if (round === 2) await chain.near.journal.kill9();
      if (round === 2) await chain.near.attach();
      await chain.near.write(100);
      await expectSameTime(chain, `seed ${seed}, round ${round}`);
    }
    await chain.expectSame(`seed ${seed}`);
    expect(await fullSyncs(chain.near.client)).toBe(1);
  });

  test('loses no byte, and no time, when the link is cut again and again at any byte', async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    await chain.near.write(100);
    await chain.near.attach();
    const tap = await (await chain.attach(), chain.tap());
    for (let round = 0; round < 6; round += 1) {
      tap.disturb({ cutAfterBytes: 300 + ((seed >> round) % 4000), delayMs: round });
      const before = tap.connections.length;
      tap.cut();
      await chain.near.write(150);
      await eventually('it to come back', () => tap.connections.length > before);
    }
    tap.disturb({});
    await expectSameTime(chain, `seed ${seed}`);
    await chain.expectSame(`seed ${seed}`);
    expect(chain.far.of('full-sync')).toHaveLength(1);
  });

  test('goes on inside a base after the link broke, and after either was killed', async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    // Nothing that could be compressed.
    for (let i = 0; i < 24; i += 1) await chain.near.client.call('SET', `large:${i}`, randomBytes(1024 * 1024));
    await chain.near.attach();
    const tap = await chain.tap();
    tap.disturb({ bytesPerSecond: 4_000_000 });
    await chain.run();
    const half = async (bytes: number): Promise<void> => {
      const link = await eventually('a link', () => tap.connections.findLast(({ isOpen }) => isOpen));
      await eventually('some of the base', () => link.forwarded > bytes, { timeoutMs: 20_000 });
    };
    await half(5_000_000);
    tap.cut();
    await eventually('it to go on', () => chain.far.of('full-sync').length === 2);
    await half(4_000_000);
    await chain.far.kill9();
    await chain.run();
    await half(4_000_000);
    await chain.near.journal.kill9();
    await chain.near.attach();
    tap.disturb({});
    await chain.far.waitFor('ready');
    await expectSameTime(chain, `seed ${seed}`);
    await chain.expectSame(`seed ${seed}`);
    const sent = tap.connections.reduce((sum, { forwarded }) => sum + forwarded, 0);
    // Each time what lies between the last whole chunk and the cut, and what was under way.
    expect(sent).toBeLessThan(25.5 * 1024 * 1024 + 3 * 3_000_000);
    expect(await readdir(chain.far.tree.directory)).not.toContain('partial');
    expect(await fullSyncs(chain.near.client)).toBe(1);
  });

  test('begins a base anew that the near one has no more', async () => {
    await using chain = await ChainRig.start(binary, 1);
    for (let i = 0; i < 4; i += 1) await chain.near.client.call('SET', `large:${i}`, randomBytes(1024 * 1024));
    await chain.near.attach();
    const tap = await chain.tap();
    tap.disturb({ cutAfterBytes: 3_000_000 });
    await chain.run();
    await chain.far.waitFor('link-interrupted');
    await tap.refuse();
    tap.disturb({});
    // Another history: the near journal begins another timeline.
    await chain.near.client.call('DEBUG', 'CHANGE-REPL-ID');
    chain.near.capture.tap.cut();
    await chain.near.journal.waitFor('gap');
    await tap.accept();
    await chain.far.waitFor('ready');
    expect(chain.far.of('full-sync').at(-1)).not.toHaveProperty('held');
    await chain.near.client.call('SET', 'after', 'that');
    await chain.level();
    expect(await readdir(chain.far.tree.directory)).not.toContain('partial');
  });

  test('and the near one tell how far it is behind, and who follows whom', async () => {
    await using chain = await ChainRig.start(binary, 1);
    await chain.near.attach();
    await chain.attach();
    const tap = await chain.tap();
    await chain.near.client.call('SET', 'a', 'key');
    await chain.level();
    await eventually('it to be level by its own account', async () => {
      const { link } = await chain.status();
      return link?.hops === 0 && link.isUp && link.hop.bytes === 0 && link.total.bytes === 0;
    });
    // Its words are of each second.
    await eventually('the near one to know of it', async () => {
      const near = await readStatus(localDisk, chain.near.journal.tree, systemClock);
      expect(near).toMatchObject({ link: null, ack: 'local', replicas: [{ isJournal: true, state: 'online' }] });
      return true;
    });
    tap.disturb({ bytesPerSecond: 20_000 });
    await chain.near.client.call('SET', 'large', randomBytes(200_000));
    const { link } = await eventually('it to be behind', async () => {
      const status = await chain.status();
      return (status.link?.hop.bytes ?? 0) > 100_000 && status;
    });
    expect(link?.total.bytes).toBeGreaterThanOrEqual(link?.hop.bytes ?? 0);
    tap.disturb({});
    await chain.level();
  });

  test('is waited for before the primary is answered, with --ack remote', async () => {
    await using chain = await ChainRig.start(binary, 1);
    const wait = async (ms: number): Promise<number> => replyNumber(await chain.near.client.call('WAIT', 1, ms));
    await chain.near.attach({ args: ['--ack', 'remote'] });
    await chain.near.client.call('SET', 'nobody', 'has it elsewhere');
    expect(await wait(1500)).toBe(0);
    const alone = await readStatus(localDisk, chain.near.journal.tree, systemClock);
    expect(alone.warnings).toEqual([expect.stringContaining('--ack remote: no journal')]);
    await chain.attach();
    for (let i = 0; i < 5; i += 1) {
      await chain.near.client.call('SET', 'both', i);
      expect(await wait(10_000)).toBe(1);
      expect(await journaledEnd(chain.far.tree)).toBeGreaterThanOrEqual(await lastWrite(chain));
    }
    await (await chain.tap()).refuse();
    (await chain.tap()).cut();
    await chain.near.client.call('SET', 'only', 'here');
    expect(await wait(1500)).toBe(0);
    await (await chain.tap()).accept();
    expect(await wait(20_000)).toBe(1);
  });

  test('gets no more bytes a second than it is given, of a base and of the stream', async () => {
    await using chain = await ChainRig.start(binary, 1);
    const megabytes = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) await chain.near.client.call('SET', `large:${i}`, randomBytes(1_000_000));
    };
    /** Behind the first chunk of a MiB, which goes at once. */
    const leastMs = 1500;
    await megabytes(4);
    await chain.near.attach({ args: ['--max-rate', '2MB', '--max-rate-base', '2MB'] });
    let began = performance.now();
    await chain.attach();
    expect(performance.now() - began).toBeGreaterThan(leastMs);
    began = performance.now();
    await megabytes(4);
    await chain.level();
    expect(performance.now() - began).toBeGreaterThan(leastMs * 0.9);
    await chain.expectSame();
  });

  test('goes on with the plain protocol where the other knows no link, and back', async () => {
    const seed = Date.now() >>> 0;
    await using chain = await ChainRig.start(binary, seed);
    await chain.near.attach();
    await chain.attach();
    await chain.near.write(100);
    await chain.level();
    await chain.far.kill9();
    {
      // A way to a journal that does not know of links.
      await using door = await Door.open(chain.near.port, 'journal-link', 'journal-none');
      const far = await chain.attach({ source: `redis://127.0.0.1:${door.port}` });
      expect(far.of('connected')[0]).not.toHaveProperty('link');
      await chain.near.write(100);
      await chain.expectSame(`seed ${seed}`);
    }
    await chain.far.kill9();
    await chain.attach();
    await chain.near.write(100);
    await chain.expectSame(`seed ${seed}`);
    expect(await primaryOffset(chain.near.client)).toBeGreaterThan(0);
  });
});

/** Where the last SET ends: behind it are what WAIT asks and what keeps the link alive. */
async function lastWrite(chain: ChainRig): Promise<number> {
  const [history] = (await journaledHistories(chain.near.journal.tree)).slice(-1);
  return (history?.offset ?? 0) + (history?.stream.lastIndexOf('SET') ?? 0);
}
