// A primary behind TLS: whom we trust, as whom we come, and what is said when one of the two is wrong. The certificates
// are made on the spot.
import { describe, expect, test } from 'vitest';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { describeServers } from '../support/describe-servers.ts';
import { journaledHistories } from '../support/journal-content.ts';
import type { JournalLine, JournalProcess } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { ServerTls } from '../support/redis-server.ts';
import { Authority, hasOpenssl, hasTls } from '../support/tls-certificates.ts';
import type { ServerBinary } from '../support/servers.ts';
import { startJournal } from './capture-rig.ts';

/** A primary that speaks TLS only, and a journal directory. */
class TlsRig implements AsyncDisposable {
  readonly server: RedisServer;
  readonly #journals: JournalProcess[] = [];

  private constructor(server: RedisServer) {
    this.server = server;
  }

  static async start(binary: ServerBinary, tls: ServerTls, bind = '127.0.0.1'): Promise<TlsRig> {
    return new TlsRig(await RedisServer.start(binary, { tls, config: { bind } }));
  }

  run(host: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): JournalProcess {
    const source = `rediss://${host}:${this.server.port}`;
    const dir = path.join(temporaryDirectory('tls'), 'journal-data');
    const journal = startJournal(this.server.binary, { source, dir, args, env });
    this.#journals.push(journal);
    return journal;
  }

  /** It follows, and what is written is acknowledged and journaled. */
  async expectCapture(journal: JournalProcess): Promise<void> {
    await journal.waitFor('ready');
    await using client = await this.server.connect();
    const value = 'x'.repeat(100_000);
    for (let write = 0; write < 20; write++) await client.call('SET', `key:${write}`, value);
    expect(await client.call('WAIT', 1, 20_000)).toBe(1);
    expect(await journal.stop(), journal.stderr).toBe(0);
    const [history] = await journaledHistories(journal.tree);
    expect(history?.rdb.toString('latin1')).toMatch(/^(REDIS|VALKEY)/);
    expect(history?.stream.toString('latin1').split(value)).toHaveLength(21);
    expect(journal.stderr).not.toContain('DeprecationWarning');
  }

