/**
 * Makes the command line of the verbs and the table of settings, and reads the arguments. What it understands, and what it
 * tells in help texts, comes from the same tables, so that the two cannot differ.
 *
 * Invariant: what a user typed in the wrong place is not repeated beyond an option's name: it may be a password.
 */
import { Argument, Command, CommanderError, Option } from 'commander';
import type { ExitCode } from '../core/errors.ts';
import { UsageError } from '../core/errors.ts';
import type { Given } from '../daemon/layers.ts';
import { nearest } from '../daemon/nearest.ts';
import { environmentName, settings } from '../daemon/settings.ts';
import type { SettingKey } from '../daemon/settings.ts';
import { version } from '../daemon/version.ts';
import { rootHelpEnd, verbHelpEnd } from './help.ts';
import type { CliIo } from './io.ts';
import { commonSettings, wordsOf } from './verb.ts';
import type { Verb } from './verb.ts';

/** What the arguments ask for. */
export interface Invocation {
  readonly verb: Verb;
  readonly argument: string | undefined;
  readonly given: Given;
  readonly configFile: string | undefined;
}

/** An exit code when the arguments asked for help or the version, which is printed. UsageError when they are wrong. */
export function readArguments(verbs: readonly Verb[], argv: readonly string[], io: CliIo): Invocation | ExitCode {
  if (argv[0] === 'help') checkVerb(verbs, argv[1]);
  const asked: { invocation?: Invocation } = {};
  const program = createProgram(io);
  for (const verb of verbs) {
    addVerb(program, verb, (invocation) => {
      asked.invocation = invocation;
    });
  }
  try {
    program.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Asked for, help is an answer; without any verb it is the best answer there is.
    if (error.exitCode === 0) return 0;
    if (error.code === 'commander.help') return 2;
    throw asUsageError(error, verbs);
  }
  return asked.invocation ?? 2;
}

/** The parser answers `help nonsense` with the help of everything. */
function checkVerb(verbs: readonly Verb[], name: string | undefined): void {
  const names = ['help', ...verbs.map((verb) => verb.name)];
  if (name === undefined || name.startsWith('-') || names.includes(name)) return;
  const similar = nearest(name, names);
  throw unknownVerb(name, verbs, similar === undefined ? undefined : `did you mean ${similar}?`);
}

function unknownVerb(name: string, verbs: readonly Verb[], similar: string | undefined): UsageError {
  // Only what looks like a word is repeated.
  const shown = /^[\w-]{1,30}$/.test(name) ? ` ${name}` : '';
  const list = verbs.map((verb) => verb.name).join(', ');
  return new UsageError('unknown-verb', `unknown verb${shown}`, { hint: similar ?? `the verbs are ${list}` });
}

