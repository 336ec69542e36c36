/**
 * What `run` needs, resolved: settings become an address, credentials and TLS material, with secrets read from their
 * files. Neighbours: layers.ts found the settings, run.ts works with the result.
 *
 * Invariant: a secret is in `credentials` and `tls` only. Messages name the option and the file, never what is in it.
 */
import { resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { formatAddress, parseSource, sourceNameOf } from '../upstream/address.ts';
import type { Credentials, SourceAddress, TlsSettings } from '../upstream/address.ts';
import { parseKeepLocal } from './keep-local.ts';
import { resolveListen } from './listen-config.ts';
import type { ListenConfig } from './listen-config.ts';
import type { KeepLocal } from './keep-local.ts';
import type { AckMode, LogLevel, SettingKey } from './settings.ts';
import type { Environment, Layers } from './layers.ts';
import { passwordVariables, readPem, resolvePassword } from './secret-files.ts';
import type { OfServer } from './secret-files.ts';

/** How to reach a primary. */
export interface SourceConfig {
  /** All addresses that the primary may have, each once; the first is what a source is named after. */
  readonly addresses: readonly [SourceAddress, ...SourceAddress[]];
  readonly credentials: Credentials;
  readonly tls: TlsSettings;
  /** To be told before anything else: what was accepted, though it is not wise. */
  readonly warnings: readonly string[];
}

export interface RunConfig extends SourceConfig {
  /** The journal directory, absolute. */
  readonly root: string;
  /** The source's folder in it. */
  readonly name: string;
  readonly relativeTtl: 'refuse' | 'convert';
  /** Absent: everything is kept. */
  readonly keepLocal?: KeepLocal | undefined;
  /** Absent: no replicas are fed. */
  readonly listen?: ListenConfig | undefined;
  /** `remote`: acknowledged is what a journal that follows us has, too. Absent: local. */
  readonly ack?: AckMode;
  /** Stop when what the primary had at the start is journaled. */
  readonly once: boolean;
  readonly logLevel: LogLevel;
}

/** UsageError when something is missing, contradicts itself, or cannot be read. */
export function resolveRunConfig(layers: Layers, environment: Environment): RunConfig {
  const { values } = layers;
  const source = resolveSource(layers, environment);
  if (source === undefined) {
    throw new UsageError('no-source', 'which primary? --source is missing', {
      hint: 'for example: journal run --source redis://10.0.0.5:6379',
    });
  }
  const warnings = [...source.warnings];
  return {
    ...source,
    root: resolve(values.dir),
    name: values.name ?? sourceNameOf(source.addresses[0]),
    relativeTtl: values['relative-ttl'],
    keepLocal: resolveKeepLocal(layers),
    listen: resolveListen(layers, environment, warnings),
    warnings,
    ack: resolveAck(layers),
    once: values.once,
    logLevel: values['log-level'],
  };
}

function resolveAck({ values, origin }: Layers): AckMode {
  if (values.ack === 'local' || values.listen !== undefined) return values.ack;
  throw new UsageError('listen-missing', `${origin('ack')} is remote, but there is no --listen`, {
    hint: 'the journal at the other site follows this one: --listen HOST:PORT',
  });
}

function resolveKeepLocal({ values, origin }: Layers): KeepLocal | undefined {
  const text = values['keep-local'];
  if (text === undefined) return undefined;
  const keep = parseKeepLocal(text);
  if (keep !== undefined) return keep;
  throw new UsageError('bad-setting', `${origin('keep-local')} is neither a duration nor a size`, {
    hint: 'a number and a unit: s, m, h, d, w; or MB, GB, TB, MiB, GiB, TiB; for example 7d or 200GB',
  });
}

/** The server that is restored to: `url`, with the settings that begin with `target-`. */
export function resolveTarget(url: string, layers: Layers, environment: Environment): SourceConfig {
  const { address, user } = parseSource(url, {
    what: 'target',
    option: '--to',
    passwordOption: '--target-password-file',
    passwordVariable: passwordVariables['target-'],
  });
  const warnings: string[] = [];
  const credentials = resolveCredentials(layers, environment, user, warnings, 'target-');
  const tls = resolveTls(layers, address, warnings, 'target-');
  return { addresses: [address], credentials, tls, warnings };
}

/** The primary that is configured, if any. */
export function resolveSource(layers: Layers, environment: Environment): SourceConfig | undefined {
  const { values } = layers;
  const [first, ...more] = (values.source ?? []).map((text) => parseSource(text));
  if (first === undefined) return undefined;
  if (more.some(({ address, user }) => user !== first.user || address.tls !== first.address.tls)) {
    throw new UsageError('sources-differ', `${layers.origin('source')}: the addresses differ in user or in TLS`, {
      hint: 'all are addresses that one primary may have, and are spoken to in the same way',
    });
  }
  const { address, user } = first;
  const others = more
    .map((one) => one.address)
    .filter((one, i, all) => {
      const isFirstOfItsKind = all.findIndex((other) => formatAddress(other) === formatAddress(one)) === i;
      return isFirstOfItsKind && formatAddress(one) !== formatAddress(address);
    });
  const warnings: string[] = [];
  const credentials = resolveCredentials(layers, environment, user, warnings);
  const tls = resolveTls(layers, address, warnings);
  return { addresses: [address, ...others], credentials, tls, warnings };
}

function resolveCredentials(
  layers: Layers,
  environment: Environment,
  userInUrl: string | undefined,
  warnings: string[],
  of: OfServer = '',
): Credentials {
  const { values, origin } = layers;
  const named = values[`${of}user`];
  if (named !== undefined && userInUrl !== undefined && named !== userInUrl) {
    const inUrl = origin(of === '' ? 'source' : 'to');
    throw new UsageError('two-users', `${origin(`${of}user`)} and the user in ${inUrl} are not the same`, {
      hint: 'name the user once',
    });
  }
  const user = named ?? userInUrl;
  const password = resolvePassword(layers, environment, warnings, of);
  if (user !== undefined && password === undefined) {
    throw new UsageError('password-missing', 'a user is named, but there is no password', {
      hint: `give it with --${of}password-file FILE or ${passwordVariables[of]}`,
    });
  }
  return { user, password };
}

function resolveTls(layers: Layers, address: SourceAddress, warnings: string[], of: OfServer = ''): TlsSettings {
  const { values, origin } = layers;
  const used = tlsKeys
    .map((key) => `${of}${key}` as const)
    .find((key) => values[key] !== undefined && values[key] !== false);
  if (used !== undefined && !address.tls) {
    const what = of === '' ? 'source' : 'target';
    throw new UsageError('tls-not-used', `${origin(used)} is given, but the ${what} is redis://, without TLS`, {
      hint: 'write rediss:// for a server that speaks TLS',
    });
  }
  if ((values[`${of}tls-cert`] === undefined) !== (values[`${of}tls-key`] === undefined)) {
    throw new UsageError('half-a-certificate', `--${of}tls-cert and --${of}tls-key come together`, {
      hint: 'the client certificate and its key are two PEM files, or twice the same file with both in it',
    });
  }
  const isInsecure = values[`${of}tls-insecure`];
  if (isInsecure) {
    const what = `--${of}tls-insecure: the certificate is not verified`;
    warnings.push(`${what}; anyone on the way can read and change the data`);
  }
  return {
    ca: readPem(layers, `${of}tls-ca`, 'CERTIFICATE'),
    cert: readPem(layers, `${of}tls-cert`, 'CERTIFICATE'),
    key: readPem(layers, `${of}tls-key`, 'PRIVATE KEY', warnings),
    serverName: values[`${of}tls-server-name`],
    verify: !isInsecure,
  };
}

const tlsKeys = ['tls-ca', 'tls-cert', 'tls-key', 'tls-server-name', 'tls-insecure'] as const satisfies SettingKey[];