  async expectRefusal(journal: JournalProcess, code: string): Promise<JournalLine> {
    expect(await journal.exited, journal.stderr).toMatchObject({ code: 10 });
    const line = journal.lines.at(-1);
    expect(line, journal.stderr).toMatchObject({ event: 'failed', exitCode: 10, code });
    if (line === undefined) throw new Error('it said nothing');
    return line;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const journal of this.#journals) await journal[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

const isIpv6Here = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

describe.skipIf(!hasOpenssl())('with certificates (needs the openssl command)', () => {
  describeServers(
    'a primary that speaks TLS',
    (binary) => {
      const authority = new Authority('the right authority');
      const ca = ['--tls-ca', authority.caFile];
      const forAddress = { ...authority.issue('IP:127.0.0.1', 'IP:::1'), caFile: authority.caFile };
      const forName = { ...authority.issue('DNS:primary.example'), caFile: authority.caFile };

      test('is followed when its authority is given, and asked for its offset in the same way', async () => {
        await using rig = await TlsRig.start(binary, forAddress);
        await rig.expectCapture(rig.run('127.0.0.1', ca));
        const once = rig.run('127.0.0.1', [...ca, '--once']);
        expect(await once.exited, once.stderr).toMatchObject({ code: 0 });
      });

      test('of an unknown authority is refused with exit 10, and followed only when told that it need not be proven', async () => {
        await using rig = await TlsRig.start(binary, forAddress);
        const other = new Authority('another authority');
        for (const args of [[], ['--tls-ca', other.caFile]]) {
          const line = await rig.expectRefusal(rig.run('127.0.0.1', args), 'certificate');
          expect(line.error).toContain(`the certificate of 127.0.0.1:${rig.server.port} does not verify`);
          expect(line.hint).toContain('--tls-ca');
        }
        const insecure = rig.run('127.0.0.1', ['--tls-insecure']);
        await rig.expectCapture(insecure);
        expect(insecure.of('warning')[0]?.warning).toContain('--tls-insecure');
      });

      test('with another name in its certificate is refused with exit 10, and followed when that name is expected', async () => {
        await using rig = await TlsRig.start(binary, forName);
        const line = await rig.expectRefusal(rig.run('127.0.0.1', ca), 'certificate');
        expect(line.error).toContain('127.0.0.1');
        expect(line.hint).toContain('--tls-server-name');
        const wrong = [...ca, '--tls-server-name', 'replica.example'];
        expect((await rig.expectRefusal(rig.run('127.0.0.1', wrong), 'certificate')).error).toContain(
          'replica.example',
        );
        const right = [...ca, '--tls-server-name', 'primary.example'];
        await rig.expectCapture(rig.run('127.0.0.1', right));
        const once = rig.run('127.0.0.1', [...right, '--once']);
        expect(await once.exited, once.stderr).toMatchObject({ code: 0 });
      });

      test('whose certificate is for an address is followed by another name when that address is expected', async () => {
        await using rig = await TlsRig.start(binary, forAddress);
        await rig.expectRefusal(rig.run('localhost', ca), 'certificate');
        const args = [...ca, '--tls-server-name', '127.0.0.1'];
        await rig.expectCapture(rig.run('localhost', args));
        const once = rig.run('localhost', [...args, '--once']);
        expect(await once.exited, once.stderr).toMatchObject({ code: 0 });
      });

      test('that wants a client certificate gets one; without one, or with a stranger’s, it refuses: exit 10', async () => {
        await using rig = await TlsRig.start(binary, { ...forAddress, clientCertificates: true });
        const none = await rig.expectRefusal(rig.run('127.0.0.1', ca), 'client-certificate');
        expect(none.error).toContain(`127.0.0.1:${rig.server.port} does not accept`);
        expect(none.hint).toContain('--tls-cert');
        const strangers = new Authority('the stranger’s authority').issue();
        const wrong = ['--tls-cert', strangers.certFile, '--tls-key', strangers.keyFile];
        await rig.expectRefusal(rig.run('127.0.0.1', [...ca, ...wrong]), 'client-certificate');
        const client = authority.issue();
        const args = [...ca, '--tls-cert', client.certFile, '--tls-key', client.keyFile];
        await rig.expectCapture(rig.run('127.0.0.1', args));
        const once = rig.run('127.0.0.1', [...args, '--once']);
        expect(await once.exited, once.stderr).toMatchObject({ code: 0 });
      });

      test('asked without TLS is waited for, and what to write instead is said', async () => {
        await using rig = await TlsRig.start(binary, forAddress);
        const dir = path.join(temporaryDirectory('tls'), 'journal-data');
        const source = `redis://127.0.0.1:${rig.server.port}`;
        await using journal = startJournal(binary, { source, dir });
        const line = await journal.waitFor('link-interrupted');
        expect(line.hint, journal.stderr).toContain('rediss://');
      });

      test('is not even asked with a key that is not the one of the certificate: exit 2', async () => {
        await using rig = await TlsRig.start(binary, forAddress);
        const [client, other] = [authority.issue(), authority.issue()];
        const journal = rig.run('127.0.0.1', [...ca, '--tls-cert', client.certFile, '--tls-key', other.keyFile]);
        expect(await journal.exited, journal.stderr).toMatchObject({ code: 2 });
        expect(journal.lines.at(-1)).toMatchObject({ code: 'bad-certificate', exitCode: 2 });
      });

      test.skipIf(!isIpv6Here)('is followed over IPv6', async () => {
        await using rig = await TlsRig.start(binary, forAddress, '127.0.0.1 ::1');
        await rig.expectCapture(rig.run('[::1]', ca));
        await rig.expectRefusal(rig.run('[::1]', []), 'certificate');
      });
    },
    { where: hasTls },
  );
});

describeServers('a primary without TLS', (binary) => {
  test.skipIf(!isIpv6Here)('is followed over IPv6', async () => {
    await using server = await RedisServer.start(binary, { config: { bind: '127.0.0.1 ::1' } });
    const dir = path.join(temporaryDirectory('tls'), 'journal-data');
    await using journal = startJournal(binary, { source: `redis://[::1]:${server.port}`, dir });
    await journal.waitFor('ready');
    expect(await journal.stop()).toBe(0);
    expect(await journaledHistories(journal.tree)).toHaveLength(1);
  });
});