function createProgram(io: CliIo): Command {
  const program = new Command('journal')
    .description(
      'Point-in-time restore for Redis and Valkey: journals every write of a primary, and restores any moment.',
    )
    .usage('VERB [options]')
    .version(`journal ${version}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [VERB]', 'print the help of a verb')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(io.stdout.columns ?? 100, 120),
      getErrHelpWidth: () => Math.min(io.stderr.columns ?? 100, 120),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', `\n${rootHelpEnd()}`);
  for (const key of commonSettings) program.addOption(optionOf(key));
  const config = `YAML file of settings, the same names without dashes in front (${environmentName('config')})`;
  return program.addOption(new Option('--config <FILE>', config).argParser(once('config')));
}

function addVerb(program: Command, verb: Verb, ask: (invocation: Invocation) => void): void {
  const command = program
    .command(verb.name)
    .summary(verb.summary)
    .description(verb.description)
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', `\n${verbHelpEnd(verb)}`);
  const { argument } = verb;
  if (argument !== undefined) {
    const { name, help, isRequired } = argument;
    command.addArgument(new Argument(isRequired ? `<${name}>` : `[${name}]`, help));
  }
  for (const key of verb.settings) {
    command.addOption(optionOf(key, wordsOf(verb, key)));
    const other = otherSpellings[key];
    if (other !== undefined) command.addOption(optionOf(other).hideHelp());
  }
  command.action(() => {
    const words = { ...program.opts<Words>(), ...command.opts<Words>() };
    const keys = [...commonSettings, ...verb.settings];
    const { config } = words;
    ask({
      verb,
      argument: checkedArgument(verb, command.args[0]),
      given: Object.fromEntries(keys.map((key) => [key, givenValue(words, key)])),
      configFile: typeof config === 'string' ? config : undefined,
    });
  });
}

/** What is called by one name here is called by another elsewhere: both are understood. */
const otherSpellings: Readonly<Partial<Record<SettingKey, SettingKey>>> = { key: 'keys', keys: 'key' };

type Word = string | boolean | readonly string[] | undefined;
type Words = Readonly<Record<string, Word>>;

function optionOf(key: SettingKey, { value, help, fallback } = settings[key]): Option {
  const { isList } = settings[key];
  const origin = fallback === undefined ? environmentName(key) : `${environmentName(key)}; default: ${fallback}`;
  const text = `${help} (${origin})`;
  if (value === undefined) return new Option(`--${key}`, text);
  const option = new Option(`--${key} <${value}>`, text);
  if (isList === undefined) return option.argParser(once(key));
  return isList === 'joined' ? option.argParser(joined) : option.argParser(apart);
}

function apart(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

function joined(value: string, previous: string | undefined): string {
  return previous === undefined ? value : `${previous},${value}`;
}

/** An option that is given twice has no one meaning. */
function once(key: string): (value: string, previous: string | undefined) => string {
  return (value, previous) => {
    if (previous === undefined) return value;
    throw new UsageError('given-twice', `--${key} is given twice`, { hint: 'give it once' });
  };
}

/** The parser keeps `--no-color` as `color: false`, and `--tls-ca` as `tlsCa`. */
function givenValue(words: Words, key: SettingKey): Word {
  if (key === 'no-color') return words.color === false ? true : undefined;
  const word = words[camelCase(key)];
  const other = otherSpellings[key];
  const more = other === undefined ? undefined : words[other];
  return typeof word === 'object' && typeof more === 'object' ? [...word, ...more] : (word ?? more);
}

function camelCase(key: string): string {
  return key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function checkedArgument({ argument }: Verb, text: string | undefined): string | undefined {
  const choices = argument?.choices;
  if (argument === undefined || text === undefined || choices === undefined || choices.includes(text)) return text;
  const similar = nearest(text, choices);
  throw new UsageError('bad-argument', `unknown ${argument.name}`, {
    hint: similar === undefined ? `one of ${choices.join(', ')}` : `did you mean ${similar}?`,
  });
}

function asUsageError(error: CommanderError, verbs: readonly Verb[]): UsageError {
  const message = error.message.replace(/^error: /, '');
  const [what = '', suggestion] = message.split('\n(Did you mean ');
  const similar = suggestion === undefined ? undefined : `did you mean ${suggestion.replace(/\?\)$/, '?')}`;
  switch (error.code) {
    case 'commander.unknownOption': {
      const option = (/'(-{1,2}[^'=]*)/.exec(what)?.[1] ?? 'an option').slice(0, 40);
      return new UsageError('unknown-option', `unknown option ${option}`, {
        hint: hintForOption(option) ?? similar ?? seeHelp,
      });
    }
    case 'commander.unknownCommand':
      return unknownVerb(/'(.*)'/.exec(what)?.[1] ?? '', verbs, similar);
    case 'commander.excessArguments':
      return new UsageError('too-many-arguments', what.replace(/ but got.*$/s, ''), { hint: seeHelp });
    default:
      return new UsageError('usage', what, { hint: similar ?? seeHelp });
  }
}

const seeHelp = 'journal --help lists the verbs, journal VERB --help explains one';

function hintForOption(option: string): string | undefined {
  if (!/^--?(pass|password|pw|auth|a)$/.test(option)) return undefined;
  return 'secrets never stand on the command line, where ps shows them: use --password-file FILE or JOURNAL_PASSWORD';
}
