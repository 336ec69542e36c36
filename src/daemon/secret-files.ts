/**
 * Passwords, keys and certificates, read from the files that settings name. Neighbours: config.ts and listen-config.ts.
 *
 * Invariant: messages name the option and the file, never what is in it.
 */
import { readFileSync, statSync } from 'node:fs';
import { UsageError } from '../core/errors.ts';
import { reasonOf, setVariable } from './layers.ts';
import type { Environment, Layers } from './layers.ts';
import { environmentName } from './settings.ts';

/** Beginning of the settings of the primary, or of the server that is restored to. */
export type OfServer = '' | 'target-';
/** Of these, or of the listener. */
export type Of = OfServer | 'listen-';

export const passwordVariables: Readonly<Record<Of, string>> = {
  '': 'JOURNAL_PASSWORD',
  'target-': 'JOURNAL_TARGET_PASSWORD',
  'listen-': 'JOURNAL_LISTEN_PASSWORD',
};

/** A file named on the command line comes before the variable, one named in a configuration after it. */
export function resolvePassword(
  layers: Layers,
  environment: Environment,
  warnings: string[],
  of: Of,
): string | undefined {
  const key = `${of}password-file` as const;
  const passwordVariable = passwordVariables[of];
  const path = layers.values[key];
  const origin = layers.origin(key);
  const direct = setVariable(environment, passwordVariable);
  if (direct !== undefined && path !== undefined && origin === environmentName(key)) {
    throw new UsageError('two-passwords', `${passwordVariable} and ${origin} are both set`, {
      hint: 'unset one of them',
    });
  }
  if (path === undefined || (direct !== undefined && origin !== `--${key}`)) return direct;
  return readPassword(path, origin, warnings);
}

export function readPassword(path: string, origin: string, warnings: string[]): string {
  const text = readSecretFile(path, origin, warnings).toString('utf8');
  const password = text.replace(/\r?\n$/, '');
  if (password === '') throw new UsageError('empty-password', `${origin}: ${path} is empty`);
  return password;
}

export function readPem(
  layers: Layers,
  key: `${Of}tls-${'ca' | 'cert' | 'key'}`,
  holds: string,
  warnings?: string[],
): Buffer | undefined {
  const path = layers.values[key];
  if (path === undefined) return undefined;
  const origin = layers.origin(key);
  const bytes = warnings === undefined ? readBounded(path, origin) : readSecretFile(path, origin, warnings);
  if (!new RegExp(`-----BEGIN [A-Z ]*${holds}-----`).test(bytes.toString('latin1'))) {
    throw new UsageError('bad-pem', `${origin}: ${path} holds no PEM of a ${holds.toLowerCase()}`, {
      hint: `a PEM file has a line -----BEGIN ${holds}-----`,
    });
  }
  return bytes;
}

function readSecretFile(path: string, origin: string, warnings: string[]): Buffer {
  const bytes = readBounded(path, origin);
  if (isReadableByAll(path)) warnings.push(`${path} can be read by every user of this machine: chmod 600 ${path}`);
  return bytes;
}

function isReadableByAll(path: string): boolean {
  const { mode } = statSync(path);
  return (mode & 0o004) !== 0;
}

/** Longer than any password, certificate chain or bundle of authorities. */
const fileBytesMax = 4 * 1024 * 1024;

function readBounded(path: string, origin: string): Buffer {
  let bytes;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new UsageError('unreadable-file', `${origin}: cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
  if (bytes.length > fileBytesMax) throw new UsageError('unreadable-file', `${origin}: ${path} is too large to be one`);
  return bytes;
}
