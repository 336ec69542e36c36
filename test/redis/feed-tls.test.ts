// Stock replicas of a journal that speaks TLS: with the right authority they follow, with another they refuse us, and
// without a certificate that is asked for we refuse them.
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { Authority, hasOpenssl, hasTls } from '../support/tls-certificates.ts';
import { primaryOffset, startJournal } from './capture-rig.ts';
import { password } from './feed-rig.ts';

describe.runIf(hasOpenssl())('a journal that listens with TLS', () => {
  describeServers('and stock replicas', (binary) => {
    test.runIf(hasTls(binary))('feeds who trusts it and is trusted, and nobody else', async () => {
      const ours = new Authority('ours');
      const theirs = new Authority('theirs');
      const own = ours.issue('IP:127.0.0.1');
      await using primary = await RedisServer.start(binary);
      await using client = await primary.connect();
      await client.call('SET', 'before', 'it listened');
      const tls = ['--listen-tls-cert', own.certFile, '--listen-tls-key', own.keyFile, '--listen-tls-ca', ours.caFile];
      await using journal = startJournal(binary, {
        source: `redis://127.0.0.1:${primary.port}`,
        dir: path.join(temporaryDirectory('tls'), 'journal-data'),
        args: ['--listen', '127.0.0.1:0', ...tls],
        env: { JOURNAL_LISTEN_PASSWORD: password },
      });
      const port = Number((await journal.waitFor('listening')).port);
      await journal.waitFor('ready');
      const config = { replicaof: `127.0.0.1 ${port}`, masterauth: password };

      // Clients talk to them in plain text.
      const replicaWith = (issuer: Authority, trusted: Authority): Promise<RedisServer> => {
        const { certFile, keyFile } = issuer.issue('DNS:replica');
        const files = { 'tls-cert-file': certFile, 'tls-key-file': keyFile, 'tls-ca-cert-file': trusted.caFile };
        return RedisServer.start(binary, { config: { ...config, 'tls-replication': 'yes', ...files } });
      };

      await using replica = await replicaWith(ours, ours);
      await client.call('SET', 'after', 'it was followed');
      await using follower = await replica.connect();
      await eventually('the replica to be level', async () => {
        return (await primaryOffset(follower)) === (await primaryOffset(client));
      });
      expect(await follower.text('GET', 'after')).toBe('it was followed');

      await using distrustful = await replicaWith(ours, theirs);
      await eventually('its refusal', () => distrustful.logs().includes('certificate verify failed'));
      await using stranger = await replicaWith(theirs, ours);
      await journal.waitFor('client-refused');
      await using plain = await RedisServer.start(binary, { config });
      await eventually('them to have tried', () =>
        [stranger, plain].every((one) => /(MASTER|PRIMARY) <-> REPLICA/.test(one.logs())),
      );
      expect(journal.of('client-refused').map(({ code }) => code)).toEqual(['tls-failed']);
      expect(journal.of('replica-full-sync')).toHaveLength(1);
      expect(journal.of('replica-left')).toEqual([]);
    });
  });
});
