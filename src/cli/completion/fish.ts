/** The completion script for fish (pure). */
import { quoted } from './words.ts';
import type { Completed, CompletedOption, Value } from './words.ts';

export function fishScript({ common, verbs }: Completed): string {
  const names = verbs.map(({ name }) => name).join(' ');
  const isVerb = (verb: string): string => quoted(`__fish_seen_subcommand_from ${verb}`);
  const lines = verbs.flatMap(({ name, summary, options, choices }) => [
    `complete -c journal -n ${quoted(`not __fish_seen_subcommand_from ${names}`)} -a ${name} -d ${described(summary)}`,
    ...options
      .filter((one) => !common.includes(one))
      .map((one) => `complete -c journal -n ${isVerb(name)} ${optionOf(one)}`),
    ...(choices.length === 0 ? [] : [`complete -c journal -n ${isVerb(name)} -a ${quoted(choices.join(' '))}`]),
  ]);
  return `# Completion of journal for fish: journal completion fish > ~/.config/fish/completions/journal.fish
complete -c journal -e
complete -c journal -f
${[...common.map((one) => `complete -c journal ${optionOf(one)}`), ...lines].join('\n')}
`;
}

function optionOf({ name, help, value }: CompletedOption): string {
  return `-l ${name.slice(2)}${value === undefined ? '' : takes(value)} -d ${described(help)}`;
}

function takes(value: Value): string {
  switch (value.kind) {
    case 'words':
      return ` -x -a ${quoted(value.words.join(' '))}`;
    case 'file':
      return ' -r -F';
    case 'directory':
      return ` -x -a '(__fish_complete_directories)'`;
    case 'other':
      return ' -x';
  }
}

/** Backslashes stand for more than themselves. */
function described(text: string): string {
  return quoted(text.replaceAll('\\', '\\\\'));
}
