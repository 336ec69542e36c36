/** The completion script for zsh (pure). */
import { quoted } from './words.ts';
import type { Completed, CompletedOption, Value } from './words.ts';

export function zshScript({ common, verbs }: Completed): string {
  const described = verbs.map(({ name, summary }) => `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`);
  const cases = verbs.map(({ name, options, choices }) => {
    const argument = choices.length === 0 ? [] : [quoted(`1: :(${choices.join(' ')})`)];
    return [
      `        ${name})`,
      `          ${argumentsOf([...options.map(specOf), ...argument], 12)}`,
      '          ;;',
    ].join('\n');
  });
  return `#compdef journal
# Completion of journal for zsh: journal completion zsh > a file _journal in a folder of $fpath
_journal() {
  local curcontext="$curcontext" state line
  typeset -A opt_args
  local -a verbs=(
${described.join('\n')}
  )
  ${argumentsOf(['-C', ...common.map(specOf), quoted('--version[print the version]'), quoted('1: :->verb'), quoted('*:: :->rest')], 4)}
  case $state in
    verb) _describe -t verbs verb verbs ;;
    rest)
      case $words[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}
if [[ $funcstack[1] == _journal ]]; then _journal "$@"; else compdef _journal journal; fi
`;
}

function argumentsOf(specs: readonly string[], indent: number): string {
  return ['_arguments', ...specs].join(` \\\n${' '.repeat(indent)}`);
}

function specOf({ name, help, value, isRepeatable }: CompletedOption): string {
  const told = help.replaceAll(/[\][\\:]/g, (found) => `\\${found}`);
  const action = value === undefined ? '' : `:value:${actionOf(value)}`;
  return quoted(`${isRepeatable ? '*' : ''}${name}${value === undefined ? '' : '='}[${told}]${action}`);
}

function actionOf(value: Value): string {
  switch (value.kind) {
    case 'words':
      return `(${value.words.join(' ')})`;
    case 'file':
      return '_files';
    case 'directory':
      return '_files -/';
    case 'other':
      return ' ';
  }
}
