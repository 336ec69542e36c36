// The whole way with public images: a server in a container, the journal attached from outside, a workload of
// everything, a FLUSHALL; the moment before it is found and restored with the compiled command line, copied into a fresh
// container of the same image, and is what it was. Run with npm run test:containers; npm test needs no container engine.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { findCommand } from '../../src/cli/demo/find-command.ts';
import { formatPosition } from '../../src/core/position.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { builtFile } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { explainDifference } from '../support/fingerprint-difference.ts';
import { type Fingerprint, fingerprint } from '../support/fingerprint.ts';
import { temporaryDirectory } from '../support/leash.ts';
import type { RespClient } from '../support/resp-client.ts';
import { journaled, RunningJournal } from '../support/running-journal.ts';
import type { ServerVersion } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';
import { images, ServerContainer } from './server-container.ts';

const segmentBytes = 256 * 1024;

/** No key that the workload gives a short life has a longer one than that. */
const shortMs = 60_000;

describe.each(images)('%s in a container', (image) => {
  test('is restored to the moment before a FLUSHALL, and loaded by the same image', async () => {
    const seed = Date.now() >>> 0;
    await using primary = await ServerContainer.start(image);
    const { version } = primary;
    expect(image.endsWith(`:${version.major}.${version.minor}`), `${image} is ${version.version}`).toBe(true);
    await using client = await primary.connect();
    const workload = new Workload(seed, version, { without: ['flushall'] });
    await workload.run(client, 300);
    await using journal = await RunningJournal.attach({ ...primary.address, segmentBytes });
    await workload.run(client, 1500);
    const before = await atRest(client, version);
    expect(before.keys.size).toBeGreaterThan(100);
    await client.call('FLUSHALL');
    await workload.run(client, 100);
    await journaled(client);

    const flush = await findCommand(localDisk, journal.tree, 'FLUSHALL');
    const to = path.join(temporaryDirectory('restored'), 'out');
    const target = formatPosition(flush.position);
    await journalCommand('restore', '--before', target, '--to', to, '--dir', journal.root, '--relative-ttl', 'convert');
    await using restored = await ServerContainer.start(image, { dir: to, args: ['--appendonly', 'yes'] });
    await using reader = await restored.connect();
    const after = await fingerprint(reader, version, { route: 'commands' });
    expect(explainDifference(before, after), `seed ${seed}`).toEqual([]);
    if (before.expiriesExact) expect(after.sha256).toBe(before.sha256);
  });
});

/**
 * By commands, which don't see a key that has elapsed and is still to be deleted, although DEBUG DIGEST counts it: so when
 * there is none, nor is about to be.
 */
function atRest(client: RespClient, version: ServerVersion): Promise<Fingerprint> {
  return eventually('all that is short-lived to have been deleted', async () => {
    const taken = await fingerprint(client, version, { route: 'commands' });
    const expiries = [...taken.keys.values()].map(({ expireMs }) => expireMs ?? Infinity);
    if (Math.min(...expiries) < Date.now() + shortMs) return undefined;
    return taken.keys.size === (await countKeys(client)) ? taken : undefined;
  });
}

/** Elapsed ones included. */
async function countKeys(client: RespClient): Promise<number> {
  const info = await client.text('INFO', 'keyspace');
  return [...info.matchAll(/keys=(\d+)/g)].reduce((sum, [, keys]) => sum + Number(keys), 0);
}

async function journalCommand(...argv: readonly string[]): Promise<void> {
  const command = builtFile('src/cli/main.ts');
  if (command === undefined) throw new Error('the compiled command line is older than the sources: npm run build');
  await promisify(execFile)(process.execPath, [command, ...argv]);
}
