// From settings to a listener: where, for whom, with which certificate; what is refused, what is warned of, and that no
// message says what a file holds.
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { JournalError } from '../../src/core/errors.ts';
import { resolveRunConfig } from '../../src/daemon/config.ts';
import { resolveSettings } from '../../src/daemon/layers.ts';
import type { Environment, Given } from '../../src/daemon/layers.ts';
import type { ListenConfig } from '../../src/daemon/listen-config.ts';
import { temporaryDirectory } from '../support/leash.ts';

const secret = 'canary-secret-4711';
const source = 'redis://10.0.0.5:6379';
const withPassword = { JOURNAL_LISTEN_PASSWORD: secret };
const certificate = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const privateKey = '-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n';

function file(content: string, mode = 0o600): string {
  const name = path.join(temporaryDirectory('secret'), 'file');
  writeFileSync(name, content);
  chmodSync(name, mode);
  return name;
}

function resolved(
  given: Given,
  environment: Environment,
  configFile?: string,
): { readonly listen: ListenConfig; readonly warnings: readonly string[] } {
  const layers = resolveSettings({ source, ...given }, environment, configFile);
  const { listen, warnings } = resolveRunConfig(layers, environment);
  if (listen === undefined) throw new Error('nobody may come');
  return { listen, warnings };
}

function refusal(given: Given, environment: Environment = withPassword): JournalError {
  try {
    resolved(given, environment);
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    expect([error.message, error.hint].join()).not.toContain(secret);
    return error;
  }
  throw new Error('it was accepted');
}

describe('the address', () => {
  test.each([
    ['6380', { host: '127.0.0.1', port: 6380 }],
    ['0', { host: '127.0.0.1', port: 0 }],
    ['0.0.0.0:6380', { host: '0.0.0.0', port: 6380 }],
    ['localhost:6380', { host: 'localhost', port: 6380 }],
    ['[::]:6380', { host: '::', port: 6380 }],
    ['[2001:db8::5]:6380', { host: '2001:db8::5', port: 6380 }],
  ])('may be %s', (text, expected) => {
    expect(resolved({ listen: text }, withPassword).listen.address).toEqual(expected);
  });

  test.each([
    '',
    'host',
    ':6380',
    '0.0.0.0:',
    '65536',
    '-1',
    '::1:6380',
    'redis://h:6380',
    '1.2.3.4:6380:6381',
    'a b:1',
  ])('cannot be "%s"', (text) => {
    expect(refusal({ listen: text }).code).toMatch(/^(bad-listen|bad-setting)$/);
  });

  test.each([
    'listen-password-file',
    'listen-tls-cert',
    'listen-tls-key',
    'listen-tls-ca',
    'announce',
    'max-rate',
    'max-rate-base',
  ])('is missing where --%s is given', (key) => {
    const error = refusal({ [key]: 'x' });
    expect(error).toMatchObject({ code: 'listen-missing', exitCode: 2 });
    expect(error.message).toContain(`--${key}`);
  });

  test('is missing where users are given', () => {
    expect(refusal({ 'listen-user': ['dr=/x'] }).code).toBe('listen-missing');
  });

  test('beyond this machine without TLS is warned of', () => {
    expect(resolved({ listen: '6380' }, withPassword).warnings).toEqual([]);
    expect(resolved({ listen: '0.0.0.0:6380' }, withPassword).warnings).toEqual([
      '--listen 0.0.0.0:6380: without TLS, passwords and data go over the network as they are (--listen-tls-cert, --listen-tls-key)',
    ]);
    const tls = { 'listen-tls-cert': file(certificate), 'listen-tls-key': file(privateKey) };
    expect(resolved({ listen: '0.0.0.0:6380', ...tls }, withPassword).warnings).toEqual([]);
  });
});

describe('who may come', () => {
  test('is the default user, by a variable or a file, and others by files', () => {
    expect(resolved({ listen: '1' }, withPassword).listen.accounts).toEqual([{ user: 'default', password: secret }]);
    const given = { listen: '1', 'listen-password-file': file(`${secret}\n`), 'listen-user': [`dr=${file('other')}`] };
    expect(resolved(given, {}).listen.accounts).toEqual([
      { user: 'default', password: secret },
      { user: 'dr', password: 'other' },
    ]);
    expect(resolved({ listen: '1', 'listen-user': [`dr=${file('x')}`] }, {}).listen.accounts).toEqual([
      { user: 'dr', password: 'x' },
    ]);
  });

  test('is not nobody, and has a password', () => {
    expect(refusal({ listen: '1' }, {})).toMatchObject({ code: 'listen-password-missing', exitCode: 2 });
    expect(refusal({ listen: '1', 'listen-password-file': file('\n') }, {}).code).toBe('empty-password');
    expect(refusal({ listen: '1', 'listen-user': [`dr=${file('')}`] }).code).toBe('empty-password');
    expect(refusal({ listen: '1', 'listen-password-file': '/nowhere/secret' }, {}).code).toBe('unreadable-file');
  });

  test('has one password each', () => {
    const users = [`dr=${file(secret)}`, `dr=${file('other')}`];
    expect(refusal({ listen: '1', 'listen-user': users }, {}).code).toBe('listen-user-twice');
    expect(refusal({ listen: '1', 'listen-user': [`default=${file(secret)}`] }).code).toBe('listen-user-twice');
  });

  test.each(['dr', 'dr=', '=file', 'a b=file', `${'x'.repeat(65)}=file`])('is not written as %s', (text) => {
    expect(refusal({ listen: '1', 'listen-user': [text] }).code).toBe('bad-listen-user');
  });

  test('may be known to all of this machine, which is warned of', () => {
    const open = file(secret, 0o644);
    const { warnings } = resolved({ listen: '1', 'listen-password-file': open }, {});
    expect(warnings).toEqual([`${open} can be read by every user of this machine: chmod 600 ${open}`]);
  });
});

