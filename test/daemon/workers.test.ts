// Threads of the daemon in a process of its own, whose priority is not ours to raise.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { fakeId, smallRdb } from '../support/fake-primary.ts';
import { temporaryDirectory } from '../support/leash.ts';

function moduleUrl(name: string): string {
  return JSON.stringify(new URL(`../../src/daemon/${name}.ts`, import.meta.url).href);
}

/** Checks an RDB in a thread; then takes the priority of such threads itself, so that it can be asked for. */
const program = `
import { getPriority } from 'node:os';
import { WorkerBaseChecker } from ${moduleUrl('base-checker')};
import { yieldToCapture } from ${moduleUrl('workers')};
const [, , file, size] = process.argv;
await using checker = new WorkerBaseChecker(file);
const { findings: { crc64 } } = await checker.finish(Number(size));
yieldToCapture();
console.log(JSON.stringify({ crc64, priority: getPriority() }));
`;

test.skipIf(process.platform !== 'linux').each([0, 15])(
  'a base is checked at a low priority, and at none above that of the process: %i below ours',
  (below) => {
    const directory = temporaryDirectory('workers');
    const rdb = smallRdb(fakeId, 1);
    const [script, file] = [path.join(directory, 'check.mjs'), path.join(directory, 'base.rdb')];
    writeFileSync(script, program);
    writeFileSync(file, rdb);
    const args = ['-n', String(below), process.execPath, script, file, String(rdb.length)];
    const output = execFileSync('nice', args, { encoding: 'utf8', timeout: 20_000 });
    const priority = Math.max(10, Math.min(19, getPriority() + below));
    expect(JSON.parse(output)).toEqual({ crc64: '0'.repeat(16), priority });
  },
);
