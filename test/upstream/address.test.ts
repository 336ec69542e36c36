// Source addresses as users write them: what they mean, and that no part of a mistyped one is ever repeated.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSourceName } from '../../journal-format/names.ts';
import { UsageError } from '../../src/core/errors.ts';
import { formatAddress, parseSource, sourceNameOf } from '../../src/upstream/address.ts';

function refusal(text: string): UsageError {
  try {
    parseSource(text);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return error as UsageError;
  }
  throw new Error(`accepted: ${text}`);
}

describe('a source address', () => {
  test.each([
    ['redis://10.0.0.5:6380', { host: '10.0.0.5', port: 6380, tls: false }, undefined],
    ['redis://primary.example', { host: 'primary.example', port: 6379, tls: false }, undefined],
    ['redis://primary/', { host: 'primary', port: 6379, tls: false }, undefined],
    ['rediss://primary:1', { host: 'primary', port: 1, tls: true }, undefined],
    ['redis://journal@primary', { host: 'primary', port: 6379, tls: false }, 'journal'],
    ['redis://a%40b@primary', { host: 'primary', port: 6379, tls: false }, 'a@b'],
    ['redis://[2001:db8::5]:7000', { host: '2001:db8::5', port: 7000, tls: false }, undefined],
    ['rediss://journal@[::1]', { host: '::1', port: 6379, tls: true }, 'journal'],
  ])('%s names host, port, TLS and user', (text, address, user) => {
    expect(parseSource(text)).toEqual({ address, user });
  });

  test.each([
    ['redis://journal:secret@primary', 'password-in-url'],
    ['redis://:secret@primary:6379', 'password-in-url'],
    ['redis://journal:se@cret@primary', 'password-in-url'],
    ['redis://journal:secret/more@primary', 'bad-source'],
    ['redis://journal:12/secret@primary', 'bad-source'],
    ['redis://journal:12#secret@primary', 'bad-source'],
    ['redis://journal:12?secret@primary', 'bad-source'],
    ['redis://primary:secret', 'bad-source'],
    ['redis//journal:secret@primary', 'bad-source'],
    ['http://journal:secret@primary', 'bad-source'],
    ['journal:secret@primary:6379', 'bad-source'],
    ['redis://primary:6379/7', 'bad-source'],
    ['redis://primary:6379?db=7', 'bad-source'],
    ['redis://primary:70000', 'bad-source'],
    ['redis://primary:0', 'bad-source'],
    ['redis://', 'bad-source'],
    ['primary', 'bad-source'],
    ['', 'bad-source'],
  ])('%j is refused as %s, with a hint', (text, code) => {
    const error = refusal(text);
    expect(error.code).toBe(code);
    expect(error.exitCode).toBe(2);
    expect(error.hint).toBeTruthy();
  });

  test.each(['redis://%zz@primary', 'redis://%zz:6379', 'redis://100%@primary'])(
    '%s with a stray percent sign is refused like any other, not an unexpected error',
    (text) => {
      expect(refusal(text).code).toBe('bad-source');
    },
  );

  test('never repeats a password, however the address was mistyped', () => {
    const secret = 'Hunter2Secret';
    const noise = fc.string({ unit: fc.constantFrom(...':/@?#%[] .\\0aZ9'.split('')), maxLength: 6 });
    const scheme = fc.constantFrom('redis://', 'rediss://', 'redis:/', 'redis:', 'http://', '');
    fc.assert(
      fc.property(scheme, noise, noise, noise, (start, before, between, after) => {
        const text = `${start}${before}:${between}${secret}${after}@primary:6379`;
        let said = '';
        try {
          parseSource(text);
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
          said = `${error.message} ${String(error.hint)} ${String(error.stack)}`;
        }
        expect(said.toLowerCase()).not.toContain(secret.toLowerCase());
      }),
      { numRuns: 2000 },
    );
  });

  test('is printed as it can be read again', () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
        const bracketed = name.includes(':') ? `[${name}]` : name;
        const { address } = parseSource(`redis://${bracketed}:${port}`);
        expect(parseSource(`redis://${formatAddress(address)}`).address).toEqual(address);
        expect(isSourceName(sourceNameOf(address)), formatAddress(address)).toBe(true);
      }),
    );
  });
});
