/**
 * Where replicas may come to, resolved: an address, who may come, and TLS material. Neighbours: config.ts resolves what is
 * upstream, listening.ts opens the listener.
 *
 * Invariant: no listener without a password, none beyond this machine unless its address is spelled out.
 */
import { parseSize } from '../core/amounts.ts';
import { UsageError } from '../core/errors.ts';
import { defaultUser } from '../downstream/accounts.ts';
import type { Account } from '../downstream/accounts.ts';
import type { ListenAddress, ListenTls } from '../downstream/listener.ts';
import type { AnnouncedAddress } from '../redis/handshake.ts';
import type { Environment, Layers } from './layers.ts';
import { readPassword, readPem, resolvePassword } from './secret-files.ts';

export interface ListenConfig {
  readonly address: ListenAddress;
  readonly accounts: readonly [Account, ...Account[]];
  readonly tls: ListenTls | undefined;
  /** What the primary is told of it. Undefined: nothing. */
  readonly announce: AnnouncedAddress | undefined;
  /** Bytes a second to journals that follow us, all together; undefined: as fast as it goes. */
  readonly rates: { readonly stream: number | undefined; readonly base: number | undefined };
}

const rateLeast = 10_000;
const loopback = '127.0.0.1';

/** Undefined: nobody may come. `warnings` are added to. UsageError when something is missing or cannot be read. */
export function resolveListen(layers: Layers, environment: Environment, warnings: string[]): ListenConfig | undefined {
  const { values, origin } = layers;
  const text = values.listen;
  if (text === undefined) {
    const unused = (
      [
        ...(['listen-password-file', 'listen-user', 'listen-tls-cert', 'listen-tls-key', 'listen-tls-ca'] as const),
        ...(['announce', 'max-rate', 'max-rate-base'] as const),
      ] as const
    ).find((key) => [values[key]].flat().some((value) => value !== undefined));
    if (unused === undefined) return undefined;
    throw new UsageError('listen-missing', `${origin(unused)} is given, but there is no --listen`, {
      hint: 'name the address: --listen 6380 for this machine only, --listen 0.0.0.0:6380 for all',
    });
  }
  const address = parseListen(text, origin('listen'));
  const accounts = resolveAccounts(layers, environment, warnings);
  const tls = resolveListenTls(layers, warnings);
  if (tls === undefined && !isLoopback(address.host)) {
    warnings.push(
      `--listen ${address.host}:${address.port}: without TLS, passwords and data go over the network as they are (--listen-tls-cert, --listen-tls-key)`,
    );
  }
  const rates = { stream: resolveRate(layers, 'max-rate'), base: resolveRate(layers, 'max-rate-base') };
  return { address, accounts, tls, announce: resolveAnnounce(layers), rates };
}

function resolveRate({ values, origin }: Layers, key: 'max-rate' | 'max-rate-base'): number | undefined {
  const text = values[key];
  const rate = text === undefined ? undefined : parseSize(text);
  if (text === undefined || (rate !== undefined && rate >= rateLeast)) return rate;
  throw new UsageError('bad-setting', `${origin(key)} is not a number of bytes a second`, {
    hint: 'a number and a unit, from 0.01MB on: MB, GB, MiB, GiB; for example 5MB',
  });
}

function resolveAnnounce({ values, origin }: Layers): AnnouncedAddress | undefined {
  if (values.announce === undefined) return undefined;
  const address = parseAddress(values.announce);
  if (address !== undefined && address.port > 0) return address;
  throw new UsageError('bad-announce', `${origin('announce')} is not an address that others could come to`, {
    hint: 'write PORT, or HOST:PORT where the primary does not see the address that others reach us at',
  });
}

/** PORT, HOST:PORT, [IPv6]:PORT. */
function parseAddress(text: string): AnnouncedAddress | undefined {
  const found = /^(?:(?:\[([\da-f:.]+)\]|([^:[\]\s]{1,255})):)?(\d{1,5})$/i.exec(text);
  const port = Number(found?.[3]);
  return found === null || port > 65_535 ? undefined : { host: found[1] ?? found[2], port };
}

function parseListen(text: string, origin: string): ListenAddress {
  const address = parseAddress(text);
  if (address === undefined) {
    throw new UsageError('bad-listen', `${origin} is not an address to listen on`, {
      hint: 'write PORT for this machine only, or HOST:PORT, such as 0.0.0.0:6380 or [::]:6380',
    });
  }
  return { host: address.host ?? loopback, port: address.port };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function resolveAccounts(
  layers: Layers,
  environment: Environment,
  warnings: string[],
): readonly [Account, ...Account[]] {
  const password = resolvePassword(layers, environment, warnings, 'listen-');
  const named = layers.values['listen-user'].map((text) => resolveAccount(text, layers, warnings));
  const all = [...(password === undefined ? [] : [{ user: defaultUser, password }]), ...named];
  const [first, ...others] = all;
  if (first === undefined) {
    throw new UsageError('listen-password-missing', 'nobody could log in: --listen needs a password', {
      hint: 'give --listen-password-file FILE or JOURNAL_LISTEN_PASSWORD; replicas use it as masterauth',
    });
  }
  const twice = all.find(({ user }, i) => all.findIndex((other) => other.user === user) !== i);
  if (twice === undefined) return [first, ...others];
  throw new UsageError('listen-user-twice', `the user ${twice.user} has two passwords`, {
    hint: 'name each user once',
  });
}

/** NAME=FILE. */
function resolveAccount(text: string, layers: Layers, warnings: string[]): Account {
  const origin = layers.origin('listen-user');
  const found = /^([^=\s]{1,64})=(.+)$/.exec(text);
  if (found?.[1] === undefined || found[2] === undefined) {
    throw new UsageError('bad-listen-user', `${origin} is not of the form NAME=FILE`, {
      hint: 'the file holds the password of that user',
    });
  }
  return { user: found[1], password: readPassword(found[2], origin, warnings) };
}

function resolveListenTls(layers: Layers, warnings: string[]): ListenTls | undefined {
  const cert = readPem(layers, 'listen-tls-cert', 'CERTIFICATE');
  const key = readPem(layers, 'listen-tls-key', 'PRIVATE KEY', warnings);
  const ca = readPem(layers, 'listen-tls-ca', 'CERTIFICATE');
  if (cert !== undefined && key !== undefined) return { cert, key, ca };
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  throw new UsageError('half-a-certificate', '--listen-tls-cert and --listen-tls-key come together', {
    hint: 'two PEM files, or twice the same file with both in it; --listen-tls-ca asks clients for theirs',
  });
}
