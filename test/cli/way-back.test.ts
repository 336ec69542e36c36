// The command that takes some keys of a running server back to what they were, as it is printed.
import { describe, expect, test } from 'vitest';
import { resolveSettings } from '../../src/daemon/layers.ts';
import type { Given } from '../../src/daemon/layers.ts';
import { wayBack } from '../../src/cli/way-back.ts';

function backOf(given: Given): string | undefined {
  const asked = { to: 'redis://127.0.0.1:6379', dir: '/var/lib/my journal', at: '-15m', ttl: 'shift', ...given };
  return wayBack('before-restore-1', resolveSettings(asked, {}, undefined));
}

const begin = "journal restore --dir '/var/lib/my journal'";
const to = '--to redis://127.0.0.1:6379 --delete-absent';

describe('the way back', () => {
  test.each<[string, Given, string]>([
    [
      'says the same keys, of the mark',
      { keys: ['cart:*', "it's"], exclude: ['*:tmp'], db: ['3'] },
      `${begin} --at mark:before-restore-1 --keys 'cart:*' --keys 'it'\\''s' --exclude '*:tmp' --db 3 ${to}`,
    ],
    [
      'repeats how the server is reached, and that it is live',
      {
        ...{ name: 'a', 'keys-from': 'list', 'i-know-this-is-live': '127.0.0.1:6379', 'target-user': 'me' },
        ...{ 'target-tls-insecure': true, yes: true, 'relative-ttl': 'convert' },
      },
      `${begin} --name a --at mark:before-restore-1 --keys-from list ${to} --i-know-this-is-live 127.0.0.1:6379 --target-user me --target-tls-insecure --relative-ttl convert`,
    ],
    [
      'leaves types out, as a key may have replaced one of another',
      { type: ['hash'], keys: ['a'] },
      `${begin} --at mark:before-restore-1 --keys a ${to}`,
    ],
    ['is about all keys then', { type: ['hash'] }, `${begin} --at mark:before-restore-1 --keys '*' ${to}`],
    [
      'keeps types where nothing was replaced',
      { type: ['hash'], 'only-missing': true },
      `${begin} --at mark:before-restore-1 --type hash ${to}`,
    ],
    [
      'is about all keys that were missing',
      { 'only-missing': true },
      `${begin} --at mark:before-restore-1 --keys '*' ${to}`,
    ],
  ])('%s', (_, given, line) => {
    expect(backOf(given)).toBe(line);
  });

  test('cannot be said where keys were renamed', () => {
    expect(backOf({ keys: ['a'], rename: ['s/a/b/'] })).toBeUndefined();
  });
});
