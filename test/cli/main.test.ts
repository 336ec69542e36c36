// The command as a process: its start, its exit code, its pipes. What it does is tested without a process elsewhere.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { builtFile } from '../support/built.ts';
import { temporaryDirectory } from '../support/leash.ts';

const root = path.resolve(import.meta.dirname, '../..');
const compiled = builtFile('src/cli/main.ts');
const programs = [path.join(root, 'src/cli/main.ts'), ...(compiled === undefined ? [] : [compiled])];

describe.each(programs)('%s', (program) => {
  function run(...argv: string[]): {
    readonly status: number | null;
    readonly stdout: string;
    readonly stderr: string;
  } {
    return spawnSync(process.execPath, [program, ...argv], { encoding: 'utf8', env: { PATH: process.env.PATH } });
  }

  test('prints help, all of it, also into a pipe', () => {
    const { status, stdout, stderr } = run('--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: journal VERB[^]* 130 {2}interrupted\n$/);
  });

  test('exits with the code of the error, and prints nothing but the error', () => {
    expect(run('status', '--dir', '/nonexistent')).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/^journal: there is no journal in \/nonexistent\n {2}hint: .*\n$/) as string,
    });
  });

  test('warns of nothing experimental', () => {
    const directory = temporaryDirectory('journal');
    mkdirSync(path.join(directory, 'shop', 'timelines'), { recursive: true });
    expect(run('status', '--dir', directory)).toMatchObject({ status: 0, stderr: '' });
  });

  test('goes on without a word when nobody reads its output any more', async () => {
    const child = spawn(process.execPath, [program, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const status = await new Promise((resolve) => void child.on('close', resolve));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});

test('an older Node is told so in one line, before anything else is loaded', () => {
  // process.versions is all that main.ts looks at before it loads the rest.
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.2' } });`;
  const preload = `data:text/javascript,${encodeURIComponent(pretend)}`;
  const argv = ['--import', preload, path.join(root, 'src/cli/main.ts'), 'status'];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/^journal: Node 24 or later is needed, this is Node 20\.19\.2 \(.*\)\n$/);
});
