// HPERSIST in a stream that is replayed: whatever the pieces, and however long its names.
import { expect, test } from 'vitest';
import { replayedHpersist } from '../../../src/restore/rewrite/hpersist.ts';
import { command } from '../../redis-protocol/bytes.ts';

const long = 'k'.repeat(300);
const before = [command('HSET', 'h', 'f', '1'), command('MULTI'), command('SET', 'HPERSIST', 'HPERSIST')];
const stream = Buffer.concat([
  ...before,
  command('HPERSIST', 'h', 'FIELDS', '2', 'f', long),
  command('EXEC'),
  command('hpersist', long, 'FIELDS', '1', 'f'),
  command('PERSIST', 'x'),
]);
const replayed = Buffer.concat([
  ...before,
  command('HPEXPIREAT', 'h', '70368744177663', 'FIELDS', '2', 'f', long),
  command('HPERSIST', 'h', 'FIELDS', '2', 'f', long),
  command('EXEC'),
  command('HPEXPIREAT', long, '70368744177663', 'FIELDS', '1', 'f'),
  command('hpersist', long, 'FIELDS', '1', 'f'),
  command('PERSIST', 'x'),
]);

test.each([[1], [2], [7], [64], [333], [stream.length]])(
  'in pieces of %d bytes, its fields are given a later time first, and all else is as it was',
  (size) => {
    const rewriter = replayedHpersist({ offset: 41, db: 0 });
    const out: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) out.push(...rewriter.push(stream.subarray(at, at + size)));
    expect(Buffer.concat(out).toString('latin1')).toBe(replayed.toString('latin1'));
  },
);
