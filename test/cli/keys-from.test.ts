// --keys-from: every form in which keys are printed is read back as the same bytes, and what cannot be read is refused.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesJson } from '../../src/cli/bytes-json.ts';
import { argumentText, keyText, quoted } from '../../src/cli/command-text.ts';
import { readKeyNames } from '../../src/cli/keys-from.ts';
import { keysFromBytesMax } from '../../src/core/limits.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { KeyNames } from '../../src/redis/key-names.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { KeepingStream } from './cli.ts';

async function read(file: string, text: string | readonly Uint8Array[] = []): Promise<KeyNames> {
  const stream = new KeepingStream(false);
  async function* stdin(): AsyncGenerator<Uint8Array, void, undefined> {
    await Promise.resolve();
    yield* typeof text === 'string' ? [Buffer.from(text)] : text;
  }
  const signal = new AbortController().signal;
  const outward = { stdout: stream, stderr: stream, env: {}, disk: localDisk, clock: systemClock };
  return readKeyNames(file, { ...outward, signal, stdin: stdin() });
}

function has(names: KeyNames, key: Buffer | string): boolean {
  const bytes = Buffer.from(key as string);
  return names.hasAt(Buffer.concat([Buffer.from('before'), bytes, Buffer.from('behind')]), 6, bytes.length);
}

const forms: Readonly<Record<string, (key: Buffer) => string>> = {
  'of find and history': argumentText,
  'of diff and --dry-run': quoted,
  'of find --destructive': (key) => `"${keyText(key).replaceAll('"', '\\"')}"`,
  'a row of diff': (key) => JSON.stringify({ type: 'key', change: 'removed', db: 0, key: bytesJson(key) }),
  'a row of an export': (key) => JSON.stringify({ db: 0, key: bytesJson(key), type: 'string' }),
};

describe('a list of keys', () => {
  test.each(Object.entries(forms))('is read back as the same bytes, %s', async (_, printed) => {
    const anyKey = fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anyKey, { minLength: 1, maxLength: 20 }), anyKey, async (keys, other) => {
        const bytes = keys.map((key) => Buffer.from(key));
        const names = await read('-', `${bytes.map(printed).join('\n')}\n`);
        const distinct = new Set(bytes.map((key) => key.toString('latin1')));
        expect(names.size).toBe(distinct.size);
        for (const key of bytes) expect(has(names, key)).toBe(true);
        expect(has(names, Buffer.from(other))).toBe(distinct.has(Buffer.from(other).toString('latin1')));
      }),
    );
  });

  test('is read as jq writes it, with lines of Windows, empty ones, and the summary of a diff', async () => {
    const names = await read(
      '-',
      [
        ...[
          'cart:1',
          '{user:7}:cart',
          '{"no json',
          '"line\\nbreak \\u00e9\\ud83d\\ude00"',
          '\\x00\\xff',
          'with space\r',
          '',
        ],
        ...['{"type":"summary","added":1,"removed":2,"changed":0}', 'cart:1'],
      ].join('\n'),
    );
    expect(names.size).toBe(6);
    for (const key of ['cart:1', '{user:7}:cart', '{"no json', 'line\nbreak é😀', 'with space']) {
      expect(has(names, key)).toBe(true);
    }
    expect(has(names, Buffer.from([0, 0xff]))).toBe(true);
  });

  test('comes from a file, too, and keys that are cut by its pieces are whole', async () => {
    const file = path.join(temporaryDirectory('keys'), 'list');
    writeFileSync(file, 'a\nb\nlast');
    expect(await read(file)).toMatchObject({ size: 3, from: file });
    expect(has(await read('-', [Buffer.from('cart:1'), Buffer.from('23\nx')]), 'cart:123')).toBe(true);
  });

  test.each([
    ['"no end', 'bad-key-line'],
    ['"an \\q escape"', 'bad-key-line'],
    ['{"db":1}', 'bad-key-line'],
    ['', 'no-keys-listed'],
    ['\n\n', 'no-keys-listed'],
  ])('is refused: %j', async (line, code) => {
    await expect(read('-', line)).rejects.toMatchObject({ code, exitCode: 2 });
  });

  test('says which line is no key, what cannot be read, and what is too much', async () => {
    await expect(read('-', 'a\n\n"b')).rejects.toThrow('line 3 of standard input (--keys-from -) is not a key');
    await expect(read('/nowhere/list')).rejects.toMatchObject({ code: 'io', exitCode: 9 });
    const large = Buffer.alloc(keysFromBytesMax / 2 + 1, 'a');
    await expect(read('-', [large, large])).rejects.toMatchObject({ code: 'too-many-keys', exitCode: 2 });
  });
});
