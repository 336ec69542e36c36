// Clients that mean harm, at a port that speaks TLS and wants a certificate: who has none of the right authority gets no
// word, and who does not finish the handshake holds nothing for long.
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { strangersMax } from '../../src/core/limits.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { eventually } from '../support/eventually.ts';
import { Authority, hasOpenssl } from '../support/tls-certificates.ts';
import type { KeyPair } from '../support/tls-certificates.ts';
import { ListenerRig, password } from './listener-rig.ts';

const command = encodeCommand('SET', 'key', 'value');

class TlsRig {
  readonly #ours = new Authority('ours');
  readonly #theirs = new Authority('theirs');
  readonly #server = this.#ours.issue('IP:127.0.0.1');

  start(asksForCertificates: boolean): Promise<ListenerRig> {
    const ca = readFileSync(this.#ours.caFile);
    return ListenerRig.start({ tls: { ...pem(this.#server), ca: asksForCertificates ? ca : undefined } });
  }

  get withoutCertificate(): ConnectionOptions {
    return { ca: readFileSync(this.#ours.caFile) };
  }

  get withCertificate(): ConnectionOptions {
    return { ...this.withoutCertificate, ...pem(this.#ours.issue('DNS:replica')) };
  }

  get withForeignCertificate(): ConnectionOptions {
    return { ...this.withoutCertificate, ...pem(this.#theirs.issue('DNS:replica')) };
  }
}

function pem({ certFile, keyFile }: KeyPair): { readonly cert: Buffer; readonly key: Buffer } {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

describe.runIf(hasOpenssl())('a port that speaks TLS', () => {
  const tls = new TlsRig();

  it('feeds a replica without a certificate unless one is asked for', async () => {
    await using rig = await tls.start(false);
    const replica = await rig.replica(tls.withoutCertificate);
    await rig.write(command);
    await replica.hasAll();
  });

  it.each(['withoutCertificate', 'withForeignCertificate'] as const)(
    'says nothing to who comes %s, and is told of it; who has the right one is fed',
    async (kind) => {
      await using rig = await tls.start(true);
      const replica = await rig.replica(tls.withCertificate);
      const client = await rig.connect(tls[kind]);
      client.say('AUTH', password);
      await client.closed();
      expect(client.heard.toString()).toBe('');
      await eventually('it to be told', () => rig.codes().includes('tls-failed'));
      expect(rig.codes()).toEqual(['tls-failed']);
      await rig.write(command);
      await replica.hasAll();
    },
  );

  it('does not answer plain text', async () => {
    await using rig = await tls.start(false);
    const client = await rig.connect();
    client.say('AUTH', password);
    await client.closed();
    expect(client.heard.toString()).not.toContain('+OK');
    expect(rig.codes()).toEqual(['tls-failed']);
    const replica = await rig.replica(tls.withoutCertificate);
    await replica.hasAll();
  });

  it('bounds those who do not begin the handshake', async () => {
    await using rig = await tls.start(false);
    const replica = await rig.replica(tls.withoutCertificate);
    const silent = await Promise.all(Array.from({ length: 400 }, () => rig.connect()));
    const isOpen = ({ isClosed }: { isClosed: boolean }): boolean => !isClosed;
    await eventually('the others to be ended', () => silent.filter(isOpen).length <= strangersMax);
    expect(silent.filter(isOpen).length).toBe(strangersMax);
    await rig.write(command);
    await replica.hasAll();
    const fresh = await rig.replica(tls.withoutCertificate);
    await fresh.hasAll();
  });

  it('survives who leaves at any byte of it', async () => {
    await using rig = await tls.start(true);
    for (let round = 0; round < 40; round += 1) {
      const client = await rig.connect();
      client.send(Buffer.from('160301020001', 'hex').subarray(0, round % 7));
      client.socket.resetAndDestroy();
    }
    const replica = await rig.replica(tls.withCertificate);
    await replica.hasAll();
  });
});
