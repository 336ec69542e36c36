// How errors are told: one message, one hint, one exit code, for people and for programs; and never a secret.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Output } from '../../src/cli/output.ts';
import { systemClock } from '../../src/core/clock.ts';
import { IntegrityError } from '../../src/core/errors.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { cli, jsonError, KeepingStream } from './cli.ts';

describe('a mistyped command line', () => {
  test.each([
    [['sttus'], 'unknown verb sttus', 'did you mean status?'],
    [['help', 'restor'], 'unknown verb restor', 'did you mean restore?'],
    [['frobnicate'], 'unknown verb frobnicate', 'the verbs are run, status'],
    [['status', '--jsn'], 'unknown option --jsn', 'did you mean --json?'],
    [['run', '--sorce', 'x'], 'unknown option --sorce', 'did you mean --source?'],
    [['ls', 'gap'], 'unknown kind', 'did you mean gaps?'],
    [['ls', 'everything'], 'unknown kind', 'one of timelines, bases, segments, gaps, orphans, uncertain, marks'],
    [['mark'], "missing required argument 'mark'", 'journal --help'],
    [['status', 'extra'], "too many arguments for 'status'. Expected 0 arguments", 'journal --help'],
    [['run', '--source'], "option '--source <URL>' argument missing", 'journal --help'],
    [['status', '--dir', 'a', '--dir', 'b'], '--dir is given twice', 'give it once'],
    [['run'], 'which primary? --source is missing', 'journal run --source redis://10.0.0.5:6379'],
  ])('%j is refused with what may have been meant', async (argv, message, hint) => {
    const result = await cli(argv);
    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    const [first = '', second = '', ...rest] = result.stderr.split('\n');
    expect(first).toBe(`journal: ${message}`);
    expect(second).toMatch(/^ {2}hint: /);
    expect(second).toContain(hint);
    expect(rest).toEqual(['']);
  });

  test('is told as a document with --json', async () => {
    const result = await cli(['status', '--json', '--nmae', 'x']);
    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(jsonError(result)).toEqual({
      code: 'unknown-option',
      message: 'unknown option --nmae',
      hint: 'did you mean --name?',
      exitCode: 2,
    });
  });

  test('common options may stand before the verb', async () => {
    const result = await cli(['--json', '--dir', '/nonexistent', 'status']);
    expect(jsonError(result).code).toBe('no-journal');
  });
});

describe('a directory', () => {
  test('without a journal is told, with how to begin one', async () => {
    for (const verb of [['status'], ['ls'], ['mark', 'x']]) {
      const result = await cli([...verb, '--dir', '/nonexistent']);
      expect(result.exitCode).toBe(2);
      expect(result.stderr).toMatch(/^journal: there is no journal in \/nonexistent\n {2}hint: .*journal run --source/);
    }
  });

  test('with several sources needs a name, where the verb is about one', async () => {
    const root = temporaryDirectory('several');
    for (const name of ['a', 'b']) mkdirSync(path.join(root, name, 'timelines'), { recursive: true });
    expect((await cli(['ls', '--dir', root])).stderr).toContain('holds more than one source: a, b');
    expect((await cli(['ls', '--dir', root, '--name', 'c'])).stderr).toContain('holds no source "c", only: a, b');
    expect((await cli(['ls', '--dir', root, '--name', 'b'])).exitCode).toBe(0);
  });
});

describe('an error', () => {
  function told(error: unknown, json = false, env = {}): { readonly exitCode: number; readonly stderr: string } {
    const stderr = new KeepingStream(false);
    const stdout = new KeepingStream(false);
    const signal = new AbortController().signal;
    const io = { stdout, stderr, env, disk: localDisk, clock: systemClock, signal };
    const exitCode = new Output(io, { json, quiet: false, color: false }).failure(error);
    expect(stdout.text).toBe('');
    return { exitCode, stderr: stderr.text };
  }

  test('of ours is told by its message and hint, and exits with its code', () => {
    const error = new IntegrityError('corrupt', 'the file is damaged', { hint: 'bring it back' });
    expect(told(error)).toEqual({
      exitCode: 6,
      stderr: 'journal: the file is damaged\n  hint: bring it back\n',
    });
    expect(JSON.parse(told(error, true).stderr)).toEqual({
      error: { code: 'corrupt', message: 'the file is damaged', hint: 'bring it back', exitCode: 6 },
    });
    expect(JSON.parse(told(new IntegrityError('x', 'y'), true).stderr)).toMatchObject({ error: { hint: null } });
  });

  test('that nobody expected is told in one line, with its stack only when asked for', () => {
    const error = new TypeError('x is not a function', { cause: new Error('deeper') });
    const { exitCode, stderr } = told(error);
    expect(exitCode).toBe(1);
    expect(stderr.split('\n')[0]).toBe('journal: unexpected error: TypeError: x is not a function');
    expect(stderr).not.toContain('    at ');
    const debugged = told(error, false, { JOURNAL_DEBUG: '1' }).stderr;
    expect(debugged).toContain('    at ');
    expect(debugged).toContain('caused by Error: deeper');
  });

  test('cannot play tricks on the terminal', () => {
    const { stderr } = told(new IntegrityError('x', 'name \u001b[2J\nfake: line', { hint: '\u202e' }));
    expect(stderr).toBe('journal: name \\u{1b}[2J\\u{a}fake: line\n  hint: \\u{202e}\n');
  });
});

describe('a secret', () => {
  const secret = 'canary-secret-4711';
  const folder = temporaryDirectory('secret');
  const passwordFile = path.join(folder, 'password');
  writeFileSync(passwordFile, secret, { mode: 0o644 });
  const yaml = path.join(folder, 'journal.yml');
  writeFileSync(yaml, `password: ${secret}\n`);
  const badYaml = path.join(folder, 'bad.yml');
  writeFileSync(badYaml, `name: [${secret}\nuser: ${secret}: x`);
  const dir = path.join(folder, 'journal-data');
  mkdirSync(path.join(dir, 'shop', 'timelines'), { recursive: true });
  const source = 'redis://127.0.0.1:1';

  test.each<[string, string[], Record<string, string>]>([
    ['in the address', ['run', '--source', `redis://u:${secret}@h`], {}],
    ['in an address that is none', ['run', '--source', `${secret}://u@h`], {}],
    ['as an option of its own', ['run', '--source', source, '--password', secret], {}],
    ['as an option with =', ['run', `--password=${secret}`], {}],
    ['as an argument', ['run', secret], {}],
    ['as a verb', [`redis://u:${secret}@h`], {}],
    ['as a kind', ['ls', secret, '--dir', dir], {}],
    ['as a log level', ['run', '--log-level', secret, '--source', source], {}],
    ['in a configuration', ['run', '--config', yaml], {}],
    ['in a configuration that is no YAML', ['run', '--config', badYaml], {}],
    [
      'in a variable, with a primary that is not there',
      ['mark', 'x', '--dir', dir, '--source', source],
      { JOURNAL_PASSWORD: secret },
    ],
    [
      'in a file, with a primary that is not there',
      ['mark', 'x', '--dir', dir, '--source', source, '--password-file', passwordFile],
      {},
    ],
  ])('%s is never printed', async (_, argv, env) => {
    for (const extra of [{}, { JOURNAL_DEBUG: '1' }, { JOURNAL_JSON: '1' }]) {
      const { exitCode, stdout, stderr } = await cli(argv, { env: { ...env, ...extra } });
      expect(exitCode).not.toBe(0);
      expect(stdout + stderr).not.toContain(secret);
    }
  });
});
