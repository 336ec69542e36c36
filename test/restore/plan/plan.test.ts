// Plans: what they contain, and how they read.
import { describe, expect, test } from 'vitest';
import { planToJson, planToText } from '../../../src/restore/plan/plan-print.ts';
import { planRestore } from '../../../src/restore/plan/plan-restore.ts';
import type { Plan, RestoreRequest } from '../../../src/restore/plan/plan.ts';
import { localDisk } from '../../../src/storage/local-disk.ts';
import { command } from '../../redis-protocol/bytes.ts';
import { JournalBuilder } from '../../support/journal-builder.ts';
import type { TimelineScript } from '../../support/journal-builder.ts';

const t0 = Date.UTC(2026, 10, 20, 14, 30, 0) * 1000;
const id = 'ab'.repeat(20);
const set = command('SET', 'key', 'value');

async function planFor(
  request: Partial<RestoreRequest> = {},
  script: Partial<TimelineScript> = {},
): Promise<{ plan: Plan; files: string[] }> {
  await using journal = await JournalBuilder.create();
  const timeline = await journal.timeline({ id, offset: 1000, completed: t0, segmentBytes: 100, ...script });
  for (let i = 1; i <= 20; i += 1) {
    timeline.read(set, t0 + i * 1_000_000);
    await timeline.commit();
  }
  await timeline.seal(2);
  const plan = await planRestore(localDisk, journal.tree, {
    target: { kind: 'time', at: t0 + 10_500_000 },
    text: '2026-11-20 15:30:10.5 Europe/Madrid',
    mode: 'at',
    now: t0 + 3_600_000_000,
    relativeTtl: 'refuse',
    ...request,
  });
  return { plan, files: (await journal.catalog()).timelines[0]!.segments.map(({ path }) => path) };
}

test('the ranges go from behind the base to the cut, without a hole', async () => {
  for (const at of [t0, t0 + 1_000_000, t0 + 10_500_000, t0 + 20_000_000]) {
    const { plan, files } = await planFor({ target: { kind: 'time', at } });
    let next = 1001;
    for (const [i, range] of plan.ranges.entries()) {
      expect(range).toMatchObject({ from: next, path: files[i] });
      next = range.to + 1;
    }
    expect(next).toBe(plan.cut.offset + 1);
    expect(plan.bytes).toEqual({ base: 2000, stream: plan.cut.offset - 1000, total: 1000 + plan.cut.offset });
  }
});

describe('the form follows the server of the source', () => {
  test.each([
    [{ kind: 'redis', version: '7.0.0' }, 'multi-part-aof', 'none'],
    [{ kind: 'valkey', version: '9.1.2' }, 'multi-part-aof', 'none'],
    [{ kind: 'redis', version: '6.2.7' }, 'preamble-aof', 'relative-ttl'],
  ] as const)('%j: %s, %s', async (server, form, transform) => {
    const { plan } = await planFor({ relativeTtl: 'convert' }, { server, rdbVersion: 9 });
    expect(plan).toMatchObject({ form, transform, server });
  });

  test.each([
    [9, 'preamble-aof'],
    [10, 'multi-part-aof'],
  ] as const)('or, where that is unknown, the RDB version: %d, %s', async (rdbVersion, form) => {
    const server = { kind: 'unknown', version: 'unknown' };
    const { plan } = await planFor({ relativeTtl: 'convert' }, { server, rdbVersion });
    expect(plan).toMatchObject({ form, server: undefined });
  });
});

test('as JSON, offsets are strings, times RFC 3339, and nothing is missing', async () => {
  const { plan, files } = await planFor();
  const names = files.map((file) => file.split('/').at(-1));
  const json = planToJson(plan);
  const end = 1000 + 10 * set.length;
  expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  expect(json).toEqual({
    source: 'orders',
    timeline: 1,
    server: { kind: 'redis', version: '7.0.15' },
    requested: { mode: 'at', target: '2026-11-20 15:30:10.5 Europe/Madrid', time: '2026-11-20T14:30:10.500000Z' },
    reached: { position: `${id}:${end}`, time: '2026-11-20T14:30:10.000000Z' },
    time: { basis: 'receipt', skew: 0, resolution: 0, uncertain: null },
    lastApplied: { offset: String(end), time: '2026-11-20T14:30:10.000000Z' },
    firstOmitted: { offset: String(end + set.length), time: '2026-11-20T14:30:11.000000Z' },
    base: {
      file: expect.stringMatching(/^[0-9a-f]{16}-[0-9a-f]{8}\.rdb$/),
      position: `${id}:1000`,
      origin: 'received',
      time: '2026-11-20T14:30:00.000000Z',
      bytes: 2000,
    },
    ranges: plan.ranges.map(({ from, to }, i) => ({ file: names[i], from: String(from), to: String(to) })),
    bytes: { base: 2000, stream: end - 1000, total: 1000 + end },
    form: 'multi-part-aof',
    transform: 'none',
    destination: null,
    undo: null,
    selection: null,
    scratch: null,
    held: null,
    ttl: 'keep',
    elapsedKeys: null,
    asked: null,
    ttlAsOf: '2026-11-20T14:30:10.500000Z',
    ttlEffect: expect.stringContaining('keys whose time has passed expire when the server starts'),
    loadBefore: null,
    orphan: null,
    estimatedSeconds: 1,
    warnings: [],
  });
});

test('as text, the instant reads three ways', async () => {
  const { plan } = await planFor();
  const lines = planToText(plan, { zone: 'Europe/Madrid', now: t0 + 3_600_000_000 });
  expect(lines).toContainEqual(
    expect.stringMatching(
      /^resolved {7}2026-11-20T14:30:10\.500Z = 2026-11-20 15:30:10\.500\+01:00 \(Europe\/Madrid\) = 59 min 49 s ago$/,
    ),
  );
  expect(lines).toContainEqual(expect.stringMatching(/^cut {12}(ab){20}:\d+$/));
  expect(lines).toContainEqual(expect.stringMatching(/^first omitted {2}.*14:30:11\.000Z/));
  expect(lines.every((line) => /^\S.{13}/.test(line) && !line.includes('\n'))).toBe(true);
});

test('as text, the end and the base alone say so', async () => {
  const now = t0 + 3_600_000_000;
  const end = await planFor({ target: { kind: 'latest' }, text: 'latest' });
  expect(planToText(end.plan, { zone: undefined, now }).join('\n')).toContain(
    'first omitted  nothing: this is the end',
  );
  const base = await planFor({ target: { kind: 'position', idPrefix: id, offset: 1000 } });
  expect(planToText(base.plan, { zone: undefined, now }).join('\n')).toMatch(/stream {9}none of it/);
});
