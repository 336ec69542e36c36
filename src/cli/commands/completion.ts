/**
 * `journal completion`: a script that completes verbs, options and their values in a shell. Scripts are made in
 * completion/.
 */
import { bashScript } from '../completion/bash.ts';
import { fishScript } from '../completion/fish.ts';
import { completed } from '../completion/words.ts';
import type { Completed } from '../completion/words.ts';
import { zshScript } from '../completion/zsh.ts';
import type { Verb } from '../verb.ts';

const scripts: Readonly<Record<string, (words: Completed) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export const completionVerb: Verb = {
  name: 'completion',
  summary: 'a script that completes verbs and options in your shell',
  description:
    'Prints a script for bash, zsh or fish: it completes verbs, options, values where there are some to choose from, and ' +
    'the names of files and directories. It never looks into a journal.',
  argument: { name: 'shell', help: 'bash, zsh or fish', isRequired: true, choices: Object.keys(scripts) },
  settings: [],
  examples: [
    ['source <(journal completion bash)', 'for this shell; in ~/.bashrc for every one'],
    ['journal completion zsh > ~/.zfunc/_journal', 'in a folder of fpath, before compinit is called'],
    ['journal completion fish > ~/.config/fish/completions/journal.fish', 'from the next shell on'],
  ],
  exitCodes: [],
  run: async ({ io, argument, verbs }) => {
    io.stdout.write(scripts[argument ?? '']?.(completed(verbs)) ?? '');
    return 0;
  },
};
