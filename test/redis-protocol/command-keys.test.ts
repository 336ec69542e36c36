// The keys of commands: what the table cannot tell, and what is told where not all is known. That the rest is what the
// servers say is shown on them, in redis/command-keys.test.ts.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  keysOf,
  mayTouch,
  mayWrite,
  mayWriteAt,
  touchesOneAtMost,
  touchesOthersOnly,
} from '../../src/redis/command-keys.ts';
import type { CommandKeys } from '../../src/redis/command-keys.ts';
import type { CommandGlance } from '../../src/redis/command-glance.ts';
import { CommandReader } from '../../src/redis/command-reader.ts';
import { commandTable } from '../../src/redis/command-table.ts';
import { command } from './bytes.ts';

function keys(line: string, keepBytes = Infinity): CommandKeys {
  const reader = new CommandReader({ offset: 0, db: 3 }, { keepBytes });
  reader.push(command(...line.split(' ').map((word) => (word === '""' ? '' : word))));
  const read = reader.next();
  if (read === undefined) throw new RangeError(line);
  return keysOf(read);
}

/** `access key` for each, with the db where it is another than that of the command; then what else. */
function told(line: string): string {
  const { keys: found, others } = keys(line);
  const each = found.map(({ key, db, access }) => `${access} ${key.toString()}${db === 3 ? '' : ` in ${db}`}`);
  return [...each, ...(others === 'none' ? [] : [`others: ${others}`])].join(', ');
}

describe('the keys of', () => {
  test.each([
    ['SET a b', 'rw a'],
    ['sEt a b', 'rw a'],
    ['DEL a b c', 'rm a, rm b, rm c'],
    ['MSET a 1 b 2 c 3', 'ow a, ow b, ow c'],
    ['RENAME a b', 'rw a, ow b'],
    ['BITOP AND a b c', 'ow a, ro b, ro c'],
    ['ZUNIONSTORE a 2 b c WEIGHTS 1 2', 'ow a, ro b, ro c'],
    ['ZUNIONSTORE a none b c', 'ow a, others: all'],
    ['XREADGROUP GROUP streams b STREAMS c d 0 0', 'rw c, rw d'],
    ['GEORADIUS a 1 2 3 km STORE b', 'ro a, ow b'],
    ['XGROUP CREATE a g $', 'rw a'],
    ['XGROUP WHATEVER a g $', 'others: all'],
    ['SORT a', 'ro a'],
    ['SORT a LIMIT 0 1 BY nosort GET # STORE b STORE c', 'ro a, ow c'],
    ['SORT a BY w_* STORE b', 'ro a, ow b, others: read'],
    ['COPY a b', 'ro a, ow b'],
    ['COPY a b REPLACE DB 5', 'ro a, ow b in 5'],
    ['COPY a b DB x', 'ro a, ow b, others: all'],
    ['MOVE a 5', 'rw a, ow a in 5'],
    ['MIGRATE h 1 a 0 9 KEYS b', 'rw a'],
    ['MIGRATE h 1 "" 0 9 KEYS b c', 'rw b, rw c'],
    ['EVAL script 2 a b c', 'rw a, rw b, others: all'],
    ['EVAL_RO script 1 a', 'ro a, others: read'],
    ['PUBLISH a b', ''],
    ['FUNCTION LOAD code', ''],
    ['FLUSHDB', 'others: db'],
    ['FLUSHALL ASYNC', 'others: all'],
    ['SWAPDB 0 1', 'others: all'],
    ['JSON.SET a $ 1', 'others: all'],
    ['constructor a', 'others: all'],
  ])('%s', (line, expected) => {
    expect(told(line)).toBe(expected);
  });

  test('a command of which a key or an argument is not all there may be any others', () => {
    const long = 'k'.repeat(200);
    expect(keys(`SET ${long} v`, 64)).toMatchObject({ others: 'all' });
    expect(keys(`SET k ${long}`, 64)).toMatchObject({ others: 'none', keys: [{ index: 1, access: 'rw' }] });
  });
});

test('what reads and what writes is told apart', () => {
  const writes = ['SET a b', 'XREADGROUP GROUP g c STREAMS a >', 'EVAL s 0', 'PFCOUNT a', 'NEVER.HEARD a'];
  const reads = ['GET a', 'PING', 'EVAL_RO s 0', 'SELECT 1'];
  expect(writes.filter((line) => !keys(line).isWrite)).toEqual([]);
  expect(reads.filter((line) => keys(line).isWrite)).toEqual([]);
});

test('no key is missed where commands are looked at in place, and plain commands are told exactly', () => {
  const names = commandTable
    .trim()
    .split('\n')
    .map((line) => line.split(' ', 1)[0]!.split('|'));
  const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...names) }, fc.constant(['NEVER.HEARD']));
  const word = fc.constantFrom('a', 'b', '1', '2', 'STORE', 'KEYS', 'STREAMS', '');
  fc.assert(
    fc.property(name, fc.array(word, { maxLength: 8 }), fc.constantFrom('a', 'b', 'nothing'), (drawn, args, key) => {
      const isKey = (bytes: Buffer, at: number, length: number): boolean =>
        bytes.toString('latin1', at, at + length) === key;
      const bytes = command(...drawn.map((one) => one.toLowerCase()), ...args);
      let inPlace: Readonly<Record<'touches' | 'others' | 'one' | 'writes', boolean>> | undefined;
      let bytesAtMost = 0;
      const isMatch = (glance: CommandGlance): boolean => {
        inPlace = {
          touches: mayTouch(glance, isKey),
          others: touchesOthersOnly(glance, isKey),
          one: touchesOneAtMost(glance),
          writes: mayWriteAt(glance),
        };
        ({ bytesAtMost } = glance);
        return true;
      };
      const reader = new CommandReader({ offset: 0, db: 0 }, { isMatch });
      if (/^(SELECT|MULTI|EXEC|DISCARD|REPLCONF)$/.test(drawn[0])) return;
      reader.push(bytes);
      const made = reader.next()!;
      const { keys: found, others } = keysOf(made);
      const touches = others !== 'none' || found.some((one) => one.key.toString() === key);
      if (touches) expect(inPlace?.touches).toBe(true);
      if (/^(SET|GET|DEL|MSET|RENAME|PING|PUBLISH|LPUSH|BITOP)$/.test(drawn[0])) {
        expect(inPlace?.touches).toBe(touches);
        if (found.length > 0) expect(inPlace?.others).toBe(!touches);
        if (/^(SET|GET|PING|PUBLISH|LPUSH)$/.test(drawn[0])) expect(inPlace?.one).toBe(true);
      }
      if (inPlace?.others === true) expect([others, touches]).toEqual(['none', false]);
      if (inPlace?.one === true) expect([others, found.length < 2]).toEqual(['none', true]);
      expect(bytesAtMost).toBeGreaterThanOrEqual(bytes.length);
      if (mayWrite(made)) expect(inPlace?.writes).toBe(true);
    }),
    { numRuns: 5000 },
  );
});
