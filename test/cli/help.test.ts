// Help is made from the same tables as the parser: here it is proven that nothing falls between.
import { describe, expect, test } from 'vitest';
import { verbs } from '../../src/cli/run-cli.ts';
import { commonSettings, wordsOf } from '../../src/cli/verb.ts';
import { environmentName, settingKeys } from '../../src/daemon/settings.ts';
import { cli } from './cli.ts';

describe('journal --help', () => {
  test('names every verb with its summary, and every exit code', async () => {
    const { exitCode, stdout, stderr } = await cli(['--help']);
    expect(exitCode).toBe(0);
    expect(stderr).toBe('');
    for (const { name } of verbs) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130]) {
      expect(stdout.slice(stdout.indexOf('Exit codes:'))).toMatch(new RegExp(`^ +${code}  \\w`, 'm'));
    }
  });

  test('is the same as journal help, and as journal alone, which is an error', async () => {
    const { stdout } = await cli(['--help']);
    expect((await cli(['help'])).stdout).toBe(stdout);
    const alone = await cli([]);
    expect(alone.exitCode).toBe(2);
    expect(alone.stdout).toBe('');
    expect(alone.stderr).toBe(stdout);
  });

  test('the version is printed alone', async () => {
    const { exitCode, stdout } = await cli(['--version']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^journal \d+\.\d+\.\d+\n$/);
  });
});

describe.each(verbs.map((verb) => [verb.name, verb] as const))('journal %s --help', (name, verb) => {
  test('explains each option with its variable and its default, gives examples and exit codes', async () => {
    const { exitCode, stdout } = await cli([name, '--help']);
    const flat = stdout.replace(/\s+/g, ' ');
    expect(exitCode).toBe(0);
    for (const key of [...commonSettings, ...verb.settings]) {
      const { value, help, fallback } = wordsOf(verb, key);
      expect(flat).toContain(value === undefined ? `--${key} ` : `--${key} <${value}>`);
      expect(flat).toContain(help);
      expect(flat).toContain(environmentName(key));
      if (fallback !== undefined) expect(flat).toContain(`default: ${fallback}`);
    }
    expect(flat).toContain('--config <FILE>');
    expect(verb.examples.length).toBeGreaterThan(0);
    for (const [command] of verb.examples) expect(stdout).toContain(`$ ${command}`);
    expect(stdout.slice(stdout.indexOf('Exit codes:'))).toMatch(/^ +2 {2}/m);
  });

  test('is also printed by journal help VERB', async () => {
    expect((await cli(['help', name])).stdout).toBe((await cli([name, '--help'])).stdout);
  });
});

test('every setting belongs to a verb', () => {
  const used = new Set([...commonSettings, ...verbs.flatMap((verb) => verb.settings)]);
  expect(settingKeys.filter((key) => !used.has(key))).toEqual([]);
});

test('examples are command lines that are understood', async () => {
  for (const [command] of verbs.flatMap((verb) => verb.examples)) {
    const words = command.replace(/ \|.*$/, '').replaceAll('\\\n', ' ');
    const argv = [...words.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '').slice(1);
    // Help is printed where parsing succeeds, before anything is done.
    const { exitCode, stderr } = await cli([...argv, '--help']);
    expect({ command, exitCode, stderr }).toEqual({ command, exitCode: 0, stderr: '' });
  }
});
