// A link between journals over TLS: with the right name in the certificate it is a link, with another one there is none.
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { Authority, hasOpenssl } from '../support/tls-certificates.ts';
import { startJournal } from './capture-rig.ts';
import { password } from './feed-rig.ts';

describe.runIf(hasOpenssl())('a link over TLS', () => {
  describeServers('of a journal', (binary) => {
    test('is there where the certificate has the right name, and refused where it has not', async () => {
      const ours = new Authority('ours');
      const own = ours.issue('DNS:localhost');
      await using primary = await RedisServer.start(binary);
      await using near = startJournal(binary, {
        source: `redis://127.0.0.1:${primary.port}`,
        dir: path.join(temporaryDirectory('link-tls'), 'near'),
        args: ['--listen', '127.0.0.1:0', '--listen-tls-cert', own.certFile, '--listen-tls-key', own.keyFile],
        env: { JOURNAL_LISTEN_PASSWORD: password },
      });
      const port = Number((await near.waitFor('listening')).port);
      await near.waitFor('ready');
      const follow = (name: string): ReturnType<typeof startJournal> =>
        startJournal(binary, {
          source: `rediss://127.0.0.1:${port}`,
          dir: path.join(temporaryDirectory('link-tls'), 'far'),
          args: ['--tls-ca', ours.caFile, '--tls-server-name', name],
          env: { JOURNAL_PASSWORD: password },
        });
      await using far = follow('localhost');
      expect(await far.waitFor('connected')).toMatchObject({ link: 1 });
      await far.waitFor('ready');
      await using misled = follow('journal.elsewhere');
      expect(await misled.exited, misled.stderr).toMatchObject({ code: 10 });
      expect(misled.lines.at(-1)).toMatchObject({ event: 'failed', code: 'certificate', exitCode: 10 });
      expect(misled.stderr).not.toContain(password);
    });
  });
});
