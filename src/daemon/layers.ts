/**
 * Finds the value of each setting: command line over environment over YAML file over default. Every complaint names where
 * the value came from, since that is where it must be mended; values are not repeated (one may be a misplaced secret).
 *
 * An unknown key of a file is an error. An unknown JOURNAL_* variable is not: schedulers make up such names, for example
 * for a service that is called journal.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseDocument, visit } from 'yaml';
import { UsageError } from '../core/errors.ts';
import { nearest } from './nearest.ts';
import { environmentName, settingKeys, settings, settingsSchema } from './settings.ts';
import type { SettingKey, Settings } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the command line said: switches are true. */
export type Given = Readonly<Partial<Record<SettingKey, string | boolean | readonly string[]>>>;

export interface Layers {
  readonly values: Settings;
  /** Where the value of a setting came from, as to be named in a message. */
  readonly origin: (key: SettingKey) => string;
}

/** `configFile` is that of --config; the environment may name another. */
export function resolveSettings(given: Given, environment: Environment, configFile: string | undefined): Layers {
  const merged = new Map<SettingKey, unknown>();
  const origins = new Map<SettingKey, string>();
  const file = configFile ?? setVariable(environment, environmentName('config'));
  if (file !== undefined) {
    for (const [key, value] of readConfigFile(file)) {
      merged.set(key, value);
      origins.set(key, `${key} in ${file}`);
    }
  }
  for (const key of settingKeys) {
    const name = environmentName(key);
    const fromEnvironment = setVariable(environment, name);
    const fromCommandLine = given[key];
    if (fromEnvironment === undefined && fromCommandLine === undefined) continue;
    merged.set(key, fromCommandLine ?? fromEnvironment);
    origins.set(key, fromCommandLine === undefined ? name : `--${key}`);
  }
  const origin = (key: SettingKey): string => origins.get(key) ?? `--${key}`;
  return { values: check(merged, origin), origin };
}

/** Set and not empty: compose files and unit files set variables to nothing. */
export function setVariable(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  return value === '' ? undefined : value;
}

function check(merged: ReadonlyMap<SettingKey, unknown>, origin: (key: SettingKey) => string): Settings {
  const result = settingsSchema.safeParse(Object.fromEntries(merged));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const key = settingKeys.find((candidate) => candidate === issue?.path[0]);
  if (issue === undefined || key === undefined) throw new TypeError(result.error.message);
  const { value, help } = settings[key];
  const complaint = issue.message.startsWith('is ')
    ? issue.message
    : `is not ${value === undefined ? 'true or false' : 'a text'}`;
  throw new UsageError('bad-setting', `${origin(key)} ${complaint}`, { hint: `it is meant to be: ${help}` });
}

function readConfigFile(path: string): [SettingKey, unknown][] {
  const content = parseYaml(path, readText(path));
  if (content === null) return [];
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new UsageError('bad-config', `${path} is not a list of settings, each as key: value`);
  }
  const folder = dirname(resolve(path));
  return Object.entries(content).map(([key, value]) => {
    const known = settingKeys.find((candidate) => candidate === key);
    if (known === undefined) throw unknownKey(path, key);
    return [known, settings[known].isPath === true && typeof value === 'string' ? resolveIn(folder, value) : value];
  });
}

/** Also of a path behind a word that says what is there; what is no path stays. */
function resolveIn(folder: string, value: string): string {
  if (/^(resp:|rediss?:)/.test(value)) return value;
  return value.startsWith('rdb:') ? `rdb:${resolve(folder, value.slice(4))}` : resolve(folder, value);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError('bad-config', `cannot read the configuration ${path}: ${reasonOf(error)}`, {
      hint: `it was named by --config or ${environmentName('config')}`,
      cause: error,
    });
  }
}

function parseYaml(path: string, text: string): unknown {
  const document = parseDocument(text);
  const problem = document.errors[0];
  if (problem !== undefined) {
    // Its message quotes the file: where and what kind is enough.
    const where = problem.linePos === undefined ? '' : ` in line ${problem.linePos[0].line}`;
    throw new UsageError(
      'bad-config',
      `${path} is not YAML: ${problem.code.toLowerCase().replaceAll('_', ' ')}${where}`,
    );
  }
  // A handful of aliases can stand for gigabytes, and a list of settings needs none.
  visit(document, {
    Alias: () => {
      throw new UsageError('bad-config', `${path} uses aliases (*name), which settings do not need`);
    },
  });
  return document.toJS() as unknown;
}

function unknownKey(path: string, key: string): UsageError {
  if (/^pass(word|wd)?$|^auth$/.test(key)) {
    return new UsageError('unknown-key', `${path} sets ${JSON.stringify(key)}, which is not a setting`, {
      hint: 'secrets have files of their own: set password-file, or JOURNAL_PASSWORD in the environment',
    });
  }
  const similar = nearest(key, settingKeys);
  return new UsageError('unknown-key', `${path} sets ${JSON.stringify(key)}, which is not a setting`, {
    hint: similar === undefined ? `the settings are ${settingKeys.join(', ')}` : `did you mean ${similar}?`,
  });
}

/** Of a failed file operation, the part that helps. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
  };
  return known[code] ?? (code === '' ? String(error) : code);
}
