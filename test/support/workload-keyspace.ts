// Operations of the random workload that concern any type: expiry, deletion, dbs, scripts, functions, and, when asked
// for, the times of hash fields.
// Neighbours: workload-data.ts for the types themselves. Invariant: as there.
import type { Command } from './resp-client.ts';
import { type Operation, since62, since7, type Vocabulary } from './workload-vocabulary.ts';

const expiry: readonly Operation[] = [
  { name: 'pexpire', weight: 10, make: (w) => [['PEXPIRE', w.anyKey(), w.ttlMs()]] },
  { name: 'expire', weight: 5, make: (w) => [['EXPIRE', w.anyKey(), 3600 + w.random.below(10_000)]] },
  { name: 'pexpireat', weight: 5, make: (w) => [['PEXPIREAT', w.anyKey(), Date.now() + w.ttlMs()]] },
  { name: 'expireat', weight: 3, make: (w) => [['EXPIREAT', w.anyKey(), Math.ceil((Date.now() + w.longMs()) / 1000)]] },
  { name: 'expire the past', weight: 2, make: (w) => [['PEXPIREAT', w.anyKey(), 1000]] },
  {
    name: 'pexpire flags',
    weight: 4,
    since: since7,
    make: (w) => [['PEXPIRE', w.anyKey(), w.longMs(), w.random.pick(['NX', 'XX', 'GT', 'LT'])]],
  },
  { name: 'persist', weight: 6, make: (w) => [['PERSIST', w.anyKey()]] },
];

const keyspace: readonly Operation[] = [
  { name: 'del', weight: 5, make: (w) => [['DEL', w.anyKey(), w.anyKey()]] },
  { name: 'unlink', weight: 3, make: (w) => [['UNLINK', w.anyKey()]] },
  { name: 'rename', weight: 5, make: (w) => [withTwo(w, 'RENAME')] },
  { name: 'renamenx', weight: 2, make: (w) => [withTwo(w, 'RENAMENX')] },
  { name: 'copy', weight: 4, since: since62, make: (w) => [[...withTwo(w, 'COPY'), 'REPLACE']] },
  { name: 'copy to db', weight: 3, since: since62, make: (w) => [[...withTwo(w, 'COPY'), 'DB', w.db(), 'REPLACE']] },
  { name: 'move', weight: 4, make: (w) => [['MOVE', w.anyKey(), w.db()]] },
  { name: 'sort store', weight: 3, make: (w) => [['SORT', w.key('ints'), 'DESC', 'STORE', w.key('list')]] },
  { name: 'select', weight: 30, make: (w) => [['SELECT', w.db()]] },
  { name: 'swapdb', weight: 1, make: (w) => [['SWAPDB', w.db(), w.db()]] },
  { name: 'flushdb', weight: 0.5, make: (w) => [w.random.chance(0.5) ? ['FLUSHDB'] : ['FLUSHDB', 'ASYNC']] },
  { name: 'flushall', weight: 0.1, make: () => [['FLUSHALL']] },
  { name: 'publish', weight: 3, make: (w) => [['PUBLISH', 'news', w.value()]] },
  {
    name: 'watch that fails',
    weight: 2,
    isAlone: true,
    make: (w) => {
      const key = w.key('string');
      return [['WATCH', key], ['SET', key, w.value()], ['MULTI'], ['SET', key, 'never'], ['EXEC']];
    },
  },
  { name: 'discard', weight: 1, isAlone: true, make: (w) => [['MULTI'], ['DEL', w.anyKey()], ['DISCARD']] },
];

