// journal verify: how what it finds is told, and with which exit code. What it finds is log/'s business.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { firstId, MadeJournal, secondId } from '../support/made-journal.ts';
import { cli, json, jsonError } from './cli.ts';

async function journal(timelines: 1 | 2 = 1): Promise<MadeJournal> {
  const made = await MadeJournal.open();
  await made.fullSync(firstId, 1000);
  await made.write(['SET', 'a', '1']);
  made.clock.advance(131_000);
  if (timelines === 2) await made.fullSync(secondId, 50);
  await made.write(['SET', 'b', '2']);
  await made.stop();
  return made;
}

/** The path of the file of the first timeline that ends so. */
function fileOf({ tree }: MadeJournal, suffix: string): string {
  const folder = path.join(tree.timelines, '00000001');
  return path.join(folder, readdirSync(folder).find((name) => name.endsWith(suffix)) ?? suffix);
}

describe('journal verify', () => {
  test('of a whole journal says so, and which intervals there are', async () => {
    const { root } = await journal();
    const { exitCode, stdout, stderr } = await cli(['verify', '--dir', root]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^shop {2}WHOLE {2}\S+ \S*B read\n\ntimeline {2}state/);
    expect(stdout).toMatch(/^1 +ok +2026-11-20 14:30:01\.000Z .* 1,054$/m);
  });

  test('of one with a gap shows the gap, and exits 3', async () => {
    const { root } = await journal(2);
    const { exitCode, stdout } = await cli(['verify', '--dir', root]);
    expect(exitCode).toBe(3);
    expect(stdout).toMatch(/^shop {2}WITH GAPS/);
    expect(stdout).toMatch(/2 min 11 s {2}history changed$/m);
  });

  test('of a damaged one names file and bytes, and exits 6', async () => {
    const made = await journal();
    const file = fileOf(made, '.rdb');
    const bytes = readFileSync(file);
    bytes[3] = (bytes[3] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const { exitCode, stdout } = await cli(['verify', '--dir', made.root]);
    expect(exitCode).toBe(6);
    expect(stdout).toMatch(/^shop {2}DAMAGED/);
    expect(stdout).toContain(`corrupt: ${file}`);
    expect(json(await cli(['verify', '--dir', made.root, '--json']))).toMatchObject({
      exitCode: 6,
      problems: [{ kind: 'corrupt', path: file }],
    });
  });

  test('of one that lacks a file exits 4, and names the marks that are lost with it', async () => {
    const made = await journal();
    await cli(['mark', 'noon', '--dir', made.root]);
    rmSync(fileOf(made, '.rdb'));
    const { exitCode, stdout } = await cli(['verify', '--dir', made.root]);
    expect(exitCode).toBe(4);
    expect(stdout).toMatch(/^shop {2}INCOMPLETE/);
    expect(stdout).toContain('mark noon cannot be restored');
  });

  test('answers with one document with --json', async () => {
    const { root } = await journal();
    const document = json(await cli(['verify', '--dir', root, '--json']));
    expect(document).toMatchObject({ source: 'shop', exitCode: 0, problems: [], notes: [], gaps: [], marks: [] });
    expect(document).toHaveProperty('timelines');
  });

  test('can be interrupted', async () => {
    const { root } = await journal();
    const { InterruptedError } = await import('../../src/core/errors.ts');
    const signal = AbortSignal.abort(new InterruptedError('stopped by SIGINT'));
    expect(jsonError(await cli(['verify', '--dir', root, '--json'], { signal }))).toMatchObject({ exitCode: 130 });
  });
});
