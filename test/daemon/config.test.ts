// From settings to what run needs: addresses, credentials and certificates, with secrets from files that stay secrets.
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { JournalError } from '../../src/core/errors.ts';
import { resolveRunConfig } from '../../src/daemon/config.ts';
import type { RunConfig } from '../../src/daemon/config.ts';
import { resolveSettings } from '../../src/daemon/layers.ts';
import type { Environment, Given } from '../../src/daemon/layers.ts';
import { temporaryDirectory } from '../support/leash.ts';

const secret = 'canary-secret-4711';
const source = 'redis://10.0.0.5:6379';
const tlsSource = 'rediss://10.0.0.5:6380';

function file(name: string, content: string, mode = 0o600): string {
  const file = path.join(temporaryDirectory('secret'), name);
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

function config(given: Given, environment: Environment = {}): RunConfig {
  return resolveRunConfig(resolveSettings({ source, ...given }, environment, undefined), environment);
}

function refusal(given: Given, environment: Environment = {}): JournalError {
  try {
    config(given, environment);
  } catch (error) {
    if (error instanceof JournalError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

test('without any options but the source, the rest is sensible', () => {
  const { root, ...rest } = config({});
  expect(root).toBe(path.resolve('journal-data'));
  expect(rest).toEqual({
    addresses: [{ host: '10.0.0.5', port: 6379, tls: false }],
    credentials: { user: undefined, password: undefined },
    tls: { ca: undefined, cert: undefined, key: undefined, serverName: undefined, verify: true },
    warnings: [],
    name: '10.0.0.5-6379',
    relativeTtl: 'refuse',
    ack: 'local',
    once: false,
    logLevel: 'info',
  });
});

test('what is acknowledged may depend on another site only where somebody can follow', () => {
  expect(refusal({ ack: 'remote' })).toMatchObject({ code: 'listen-missing', exitCode: 2 });
});

test('several sources are the addresses of one primary: each once, named after the first, spoken to in the same way', () => {
  const given = 'redis://10.0.0.5:6379,redis://10.0.0.6:6379, redis://10.0.0.5';
  const { addresses, name } = config({ source: given });
  expect(addresses.map(({ host }) => host)).toEqual(['10.0.0.5', '10.0.0.6']);
  expect(name).toBe('10.0.0.5-6379');
  expect(refusal({ source: 'redis://a,rediss://b' }).code).toBe('sources-differ');
  expect(refusal({ source: 'redis://ops@a,redis://b' }).code).toBe('sources-differ');
});

test('a missing source is asked for, with an example', () => {
  const layers = resolveSettings({}, {}, undefined);
  expect(() => resolveRunConfig(layers, {})).toThrow(expect.objectContaining({ code: 'no-source', exitCode: 2 }));
});

describe('the password', () => {
  test.each([secret, `${secret}\n`, `${secret}\r\n`])('is read from its file, %j without the line end', (text) => {
    expect(config({ 'password-file': file('password', text) }).credentials.password).toBe(secret);
  });

  test('keeps blanks and further line ends, which may be part of it', () => {
    expect(config({ 'password-file': file('password', ` ${secret}\n\n`) }).credentials.password).toBe(` ${secret}\n`);
  });

  test('comes from JOURNAL_PASSWORD as it is', () => {
    expect(config({}, { JOURNAL_PASSWORD: `${secret}\n` }).credentials.password).toBe(`${secret}\n`);
  });

  test('of --password-file comes before JOURNAL_PASSWORD', () => {
    const given = { 'password-file': file('password', 'of the file') };
    expect(config(given, { JOURNAL_PASSWORD: secret }).credentials.password).toBe('of the file');
  });

  test('of JOURNAL_PASSWORD comes before the file that a configuration names', () => {
    const yaml = file('journal.yml', `password-file: ${file('password', 'of the file')}\n`);
    const environment = { JOURNAL_PASSWORD: secret };
    const layers = resolveSettings({ source }, environment, yaml);
    expect(resolveRunConfig(layers, environment).credentials.password).toBe(secret);
    expect(resolveRunConfig(layers, {}).credentials.password).toBe('of the file');
  });

  test('twice in the environment is refused', () => {
    const environment = { JOURNAL_PASSWORD: secret, JOURNAL_PASSWORD_FILE: file('password', 'x') };
    expect(refusal({}, environment)).toMatchObject({ code: 'two-passwords', exitCode: 2 });
  });

  test('in a file that everybody can read is used, with a warning that names the file only', () => {
    const readable = file('password', secret, 0o644);
    const { warnings, credentials } = config({ 'password-file': readable });
    expect(credentials.password).toBe(secret);
    expect(warnings).toEqual([`${readable} can be read by every user of this machine: chmod 600 ${readable}`]);
  });

  test.each([
    ['a missing file', '/nonexistent/password', /^--password-file: cannot read .*: there is no such file$/],
    ['an empty file', file('password', '\n'), /is empty$/],
    ['a directory', temporaryDirectory('directory'), /it is a directory$/],
  ])('cannot come from %s', (_, path, message) => {
    expect(refusal({ 'password-file': path }).message).toMatch(message);
  });

  test('in the source address is refused without repeating it', () => {
    const error = refusal({ source: `redis://user:${secret}@10.0.0.5:6379` });
    expect(error).toMatchObject({ code: 'password-in-url', exitCode: 2 });
    expect(`${error.message} ${error.hint ?? ''}`).not.toContain(secret);
  });
});

describe('the user', () => {
  const environment = { JOURNAL_PASSWORD: secret };

  test('may stand in the address or in --user, or in both when it is the same', () => {
    expect(config({ source: 'redis://ops@h:1' }, environment).credentials.user).toBe('ops');
    expect(config({ user: 'ops' }, environment).credentials.user).toBe('ops');
    expect(config({ source: 'redis://ops@h:1', user: 'ops' }, environment).credentials.user).toBe('ops');
  });

  test('cannot be two, nor be without a password', () => {
    expect(refusal({ source: 'redis://ops@h:1', user: 'dev' }, environment).code).toBe('two-users');
    expect(refusal({ user: 'ops' }).code).toBe('password-missing');
  });
});

describe('TLS', () => {
  const certificate = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';

  test('material is read from its files', () => {
    const given = {
      source: tlsSource,
      'tls-ca': file('ca.pem', certificate),
      'tls-cert': file('cert.pem', certificate),
      'tls-key': file('key.pem', key),
      'tls-server-name': 'cache.internal',
    };
    const { tls, addresses } = config(given);
    expect(addresses[0].tls).toBe(true);
    expect(tls).toEqual({
      ca: Buffer.from(certificate),
      cert: Buffer.from(certificate),
      key: Buffer.from(key),
      serverName: 'cache.internal',
      verify: true,
    });
  });

  test('is not verified only when told so, and that is warned of', () => {
    const { tls, warnings } = config({ source: tlsSource, 'tls-insecure': true });
    expect(tls.verify).toBe(false);
    expect(warnings).toEqual([expect.stringContaining('--tls-insecure')]);
  });

  test('options are refused where they would do nothing', () => {
    expect(refusal({ 'tls-insecure': true })).toMatchObject({ code: 'tls-not-used', exitCode: 2 });
    expect(refusal({ 'tls-server-name': 'x' }).message).toContain('--tls-server-name');
  });

  test('a certificate without its key, or a key without its certificate, is refused', () => {
    expect(refusal({ source: tlsSource, 'tls-cert': file('c', certificate) }).code).toBe('half-a-certificate');
    expect(refusal({ source: tlsSource, 'tls-key': file('k', key) }).code).toBe('half-a-certificate');
  });

  test('a file that is missing, or is no PEM, is refused with the option that named it', () => {
    expect(refusal({ source: tlsSource, 'tls-ca': '/nonexistent/ca' }).message).toBe(
      '--tls-ca: cannot read /nonexistent/ca: there is no such file',
    );
    const error = refusal({ source: tlsSource, 'tls-ca': file('ca.pem', `not PEM ${secret}`) });
    expect(error.message).toMatch(/^--tls-ca: .* holds no PEM of a certificate$/);
    expect(error.message).not.toContain(secret);
    const swapped = { source: tlsSource, 'tls-cert': file('c', key), 'tls-key': file('k', certificate) };
    expect(refusal(swapped).code).toBe('bad-pem');
  });
});
