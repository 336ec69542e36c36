// Renaming keys as sed does with lines: by example, on bytes, and what is refused.
import { describe, expect, test } from 'vitest';
import { parseRename } from '../../src/redis/rename-rule.ts';

const renamed: readonly (readonly [rule: string, key: string, name: string])[] = [
  ['s/user/person/', 'user:user', 'person:user'],
  ['s/user/person/g', 'user:user', 'person:person'],
  ['s/^/old:/', 'a', 'old:a'],
  ['s/$/:old/', 'a', 'a:old'],
  ['s/x//', 'axb', 'ab'],
  ['s/x/y/', 'unlike', 'unlike'],
  ['s|a/b|c/d|', 'a/b', 'c/d'],
  ['s/a\\/b/c\\/d/', 'a/b', 'c/d'],
  ['s|a\\|b|x|', 'ab a|b', 'ab x'],
  ['s/b+/<&>/', 'abbc', 'a<bb>c'],
  ['s/b/\\&\\\\/', 'abc', 'a&\\c'],
  ['s/(\\w+):(\\d+)/\\2:\\1/', 'user:42', '42:user'],
  ['s/(x)?a/[\\1]/', 'a', '[]'],
  ['s/a.b/x/', 'a\nb', 'x'],
  ['s/é/e/', 'café', 'cafe'],
  ['s/e$/é$1$&/', 'cafe', 'café$1$e'],
];

describe('a renaming', () => {
  test.each(renamed)('%s of %j is %j', (rule, key, name) => {
    expect(parseRename(rule).rename(Buffer.from(key)).toString()).toBe(name);
  });

  test('finds and puts bytes that are no text, and leaves others as they are', () => {
    const key = Buffer.from([0xff, 0x00, 0x61, 0xc3]);
    expect(parseRename('s/\\xff/\\xfe\\x41/').rename(key)).toEqual(Buffer.from([0xfe, 0x41, 0x00, 0x61, 0xc3]));
    expect(parseRename('s/a/é/').rename(key)).toEqual(Buffer.from([0xff, 0x00, 0xc3, 0xa9, 0xc3]));
    expect(parseRename('s/none/x/').rename(key)).toEqual(key);
  });

  test.each([
    ...['', 's', 'user', 's/a', 's/a/b', 's/a/b/c/d', 's/a/b/x', 's/a/b/gg', 's//b/', 'y/a/b/', 'sxaxbx', 's a b '],
    ...['s/(/b/', 's/[z-a]/b/', 's/a/\\1/', 's/(a)/\\2/', 's/a/\\n/', 's/a/b\\', 's/*/b/', 's\\a\\b\\'],
  ])('is refused as %j', (rule) => {
    expect(() => parseRename(rule)).toThrow(expect.objectContaining({ code: 'bad-rename', exitCode: 2 }));
  });
});
