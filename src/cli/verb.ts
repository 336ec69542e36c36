/**
 * What a verb is: its place in the help texts, the settings it takes, and what it does. One file a verb in commands/;
 * program.ts makes the command line of them, run-cli.ts calls them.
 */
import type { ExitCode } from '../core/errors.ts';
import type { Layers } from '../daemon/layers.ts';
import type { Setting, SettingKey } from '../daemon/settings.ts';
import { settings } from '../daemon/settings.ts';
import type { CliIo } from './io.ts';
import type { Output } from './output.ts';

export interface Verb {
  readonly name: string;
  /** One line for the list of verbs. */
  readonly summary: string;
  /** What it does and promises, in whole sentences. */
  readonly description: string;
  readonly argument?: VerbArgument;
  /** Beside commonSettings. */
  readonly settings: readonly SettingKey[];
  /** Of settings that mean something of their own here: what they take, and what for. */
  readonly words?: Readonly<Partial<Record<SettingKey, Pick<Setting, 'value' | 'help' | 'fallback'>>>>;
  /** More than the options need: a heading and its lines, printed as they are. */
  readonly sections?: readonly (readonly [heading: string, lines: readonly string[]])[];
  readonly examples: readonly (readonly [command: string, purpose: string])[];
  /** Beside those that every verb can end with (exit-codes.ts): what each means here. */
  readonly exitCodes: readonly (readonly [code: ExitCode, meaning: string])[];
  readonly run: (context: VerbContext) => Promise<ExitCode>;
}

export interface VerbArgument {
  readonly name: string;
  readonly help: string;
  readonly isRequired: boolean;
  readonly choices?: readonly string[];
}

export interface VerbContext {
  readonly io: CliIo;
  readonly layers: Layers;
  readonly output: Output;
  readonly argument: string | undefined;
  /** All of the program. */
  readonly verbs: readonly Verb[];
}

/** Every verb takes these; they may also stand before the verb. */
export const commonSettings: readonly SettingKey[] = ['dir', 'name', 'json', 'quiet', 'no-color'];

export function wordsOf({ words }: Verb, key: SettingKey): Pick<Setting, 'value' | 'help' | 'fallback'> {
  return words?.[key] ?? settings[key];
}
