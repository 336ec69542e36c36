// The runbook of the README between two sites, by its own commands: each line of its blocks is run as it stands there, and
// must say what stands behind it.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SwitchOver } from '../../src/daemon/check-switch-over.ts';
import { json } from '../cli/cli.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { fullSyncs, primaryOffset } from './capture-rig.ts';
import { Sites } from './site-rig.ts';
import type { Step } from './site-rig.ts';

const readme = readFileSync(path.resolve(import.meta.dirname, '../../README.md'), 'utf8');
const [, section = ''] = readme.split('### Switch over to another site\n');
const blocks = [...(section.split(/^#{2,3} /m)[0] ?? '').matchAll(/^```\n(.*?)^```$/gms)].map(([, block = '']) =>
  block.trim().split('\n').map(stepOf),
);
const [setUp = [], planned = [], back = [], fence = [], unplanned = [], reached = [], again = []] = blocks;

function stepOf(line: string): Step {
  const [, site, command = '', must = ''] = /^([AB])\$ (.*?)(?:\s+# (.*))?$/.exec(line) ?? [];
  if (site !== 'A' && site !== 'B') throw new Error(`not a step: ${line}`);
  return { site, command, must };
}

const checkAtB = planned.find(({ command }) => command.startsWith('journal check'))?.command ?? '';

describe('the runbook', () => {
  test('has its seven blocks of steps', () => {
    expect(blocks.map(({ length }) => length)).toEqual([3, 10, 9, 2, 3, 2, 3]);
  });
});

describeServers('a switch-over by the runbook', (binary) => {
  test('that is planned loses nothing, there and back, by partial resyncs alone', { timeout: 120_000 }, async () => {
    await using sites = await Sites.start(binary, setUp);
    await sites.write('p.a', 'before');
    await sites.follow(planned);
    await sites.write('r.b', 'there');
    await sites.expectSame();
    expect(await fullSyncs(sites.client('r.b'))).toBe(0);
    await sites.follow(back);
    await sites.write('p.a', 'back');
    await sites.expectSame();
    for (const name of ['p.a', 'r.b'] as const) {
      // The journal's own, at the beginning.
      expect(await fullSyncs(sites.client(name))).toBe(name === 'p.a' ? 1 : 0);
    }
    for (const name of ['journal.a', 'journal.b'] as const) {
      expect(sites.journal(name).of('full-sync')).toHaveLength(1);
      expect(sites.journal(name).of('replica-full-sync')).toHaveLength(1);
      expect(sites.journal(name).of('gap')).toEqual([]);
    }
  });

  test('that is not planned loses what the check says, before and after', { timeout: 120_000 }, async () => {
    await using sites = await Sites.start(binary, setUp);
    const client = sites.client('p.a');
    await sites.write('p.a', 'before');
    await eventually('nothing to be on the way', async () => (await sites.asked('B', checkAtB)).exitCode === 0);
    const atB = await primaryOffset(client);
    await sites.loseLine();
    await sites.write('p.a', 'lost', 50);
    const lost = (await primaryOffset(client)) - atB;
    await eventually(
      'the journal of A to have it',
      async () => (await sites.status('A')).position.durable === String(atB + lost),
    );
    const before = await sites.asked('B', checkAtB);
    expect(before.exitCode).toBe(3);
    expect(json(before)).toMatchObject({ verdict: 'some', loss: { bytes: lost }, lost: null });
    // It knows where it was, and was ahead.
    await client.call('SAVE');
    await sites.killSiteA();
    await sites.follow(unplanned);
    await sites.write('r.b', 'after');
    expect(await fullSyncs(sites.client('r.b'))).toBe(0);
    const asked = again[0]?.command ?? '';
    const after = json(await sites.asked('A', asked)) as unknown as SwitchOver;
    expect(after).toMatchObject({ verdict: 'parted', loss: { bytes: lost }, there: [{ shared: String(atB) }] });
    expect(after.lost).toEqual({
      after: expect.stringMatching(`:${atB}$`),
      to: expect.stringMatching(`:${atB + lost}$`),
    });
    const rows = await sites.exported(asked);
    await sites.reconnect();
    await sites.follow(again);
    await sites.expectSame();
    const names = Array.from({ length: 50 }, (_, i) => [
      { command: 'HSET', args: [`lost:${i}`, 'n', String(i), 'text', 'x'.repeat(i)] },
      { command: 'PEXPIREAT', args: [`lost:${i}`, expect.any(String)] },
    ]);
    expect(rows).toMatchObject(names.flat());
    const { orphans } = await sites.status('A');
    expect(orphans.map(({ fromPosition, toPosition }) => [offsetOf(fromPosition), offsetOf(toPosition)])).toEqual([
      [atB + 1, atB + lost],
    ]);
    expect(await sites.client('p.a').call('EXISTS', 'lost:0')).toBe(0);
    for (const event of ['full-sync', 'replica-full-sync'])
      expect(sites.journal('journal.a').of(event)).toHaveLength(1);
  });

  test('a site that was lost and had no more comes back by partial resyncs alone', { timeout: 120_000 }, async () => {
    await using sites = await Sites.start(binary, setUp);
    await sites.write('p.a', 'before');
    await eventually('nothing to be on the way', async () => (await sites.asked('B', checkAtB)).exitCode === 0);
    await sites.client('p.a').call('SAVE');
    await sites.killSiteA();
    await sites.follow(unplanned);
    await sites.write('r.b', 'after');
    const asked = json(await sites.asked('A', again[0]?.command ?? '')) as unknown as SwitchOver;
    expect(asked).toMatchObject({ verdict: 'some', lost: null });
    await sites.follow(again);
    await sites.expectSame();
    await sites.expectNoFullSync({ before: 0 });
  });

  test('a site that was cut off and fenced comes back by partial resyncs alone', { timeout: 120_000 }, async () => {
    await using sites = await Sites.start(binary, setUp);
    const client = sites.client('p.a');
    await sites.write('p.a', 'before');
    await eventually('nothing to be on the way', async () => (await sites.asked('B', checkAtB)).exitCode === 0);
    await sites.cutOff();
    const [refused, readOnly] = fence;
    for (const [step, error] of [
      [refused, 'NOREPLICAS'],
      [readOnly, 'READONLY'],
    ] as const) {
      if (step === undefined) throw new Error('the runbook has no fence');
      await sites.step(step);
      await expect(client.call('SET', 'fenced', 'x')).rejects.toThrow(error);
    }
    await sites.follow(unplanned);
    await sites.write('r.b', 'after');
    await sites.reconnect();
    await sites.follow(reached);
    await sites.expectSame();
    await sites.expectNoFullSync({ before: 1 });
    expect(await fullSyncs(client)).toBe(1);
  });
});

function offsetOf(position: string): number {
  return Number(position.split(':')[1]);
}
