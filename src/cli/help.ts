/**
 * The ends of the help texts: examples, exit codes, and what else there is to know. The lists of options before them are
 * made by program.ts.
 */
import { exitCodeMeanings } from './exit-codes.ts';
import type { Verb } from './verb.ts';

export function rootHelpEnd(): string {
  return sections([
    [
      'Settings:',
      [
        '  Every option may also stand in the environment, --tls-ca as JOURNAL_TLS_CA, and in a YAML file that --config',
        '  names, as tls-ca: FILE. The command line comes first, then the environment, then the file. Relative paths in the',
        '  file start at its folder. A password comes from --password-file or JOURNAL_PASSWORD, never from an option.',
        '  JOURNAL_DEBUG=1 adds to an error where in the program it happened.',
      ],
    ],
    [
      'Examples:',
      [
        ...example('journal run --source redis://10.0.0.5:6379', 'journal a primary into ./journal-data'),
        ...example('journal status', 'is everything covered?'),
        ...example('journal restore --at -15m --to ./restored', 'the dataset as it was 15 minutes ago'),
        ...example('journal demo', 'see all of it, in a minute, on a server of its own'),
      ],
    ],
    ['Exit codes:', exitCodeMeanings.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`)],
  ]);
}

export function verbHelpEnd(verb: Verb): string {
  const codes = new Map<number, string>([...commonCodes, ...verb.exitCodes]);
  const sorted = [...codes].sort(([a], [b]) => a - b);
  return sections([
    ...(verb.sections ?? []).map(([heading, lines]) => [`${heading}:`, lines.map((line) => `  ${line}`)] as const),
    ['Examples:', verb.examples.flatMap(([command, purpose]) => example(command, purpose))],
    ['Exit codes:', sorted.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`)],
  ]);
}

const commonCodes: readonly (readonly [number, string])[] = exitCodeMeanings.filter(([code]) =>
  [0, 1, 2].includes(code),
);

function example(command: string, purpose: string): string[] {
  return [`  $ ${command}`, `      ${purpose}`];
}

function sections(list: readonly (readonly [heading: string, lines: readonly string[]])[]): string {
  return list.map(([heading, lines]) => [heading, ...lines].join('\n')).join('\n\n');
}
