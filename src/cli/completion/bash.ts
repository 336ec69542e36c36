/** The completion script for bash, from version 4 on (pure). */
import type { Completed, CompletedOption, Value } from './words.ts';

export function bashScript({ common, verbs }: Completed): string {
  const names = (options: readonly CompletedOption[]): string => options.map(({ name }) => name).join(' ');
  const verbNames = verbs.map(({ name }) => name);
  const withValue = common.filter(({ value }) => value !== undefined).map(({ name }) => name);
  const cases = verbs.flatMap(({ name, options }) =>
    options.filter((option) => !common.includes(option)).flatMap((option) => caseOf(name, option)),
  );
  return `# Completion of journal for bash: source <(journal completion bash)
_journal() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} verb='' words='' i
  # --option=value comes as three words.
  if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${withValue.join('|')}) ((i++)) ;;
      ${verbNames.join('|')})
        verb=\${COMP_WORDS[i]}
        break
        ;;
    esac
  done
  COMPREPLY=()
  case "$verb $prev" in
${[...cases, ...common.flatMap((option) => caseOf('*', option))].map((line) => `    ${line}`).join('\n')}
  esac
  case $verb in
    '') words='${verbNames.join(' ')} ${names(common)} --version' ;;
${verbs.map(({ name, options, choices }) => `    ${name}) words='${[...choices, names(options)].join(' ')}' ;;`).join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _journal journal
`;
}

function caseOf(verb: string, { name, value }: CompletedOption): string[] {
  if (value === undefined) return [];
  return [`${verb}\\ ${name}) ${replyWith(value)} ;;`];
}

function replyWith(value: Value): string {
  switch (value.kind) {
    case 'words':
      return `mapfile -t COMPREPLY < <(compgen -W '${value.words.join(' ')}' -- "$cur"); return`;
    case 'file':
    case 'directory':
      return `compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -${value.kind === 'file' ? 'f' : 'd'} -- "$cur"); return`;
    case 'other':
      return 'return';
  }
}
