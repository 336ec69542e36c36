/**
 * What there is to complete, for all shells (pure): made of the tables that the command line itself is made of, so that
 * nothing is listed twice. Nothing is asked at a prompt that would have to look into a journal.
 */
import { settings } from '../../daemon/settings.ts';
import type { SettingKey } from '../../daemon/settings.ts';
import { commonSettings, wordsOf } from '../verb.ts';
import type { Verb } from '../verb.ts';

/** What comes behind an option: one of some words, the name of a file or a directory, or what only the user knows. */
export type Value =
  { readonly kind: 'words'; readonly words: readonly string[] } | { readonly kind: 'file' | 'directory' | 'other' };

export interface CompletedOption {
  readonly name: string;
  readonly help: string;
  /** Undefined: a switch. */
  readonly value: Value | undefined;
  readonly isRepeatable: boolean;
}

export interface CompletedVerb {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** Of its argument, where it is one of some words. */
  readonly choices: readonly string[];
}

export interface Completed {
  /** They may stand before the verb, too. */
  readonly common: readonly CompletedOption[];
  readonly verbs: readonly CompletedVerb[];
}

export function completed(verbs: readonly Verb[]): Completed {
  const config = {
    name: '--config',
    help: 'YAML file of settings',
    value: { kind: 'file' },
    isRepeatable: false,
  } as const;
  const help = { name: '--help', help: 'print help', value: undefined, isRepeatable: false };
  const common = [...commonSettings.map((key) => optionOf(key, settings[key])), config, help];
  const names = verbs.map(({ name }) => name);
  return {
    common,
    verbs: [
      ...verbs.map((verb) => ({
        ...{ name: verb.name, summary: verb.summary, choices: verb.argument?.choices ?? [] },
        options: [...verb.settings.map((key) => optionOf(key, wordsOf(verb, key))), ...common],
      })),
      { name: 'help', summary: 'print the help of a verb', choices: names, options: [] },
    ],
  };
}

function optionOf(
  key: SettingKey,
  { value, help }: { readonly value: string | undefined; readonly help: string },
): CompletedOption {
  return { name: `--${key}`, help, value: valueOf(value), isRepeatable: settings[key].isList !== undefined };
}

/** `keep|shift` says all that there is, `FILE` what it is. */
function valueOf(value: string | undefined): Value | undefined {
  if (value === undefined) return undefined;
  if (/^[a-z-]+(\|[a-z-]+)+$/.test(value)) return { kind: 'words', words: value.split('|') };
  if (value === 'DIR') return { kind: 'directory' };
  return { kind: value === 'FILE' || value === 'OUT' ? 'file' : 'other' };
}

/** In single quotes, for any of the shells. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
