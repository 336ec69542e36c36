// Where a setting's value comes from: command line over environment over file over default, and what is refused.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { JournalError } from '../../src/core/errors.ts';
import { resolveSettings } from '../../src/daemon/layers.ts';
import type { Environment, Given } from '../../src/daemon/layers.ts';
import { nearest } from '../../src/daemon/nearest.ts';
import { environmentName, settingKeys, settings } from '../../src/daemon/settings.ts';
import type { Settings } from '../../src/daemon/settings.ts';
import { temporaryDirectory } from '../support/leash.ts';

function configFile(text: string): string {
  const file = path.join(temporaryDirectory('config'), 'journal.yml');
  writeFileSync(file, text);
  return file;
}

function resolve(given: Given, environment: Environment = {}, yaml?: string): Settings {
  return resolveSettings(given, environment, yaml === undefined ? undefined : configFile(yaml)).values;
}

function refusal(given: Given, environment: Environment = {}, yaml?: string): JournalError {
  try {
    resolve(given, environment, yaml);
  } catch (error) {
    if (error instanceof JournalError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('precedence', () => {
  const yaml = 'name: from-file\nuser: from-file\nto: from-file\n';

  test('the command line comes first, then the environment, then the file, then the default', () => {
    const values = resolve(
      { name: 'from-option' },
      { JOURNAL_NAME: 'from-environment', JOURNAL_USER: 'from-environment' },
      yaml,
    );
    expect(values.name).toBe('from-option');
    expect(values.user).toBe('from-environment');
    expect(values.to).toMatch(/from-file$/);
    expect(values['log-level']).toBe('info');
  });

  test('a list may be given in one text, with commas, or as a list in a file', () => {
    const expected = ['redis://a', 'redis://b'];
    expect(resolve({ source: 'redis://a,redis://b' }).source).toEqual(expected);
    expect(resolve({}, { JOURNAL_SOURCE: 'redis://a, redis://b' }).source).toEqual(expected);
    expect(resolve({}, {}, 'source:\n  - redis://a\n  - redis://b\n').source).toEqual(expected);
  });

  test('every setting can come from each of the three', () => {
    for (const key of settingKeys) {
      const value = sampleOf(key);
      const file = `${key}: ${JSON.stringify(value)}\n`;
      const isRelative = settings[key].isPath === true;
      const expected = settings[key].isList !== undefined ? [value] : value;
      expect(resolve({ [key]: value })[key]).toEqual(expected);
      expect(resolve({}, { [environmentName(key)]: String(value) })[key]).toEqual(expected);
      expect(String(resolve({}, {}, file)[key])).toMatch(isRelative ? /\/sample$/ : new RegExp(`^${String(value)}$`));
    }
  });

  test('an empty variable is not set', () => {
    expect(resolve({}, { JOURNAL_NAME: '', JOURNAL_LOG_LEVEL: '' }).name).toBeUndefined();
  });

  test('the file can be named by JOURNAL_CONFIG, and by --config before that', () => {
    const byVariable = { JOURNAL_CONFIG: configFile('name: by-variable\n') };
    expect(resolve({}, byVariable).name).toBe('by-variable');
    expect(resolve({}, byVariable, 'name: by-option\n').name).toBe('by-option');
  });

  test('an unknown variable is left alone, as schedulers make such names up', () => {
    expect(resolve({}, { JOURNAL_SERVICE_HOST: '10.0.0.1' }).name).toBeUndefined();
  });
});

describe('the file', () => {
  test('may be empty, or comments only', () => {
    expect(resolve({}, {}, '').dir).toBe('./journal-data');
    expect(resolve({}, {}, '# nothing yet\n').dir).toBe('./journal-data');
  });

  test('resolves relative paths against its own folder, and leaves absolute ones', () => {
    const file = configFile('dir: data\ntls-ca: ./certs/ca.pem\ntls-key: /etc/key.pem\n');
    const { values } = resolveSettings({}, {}, file);
    const folder = path.dirname(file);
    expect(values.dir).toBe(path.join(folder, 'data'));
    expect(values['tls-ca']).toBe(path.join(folder, 'certs', 'ca.pem'));
    expect(values['tls-key']).toBe('/etc/key.pem');
  });

  test('takes yes and no for a switch, and a number for a text', () => {
    expect(resolve({}, {}, 'once: yes\nname: 7\n')).toMatchObject({ once: true, name: '7' });
    expect(resolve({}, {}, 'once: false\n').once).toBe(false);
  });

  test.each([
    ['sorce: x', 'sorce', 'did you mean source?'],
    ['tls_ca: x', 'tls_ca', 'did you mean tls-ca?'],
    ['JOURNAL: x', 'JOURNAL', 'the settings are dir, name'],
    ['password: canary-secret', 'password', 'password-file'],
    ['config: other.yml', 'config', 'the settings are'],
  ])('%s is refused by name, with what may have been meant', (yaml, key, hint) => {
    const error = refusal({}, {}, yaml);
    expect(error).toMatchObject({ code: 'unknown-key', exitCode: 2 });
    expect(error.message).toContain(JSON.stringify(key));
    expect(error.hint).toContain(hint);
    expect(`${error.message}${error.hint ?? ''}`).not.toContain('canary-secret');
  });

  test.each([
    ['name: [1', /is not YAML: .* in line \d/],
    ['name: a\nname: b\n', /is not YAML: duplicate key in line 2/],
    ['- a\n- b\n', /is not a list of settings/],
    ['just words', /is not a list of settings/],
    ['name: {a: b}', /name in .* is not a text/],
  ])('%j is refused', (yaml, message) => {
    expect(refusal({}, {}, yaml).message).toMatch(message);
  });

  test('that does not exist, or is a directory, is refused with what named it', () => {
    const directory = temporaryDirectory('config');
    mkdirSync(path.join(directory, 'folder'));
    for (const [name, reason] of [
      ['missing.yml', 'there is no such file'],
      ['folder', 'it is a directory'],
    ] as const) {
      const file = path.join(directory, name);
      expect(() => resolveSettings({}, {}, file)).toThrow(`cannot read the configuration ${file}: ${reason}`);
    }
  });

  test('cannot make the reader work without end', () => {
    const bomb = ['a: &a [x, x]', ...Array.from({ length: 20 }, (_, i) => `k${i}: &k${i} [*a, *a]`)].join('\n');
    expect(refusal({}, {}, bomb).exitCode).toBe(2);
  });
});

describe('a wrong value', () => {
  test.each<[Given, Environment, string | undefined, string]>([
    [{ 'log-level': 'loud' }, {}, undefined, '--log-level is not debug, info, warn or error'],
    [{}, { JOURNAL_RELATIVE_TTL: 'keep' }, undefined, 'JOURNAL_RELATIVE_TTL is not refuse or convert'],
    [{}, { JOURNAL_ONCE: 'perhaps' }, undefined, 'JOURNAL_ONCE is not true or false'],
    [{ name: '' }, {}, undefined, '--name is empty'],
  ])('is refused where it stands: %j %j', (given, environment, yaml, message) => {
    expect(refusal(given, environment, yaml)).toMatchObject({ code: 'bad-setting', message, exitCode: 2 });
  });

  test('of a file is refused with key and file', () => {
    expect(refusal({}, {}, 'log-level: loud\n').message).toMatch(/^log-level in .*journal\.yml is not debug/);
  });
});

test('the nearest known word is offered only when it is near', () => {
  const known = ['source', 'restore', 'tls-ca'];
  expect(nearest('sorce', known)).toBe('source');
  expect(nearest('TLS_CA', known)).toBe('tls-ca');
  expect(nearest('quiet', known)).toBeUndefined();
  expect(nearest('x'.repeat(100_000), known)).toBeUndefined();
});

function sampleOf(key: keyof Settings): string | boolean {
  if (settings[key].value === undefined) return true;
  if (key === 'relative-ttl') return 'convert';
  if (key === 'ack') return 'remote';
  if (key === 'ttl') return 'shift';
  if (key === 'method') return 'restore';
  if (key === 'format') return 'resp';
  return key === 'log-level' ? 'debug' : 'sample';
}
