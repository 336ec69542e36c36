/**
 * How a running server comes back to what it was before some keys were restored into it, as a command to be pasted (pure): the
 * same keys as they were at the mark that was set before, and those that were not there then deleted.
 */
import type { Layers } from '../daemon/layers.ts';
import type { SettingKey, Settings } from '../daemon/settings.ts';
import { shellQuoted } from './shell.ts';

/** How the server is reached, and what a scratch server may take: as it was said the first time. */
const repeated: readonly SettingKey[] = [
  ...(['i-know-this-is-live', 'target-user', 'target-password-file', 'target-tls-ca', 'target-tls-cert'] as const),
  ...(['target-tls-key', 'target-tls-server-name', 'target-tls-insecure', 'target-memory'] as const),
  ...(['server-bin', 'scratch-dir', 'scratch-memory'] as const),
];

/** Undefined where keys were renamed: which keys of the server these may have replaced, no selection says. */
export function wayBack(mark: string, { values }: Pick<Layers, 'values'>): string | undefined {
  if (values.rename.length > 0) return undefined;
  const selecting = selectingOf(values);
  const words = [
    ...['journal', 'restore', '--dir', values.dir, ...wordsOf('name', values), '--at', `mark:${mark}`],
    ...(selecting.length === 0 ? ['--keys', '*'] : selecting),
    ...[...wordsOf('to', values), '--delete-absent'],
    ...repeated.flatMap((key) => wordsOf(key, values)),
    ...(values['relative-ttl'] === 'convert' ? ['--relative-ttl', 'convert'] : []),
  ];
  return words.map(shellQuoted).join(' ');
}

/** A key may have replaced one of another type, which is then to come back: types are left out, unless none was replaced. */
function selectingOf(values: Settings): string[] {
  const keys: readonly SettingKey[] = ['keys', 'keys-from', 'exclude', 'db'];
  const selecting = values['only-missing'] ? [...keys, 'type' as const] : keys;
  return selecting.flatMap((key) => wordsOf(key, values));
}

function wordsOf(key: SettingKey, values: Settings): string[] {
  return [values[key]].flat().flatMap((value) => {
    if (value === true) return [`--${key}`];
    return typeof value === 'string' ? [`--${key}`, value] : [];
  });
}
