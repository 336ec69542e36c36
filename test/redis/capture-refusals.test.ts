// Who may journal what: passwords, users, permissions, locks, versions; and what is said when it may not be. No secret is
// ever in what is said.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readRunState } from '../../src/daemon/state-file.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import type { JournalLine, JournalProcess } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { isAtLeast, pickServer } from '../support/servers.ts';
import { CaptureRig, startJournal } from './capture-rig.ts';

const password = 'correct horse/battery:staple@#?';
const wrongPassword = 'Wrong-Secret-7';

/** It ended by itself, with this code; its last line says why. */
async function failure(journal: JournalProcess, code: number): Promise<JournalLine> {
  const exit = await journal.exited;
  expect(exit, journal.stderr).toMatchObject({ code });
  const line = journal.lines.at(-1);
  expect(line, journal.stderr).toMatchObject({ event: 'failed', level: 'fatal', exitCode: code });
  for (const secret of [password, wrongPassword]) expect(journal.stderr).not.toContain(secret);
  if (line === undefined) throw new Error('it said nothing');
  return line;
}

async function captures(rig: CaptureRig, journal: JournalProcess): Promise<void> {
  await journal.waitFor('ready');
  await rig.client.call('SET', 'key', 'value');
  await rig.journaled();
  expect(await journal.stop()).toBe(0);
  expect(journal.stderr).not.toContain(password);
  await rig.expectIdentity();
}

describeServers('a primary with a password', (binary) => {
  test('is followed with it, from the environment or from a file', async () => {
    await using rig = await CaptureRig.start(binary, { password });
    await captures(rig, rig.run({ env: { JOURNAL_PASSWORD: password } }));
    const file = path.join(temporaryDirectory('secret'), 'password');
    writeFileSync(file, `${password}\n`, { mode: 0o600 });
    await captures(rig, rig.run({ args: ['--password-file', file] }));
  });

  test('is followed as a user who may do no more than that', async () => {
    await using rig = await CaptureRig.start(binary, { password });
    await rig.client.call('ACL', 'SETUSER', 'journal', 'on', `>${password}`, '+psync', '+replconf', '+ping');
    const source = `redis://journal@127.0.0.1:${rig.tap.port}`;
    const journal = rig.run({ source, env: { JOURNAL_PASSWORD: password } });
    await captures(rig, journal);
    expect(journal.of('note')[0]?.note).toMatch(/INFO answered: NOPERM/);
  });

  test('refuses a wrong one, or none: exit 10, and nothing is tried again', async () => {
    await using rig = await CaptureRig.start(binary, { password });
    const wrong = await failure(rig.run({ env: { JOURNAL_PASSWORD: wrongPassword } }), 10);
    expect(wrong.code).toBe('wrong-password');
    const none = await failure(rig.run(), 10);
    expect(none.code).toBe('password-needed');
    const source = `redis://nobody@127.0.0.1:${rig.tap.port}`;
    const unknown = await failure(rig.run({ source, env: { JOURNAL_PASSWORD: password } }), 10);
    expect(unknown.code).toBe('wrong-password');
    expect(rig.tap.connections).toHaveLength(3);
  });

  test('refuses a user without the permission: exit 10, and which one is said', async () => {
    await using rig = await CaptureRig.start(binary, { password });
    const source = `redis://journal@127.0.0.1:${rig.tap.port}`;
    const permissions = ['+psync', '+replconf', '+ping'];
    for (const missing of ['psync', 'replconf']) {
      const rules = permissions.filter((rule) => rule !== `+${missing}`);
      await rig.client.call('ACL', 'SETUSER', 'journal', 'reset', 'on', `>${password}`, ...rules);
      const refused = await failure(rig.run({ source, env: { JOURNAL_PASSWORD: password } }), 10);
      expect(refused).toMatchObject({ code: 'no-permission', error: expect.stringContaining(missing) });
      expect(refused.hint).toContain('+psync +replconf +ping');
    }
    // PING is a courtesy: who may replicate need not have it.
    await rig.client.call('ACL', 'SETUSER', 'journal', 'reset', 'on', `>${password}`, '+psync', '+replconf');
    await captures(rig, rig.run({ source, env: { JOURNAL_PASSWORD: password } }));
  });

  test('that takes the permission away while we follow it is waited for', async () => {
    await using rig = await CaptureRig.start(binary, { password });
    const rules = ['reset', 'on', `>${password}`, '+psync', '+replconf', '+ping'];
    await rig.client.call('ACL', 'SETUSER', 'journal', ...rules);
    const source = `redis://journal@127.0.0.1:${rig.tap.port}`;
    const journal = await rig.attach({ source, env: { JOURNAL_PASSWORD: password } });
    await rig.client.call('ACL', 'SETUSER', 'journal', 'off');
    rig.tap.cut();
    const from = journal.lines.length;
    await journal.waitFor('link-interrupted');
    await journal.waitFor('link-interrupted', { from: journal.lines.indexOf(journal.of('link-interrupted')[0]!) + 1 });
    expect(journal.of('link-interrupted')[1]?.code).toBe('wrong-password');
    await rig.client.call('ACL', 'SETUSER', 'journal', 'on');
    await journal.waitFor('attached', { from });
    await captures(rig, journal);
  });
});

describeServers(
  'a primary that replicates relative TTLs',
  (binary) => {
    test('is refused with exit 2 unless told to convert them', async () => {
      await using rig = await CaptureRig.start(binary);
      const refused = await failure(rig.run({ args: ['--relative-ttl', 'refuse'] }), 2);
      expect(refused).toMatchObject({ code: 'relative-ttl', hint: expect.stringContaining('--relative-ttl convert') });
      await captures(rig, rig.run({ args: ['--relative-ttl', 'convert'] }));
    });
  },
  { where: (server) => !isAtLeast(server, { redis: 7, valkey: 7 }) },
);

describe('a source directory', () => {
  test('has one writer: a second one exits 8 and names the first, also after the first was killed and came back', async () => {
    await using rig = await CaptureRig.start(pickServer());
    const source = `redis://127.0.0.1:${rig.tap.port}`;
    const first = await rig.attach();
    const pids = [first.pid];
    for (const round of ['running', 'back']) {
      await using second = startJournal(rig.binary, { source, dir: rig.dir });
      const refused = await failure(second, 8);
      expect(refused, round).toMatchObject({ code: 'locked' });
      expect(refused.error, round).toContain(`process ${pids.at(-1)}`);
      await rig.journal.kill9();
      pids.push((await rig.attach()).pid);
    }
    await captures(rig, rig.journal);
  });
});

describe('a primary that is not there', () => {
  test('is waited for, and the state file says why', async () => {
    await using rig = await CaptureRig.start(pickServer());
    await rig.tap.refuse();
    const journal = rig.run();
    const line = await journal.waitFor('link-interrupted');
    expect(line).toMatchObject({ code: 'unreachable', error: expect.stringContaining(`127.0.0.1:${rig.tap.port}`) });
    // It is written after the line, not with it.
    const state = await eventually('the state file to say so', async () => {
      const words = await readRunState(localDisk, journal.tree.state);
      return words?.lastError === null ? undefined : words;
    });
    expect(state).toMatchObject({ state: 'disconnected', timeline: null, lastError: { code: 'unreachable' } });
    await rig.tap.accept();
    await captures(rig, journal);
  });
});