describe('the certificate', () => {
  test('has a key, and is not asked of others without', () => {
    for (const given of [
      { 'listen-tls-cert': file(certificate) },
      { 'listen-tls-key': file(privateKey) },
      { 'listen-tls-ca': file(certificate) },
      { 'listen-tls-ca': file(certificate), 'listen-tls-cert': file(certificate) },
    ]) {
      expect(refusal({ listen: '1', ...given }).code).toBe('half-a-certificate');
    }
  });

  test('is what its file says', () => {
    const swapped = { 'listen-tls-cert': file(privateKey + secret), 'listen-tls-key': file(certificate) };
    expect(refusal({ listen: '1', ...swapped }).code).toBe('bad-pem');
  });

  test('is taken with the authority of the clients', () => {
    const both = file(certificate + privateKey);
    const { tls } = resolved(
      { listen: '1', 'listen-tls-cert': both, 'listen-tls-key': both, 'listen-tls-ca': file(certificate) },
      withPassword,
    ).listen;
    expect(tls?.ca?.toString()).toBe(certificate);
    expect(tls?.key.toString()).toBe(certificate + privateKey);
  });
});

describe('what is announced', () => {
  test('is a port, or an address, and by itself nothing', () => {
    const announced = (text: string): unknown =>
      resolved({ listen: '6380', announce: text }, withPassword).listen.announce;
    expect(resolved({ listen: '6380' }, withPassword).listen.announce).toBeUndefined();
    expect(announced('6380')).toEqual({ host: undefined, port: 6380 });
    expect(announced('journal.internal:16380')).toEqual({ host: 'journal.internal', port: 16380 });
    expect(announced('[2001:db8::5]:6380')).toEqual({ host: '2001:db8::5', port: 6380 });
  });

  test.each(['0', 'host', 'host:0', `${'x'.repeat(256)}:1`, 'a\nb:1'])('is not %j', (text) => {
    expect(refusal({ listen: '6380', announce: text }).code).toBe('bad-announce');
  });
});

describe('what journals that follow us may take of the line', () => {
  test('is as much as there is, or so many bytes a second', () => {
    const rates = (values: Readonly<Record<string, string>>): unknown =>
      resolved({ listen: '6380', ...values }, withPassword).listen.rates;
    expect(rates({})).toEqual({ stream: undefined, base: undefined });
    expect(rates({ 'max-rate': '5MB' })).toEqual({ stream: 5_000_000, base: undefined });
    expect(rates({ 'max-rate-base': '0.01MB' })).toEqual({ stream: undefined, base: 10_000 });
  });

  test.each(['5', '0MB', '5kB', '-1MB', 'fast', '0.009MB'])('is not %j', (text) => {
    expect(refusal({ listen: '6380', 'max-rate': text })).toMatchObject({ code: 'bad-setting', exitCode: 2 });
    expect(refusal({ listen: '6380', 'max-rate-base': text }).message).toContain('--max-rate-base');
  });
});

test('all of it may come from the environment', () => {
  const environment = {
    JOURNAL_LISTEN: '0.0.0.0:6380',
    JOURNAL_LISTEN_PASSWORD: secret,
    JOURNAL_LISTEN_USER: `dr=${file('other')}`,
    JOURNAL_LISTEN_TLS_CERT: file(certificate),
    JOURNAL_LISTEN_TLS_KEY: file(privateKey),
    JOURNAL_ANNOUNCE: '6380',
  };
  expect(resolved({}, environment).listen).toMatchObject({
    address: { host: '0.0.0.0', port: 6380 },
    accounts: [{ user: 'default' }, { user: 'dr', password: 'other' }],
    tls: { ca: undefined },
    announce: { port: 6380 },
  });
  expect(refusal({}, { ...environment, JOURNAL_LISTEN_PASSWORD_FILE: file(secret) }).code).toBe('two-passwords');
});

test('all of it may come from a file, whose paths are its own', () => {
  const config = file('');
  writeFileSync(path.join(path.dirname(config), 'replicas'), secret, { mode: 0o600 });
  writeFileSync(path.join(path.dirname(config), 'dr'), 'other', { mode: 0o600 });
  const user = `dr=${path.join(path.dirname(config), 'dr')}`;
  writeFileSync(config, `listen: 6380\nlisten-password-file: replicas\nlisten-user: [${user}]\nannounce: 6380\n`);
  expect(resolved({}, {}, config).listen).toMatchObject({
    address: { host: '127.0.0.1', port: 6380 },
    accounts: [
      { user: 'default', password: secret },
      { user: 'dr', password: 'other' },
    ],
    announce: { host: undefined, port: 6380 },
  });
});
