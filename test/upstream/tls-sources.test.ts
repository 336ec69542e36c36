// Several sources over TLS: the certificate of each is held against its own host, by name or address, whichever of them
// is asked or followed. Servers of Node's own, with certificates made on the spot.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createServer } from 'node:tls';
import type { Server, TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { SlabPool } from '../../src/core/slabs.ts';
import type { SourceAddress, TlsSettings } from '../../src/upstream/address.ts';
import { connectSocket } from '../../src/upstream/connect.ts';
import { SourceChoice } from '../../src/upstream/source-choice.ts';
import { Authority, hasOpenssl } from '../support/tls-certificates.ts';

const info = 'role:master\r\n';
const replies = {
  master: '*3\r\n$6\r\nmaster\r\n:600\r\n*0\r\n',
  replica: '*5\r\n$5\r\nslave\r\n$1\r\np\r\n:9\r\n$9\r\nconnected\r\n:600\r\n',
};

/** Says what role it has, over TLS. */
class Primary implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('secureConnection', (socket) => this.#sockets.add(socket));
  }

  static async listen(authority: Authority, names: readonly string[], role: keyof typeof replies): Promise<Primary> {
    const { certFile, keyFile } = authority.issue(...names);
    const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        socket.write(chunk.toString().includes('ROLE') ? replies[role] : `$${info.length}\r\n${info}\r\n`);
      });
    });
    server.listen(0);
    await once(server, 'listening');
    return new Primary(server);
  }

  at(host: string): SourceAddress {
    return { host, port: (this.#server.address() as AddressInfo).port, tls: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

const signal = new AbortController().signal;
const isIpv6Here = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

/** What comes of connecting: the code of the refusal, or nothing. */
async function refusal(address: SourceAddress, tls: TlsSettings): Promise<unknown> {
  const options = { address, tls, pool: new SlabPool(256 * 1024, 2), clock: systemClock, signal, timeoutMs: 5000 };
  try {
    const connection = await connectSocket(options, { bytes: () => undefined, closed: () => undefined });
    connection.close();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

function choiceOf(addresses: readonly SourceAddress[], tls: TlsSettings): SourceChoice {
  return new SourceChoice({
    addresses,
    tls,
    credentials: {},
    connect: connectSocket,
    clock: systemClock,
    random: () => 0,
    isOurs: () => false,
    held: () => undefined,
    events: { rivals: () => undefined },
  });
}

describe.skipIf(!hasOpenssl())('with certificates (needs the openssl command)', () => {
  const authority = new Authority('the authority');
  const tls: TlsSettings = { verify: true, ca: readFileSync(authority.caFile) };

  test.each([
    ['localhost', 'DNS:localhost', undefined],
    ['127.0.0.1', 'IP:127.0.0.1', undefined],
    ['127.0.0.1', 'DNS:localhost', 'certificate'],
    ['localhost', 'IP:127.0.0.1', 'certificate'],
    ['127.0.0.1', 'DNS:127.0.0.1', 'certificate'],
    ['127.0.0.1', 'IP:127.0.0.2', 'certificate'],
    ...(isIpv6Here
      ? ([
          ['::1', 'IP:::1', undefined],
          ['::1', 'IP:127.0.0.1', 'certificate'],
        ] as const)
      : []),
  ] as const)('the host %s with a certificate for %s: %s', async (host, name, code) => {
    await using primary = await Primary.listen(authority, [name], 'master');
    expect(await refusal(primary.at(host), tls)).toBe(code);
  });

  test('each of several sources is held against its own certificate, by name or address', async () => {
    await using named = await Primary.listen(authority, ['DNS:localhost'], 'replica');
    await using numbered = await Primary.listen(authority, ['IP:127.0.0.1'], 'master');
    const right = choiceOf([named.at('localhost'), numbered.at('127.0.0.1')], tls);
    expect(await right.choose(signal)).toEqual(numbered.at('127.0.0.1'));
    // The primary comes under a name that is only in the other's certificate: it is not the primary, for all we know.
    const half = choiceOf([named.at('localhost'), numbered.at('localhost')], tls);
    expect(await half.choose(signal)).toEqual(named.at('localhost'));
    const none = choiceOf([named.at('127.0.0.1'), numbered.at('localhost')], tls);
    await expect(none.choose(signal)).rejects.toMatchObject({ code: 'no-primary', retry: 'never', exitCode: 10 });
  });

  test('a server name that is given is expected of all of them', async () => {
    await using one = await Primary.listen(authority, ['DNS:primary.example'], 'replica');
    await using other = await Primary.listen(authority, ['DNS:primary.example'], 'master');
    await using stranger = await Primary.listen(authority, ['DNS:localhost'], 'master');
    const expected = { ...tls, serverName: 'primary.example' };
    const addresses = [stranger.at('localhost'), one.at('127.0.0.1'), other.at('localhost')];
    expect(await choiceOf(addresses, expected).choose(signal)).toEqual(other.at('localhost'));
  });
});
