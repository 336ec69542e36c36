// Completion in real shells: each script is sourced by its own shell, which then completes. A shell that this machine does
// not have is not asked, and the test says so.
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { verbs } from '../../src/cli/run-cli.ts';
import { commonSettings } from '../../src/cli/verb.ts';
import { settings } from '../../src/daemon/settings.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { cli } from './cli.ts';

/** What the shell offers for a line, in a folder with `journals/` and `file.yml`. */
type Complete = (script: string, folder: string, words: readonly string[]) => Promise<string[]>;

const run = promisify(execFile);

const bash: Complete = async (script, folder, words) => {
  const program =
    'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _journal; printf "%s\\n" "${COMPREPLY[@]}"';
  const { stdout } = await run('bash', ['-c', program, 'bash', script, ...words], { cwd: folder });
  return stdout.split('\n').filter((line) => line !== '');
};

const fish: Complete = async (script, folder, words) => {
  const program = 'source $argv[1]; complete -C (string join " " -- $argv[2..])';
  const { stdout } = await run('fish', ['--no-config', '-c', program, script, ...words], { cwd: folder });
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')[0] ?? '']));
};

/** A shell at a terminal of its own; what is completed is listed, one a line, between two words of ours. */
const zsh: Complete = async (script, folder, words) => {
  const program = `
    zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z 'autoload -Uz compinit; compinit -u -D; source ${script}; PROMPT=; stty -echo cols 400 2> /dev/null'
    zpty -w z 'compadd() { local -a hits shown; builtin compadd -A hits "$@"; (( $#hits )) && print -rl -- $hits >> ${script}.out; builtin compadd "$@" }'
    zpty -w z 'done-now() { print -r -- end >> ${script}.out }; zle -N done-now; bindkey "^X" done-now'
    zpty -w -n z '${words.join(' ')}'$'\\t\\x18'
    for i in {1..200}; do grep -qx end ${script}.out 2> /dev/null && break; sleep 0.05; done
    zpty -d z
    grep -vx end ${script}.out || true`;
  const { stdout } = await run('zsh', ['-f', '-c', program], { cwd: folder });
  return stdout.split('\n').filter((line) => line !== '');
};

describe.each([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
] as const)('%s', (shell, complete) => {
  const isHere = spawnSync(shell, ['--version']).status === 0;

  async function completing(...words: string[]): Promise<string[]> {
    const folder = temporaryDirectory('completion');
    mkdirSync(path.join(folder, 'journals'));
    writeFileSync(path.join(folder, 'file.yml'), '');
    const { exitCode, stdout, stderr } = await cli(['completion', shell]);
    expect([exitCode, stderr]).toEqual([0, '']);
    const script = path.join(temporaryDirectory('script'), 'script');
    writeFileSync(script, stdout);
    const found = await complete(script, folder, ['journal', ...words]);
    return [...new Set(found.map((one) => one.replace(/[/=]$/, '')))].sort();
  }

  test('completes verbs, options, choices and files', { timeout: 120_000 }, async ({ skip }) => {
    if (!isHere) skip(`there is no ${shell} on this machine`);
    const names = [...verbs.map(({ name }) => name), 'help'].sort();
    expect((await completing('')).filter((one) => !one.startsWith('-'))).toEqual(names);
    expect(await completing('res')).toEqual(['restore']);
    const find = verbs.find(({ name }) => name === 'find')!;
    const options = [...find.settings, ...commonSettings, 'config', 'help'].map((key) => `--${key}`).sort();
    expect(await completing('find', '--')).toEqual(options);
    expect(await completing('--dir', 'restore', 'find', '--destr')).toEqual(['--destructive']);
    expect(await completing('restore', '--ttl', '')).toEqual(settings.ttl.value!.split('|').sort());
    expect(await completing('completion', 'f')).toEqual(['fish']);
    expect(await completing('restore', '--dir', 'j')).toEqual(['journals']);
    expect(await completing('status', '--config', 'f')).toEqual(['file.yml']);
    // What only the user knows.
    expect(await completing('restore', '--at', '')).toEqual([]);
  });
});