const scripts: readonly Operation[] = [
  {
    name: 'script of several writes',
    weight: 8,
    make: (w) => [
      script(
        `redis.call('SET', KEYS[1], ARGV[1]) redis.call('RPUSH', KEYS[2], ARGV[1], ARGV[2])
         redis.call('INCR', KEYS[3]) return redis.call('PEXPIRE', KEYS[1], ARGV[3])`,
        [w.key('string'), w.key('list'), w.key('number')],
        [w.value(), w.value(), w.ttlMs()],
      ),
    ],
  },
  {
    name: 'script in another db',
    weight: 3,
    make: (w) => [
      script(
        `redis.call('INCR', KEYS[1]) redis.call('SELECT', ARGV[1]) return redis.call('INCR', KEYS[1])`,
        [w.key('number')],
        [w.db()],
      ),
    ],
  },
  {
    name: 'script of chance and time',
    weight: 3,
    make: (w) => [
      script(
        `local now = redis.call('TIME') redis.call('SET', KEYS[1], now[1] .. '.' .. now[2])
         return redis.call('SPOP', KEYS[2])`,
        [w.key('string'), w.key('set')],
        [],
      ),
    ],
  },
  {
    name: 'script that fails after a write',
    weight: 3,
    make: (w) => [
      script(`redis.call('APPEND', KEYS[1], ARGV[1]) error('deliberate failure')`, [w.key('string')], [w.value()]),
    ],
  },
  {
    name: 'script that acknowledges',
    weight: 5,
    make: (w) => [
      script(
        `local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 3)
         if pending.err then return 0 end
         for _, entry in ipairs(pending) do redis.call('XACK', KEYS[1], ARGV[1], entry[1]) end
         return #pending`,
        [w.key('live')],
        [w.group()],
      ),
    ],
  },
  {
    name: 'dump and restore',
    weight: 4,
    make: (w) => {
      const type = w.type();
      const text = `local payload = redis.call('DUMP', KEYS[1])
        if payload then return redis.call('RESTORE', KEYS[2], ARGV[1], payload, 'REPLACE') end return 0`;
      return [script(text, [w.key(type), w.key(type)], [w.random.chance(0.5) ? 0 : w.longMs()])];
    },
  },
];

const functions: readonly Operation[] = [
  { name: 'function load', weight: 4, since: since7, make: (w) => [['FUNCTION', 'LOAD', 'REPLACE', library(w)]] },
  {
    name: 'fcall',
    weight: 6,
    since: since7,
    make: (w) => [['FCALL', `write${w.random.below(3)}`, 2, w.key('string'), w.key('list'), w.value()]],
  },
  {
    name: 'function delete',
    weight: 0.7,
    since: since7,
    make: (w) => [['FUNCTION', 'DELETE', `lib${w.random.below(3)}`]],
  },
  { name: 'function flush', weight: 0.2, since: since7, make: () => [['FUNCTION', 'FLUSH']] },
];

const sinceFieldTtl = { redis: 7.4, valkey: 9 } as const;
const sinceHsetex = { redis: 8, valkey: 9 } as const;

/** Only when asked for: elapsed fields restore exactly in one way only, so most tests leave them out. */
export const hashFieldTtlOperations: readonly Operation[] = [
  {
    name: 'hpexpire',
    weight: 8,
    since: sinceFieldTtl,
    make: (w) => [['HPEXPIRE', w.key('hash'), w.ttlMs(), 'FIELDS', 2, w.field(), `${w.field()}x`]],
  },
  {
    name: 'hpexpireat',
    weight: 4,
    since: sinceFieldTtl,
    make: (w) => [['HPEXPIREAT', w.key('hash'), Date.now() + w.longMs(), 'FIELDS', 1, w.field()]],
  },
  {
    name: 'hpersist',
    weight: 4,
    since: sinceFieldTtl,
    make: (w) => [['HPERSIST', w.key('hash'), 'FIELDS', 1, w.field()]],
  },
  {
    name: 'hsetex',
    weight: 6,
    since: sinceHsetex,
    make: (w) => [['HSETEX', w.key('hash'), 'PX', w.ttlMs(), 'FIELDS', 1, w.field(), w.value()]],
  },
  {
    name: 'hgetex',
    weight: 3,
    since: sinceHsetex,
    make: (w) => [['HGETEX', w.key('hash'), 'PX', w.ttlMs(), 'FIELDS', 1, w.field()]],
  },
];

export const keyspaceOperations: readonly Operation[] = [...expiry, ...keyspace, ...scripts, ...functions];

/** Two keys of one type, so that a rename never changes what a name holds. */
function withTwo(w: Vocabulary, command: string): Command {
  const type = w.type();
  return [command, w.key(type), w.key(type)];
}

function script(text: string, keys: Command, args: Command): Command {
  return ['EVAL', text, keys.length, ...keys, ...args];
}

function library(w: Vocabulary): string {
  const number = w.random.below(3);
  return `#!lua name=lib${number}
redis.register_function('write${number}', function(keys, args)
  redis.call('SET', keys[1], args[1] .. '${w.random.below(1000)}')
  redis.call('RPUSH', keys[2], args[1])
  return 1
end)`;
}
