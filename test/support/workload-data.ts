// Operations of the random workload on the data types. One row each: name, weight, what is sent.
// Neighbours: workload-vocabulary.ts for names and values; workload-keyspace.ts for what concerns all types.
// Invariant: a row sends commands that succeed, or fail with an error that workload.ts expects.
import { type Operation, since62, since7 } from './workload-vocabulary.ts';

const strings: readonly Operation[] = [
  { name: 'set', weight: 30, make: (w) => [['SET', w.key('string'), w.value()]] },
  { name: 'set short', weight: 8, make: (w) => [['SET', w.key('string'), w.value(), 'PX', w.shortMs()]] },
  {
    name: 'set long',
    weight: 8,
    make: (w) => [['set', w.key('string'), w.value(), 'EX', 3600 + w.random.below(9999)]],
  },
  { name: 'set nx/xx', weight: 5, make: (w) => [['SET', w.key('string'), w.value(), w.random.pick(['NX', 'XX'])]] },
  { name: 'set keepttl', weight: 5, make: (w) => [['SET', w.key('string'), w.value(), 'KEEPTTL']] },
  {
    name: 'set pxat get',
    weight: 5,
    since: since62,
    make: (w) => [['SET', w.key('string'), w.value(), 'PXAT', Date.now() + w.longMs(), 'GET']],
  },
  { name: 'setex', weight: 4, make: (w) => [['SETEX', w.key('string'), 3600, w.value()]] },
  { name: 'psetex', weight: 4, make: (w) => [['PSETEX', w.key('string'), w.ttlMs(), w.value()]] },
  { name: 'setnx', weight: 3, make: (w) => [['SETNX', w.key('string'), w.value()]] },
  { name: 'getset', weight: 4, make: (w) => [['GETSET', w.key('string'), w.value()]] },
  { name: 'getdel', weight: 4, since: since62, make: (w) => [['GETDEL', w.key('string')]] },
  { name: 'getex', weight: 5, since: since62, make: (w) => [['GETEX', w.key('string'), 'PX', w.ttlMs()]] },
  { name: 'getex persist', weight: 3, since: since62, make: (w) => [['GETEX', w.key('string'), 'PERSIST']] },
  { name: 'append', weight: 5, make: (w) => [['APPEND', w.key('string'), w.value()]] },
  { name: 'setrange', weight: 5, make: (w) => [['SETRANGE', w.key('string'), w.random.below(300), w.value()]] },
  { name: 'mset', weight: 5, make: (w) => [['MSET', w.key('string'), w.value(), w.key('string'), w.value()]] },
  { name: 'msetnx', weight: 2, make: (w) => [['MSETNX', w.key('string'), w.value(), w.key('string'), w.value()]] },
  { name: 'set number', weight: 4, make: (w) => [['SET', w.key('number'), w.integer()]] },
  { name: 'incr', weight: 10, make: (w) => [['INCR', w.key('number')]] },
  { name: 'decrby', weight: 5, make: (w) => [['DECRBY', w.key('number'), w.integer()]] },
  { name: 'incrbyfloat', weight: 8, make: (w) => [['INCRBYFLOAT', w.key('float'), w.random.next() - 0.5]] },
  { name: 'float ttl', weight: 2, make: (w) => [['PEXPIRE', w.key('float'), w.ttlMs()]] },
  { name: 'setbit', weight: 6, make: (w) => [['SETBIT', w.key('bits'), w.random.below(2000), w.random.below(2)]] },
  {
    name: 'bitfield',
    weight: 5,
    make: (w) => [
      [
        'BITFIELD',
        w.key('bits'),
        'OVERFLOW',
        'SAT',
        'INCRBY',
        'u7',
        w.random.below(90),
        w.random.below(99),
        'SET',
        'i16',
        '#2',
        7,
      ],
    ],
  },
  {
    name: 'bitop',
    weight: 3,
    make: (w) => [['BITOP', w.random.pick(['AND', 'OR', 'XOR']), w.key('bits'), w.key('bits'), w.key('bits')]],
  },
];

const lists: readonly Operation[] = [
  { name: 'rpush', weight: 15, make: (w) => [['RPUSH', w.key('list'), ...w.values()]] },
  { name: 'lpush', weight: 10, make: (w) => [['LPUSH', w.key('list'), ...w.values()]] },
  { name: 'pushx', weight: 3, make: (w) => [[w.random.pick(['LPUSHX', 'RPUSHX']), w.key('list'), w.value()]] },
  { name: 'pop', weight: 8, make: (w) => [[w.random.pick(['LPOP', 'RPOP']), w.key('list')]] },
  { name: 'pop count', weight: 3, since: since62, make: (w) => [['LPOP', w.key('list'), w.random.between(1, 5)]] },
  { name: 'linsert', weight: 3, make: (w) => [['LINSERT', w.key('list'), 'BEFORE', w.value(), w.value()]] },
  { name: 'lset', weight: 4, make: (w) => [['LSET', w.key('list'), w.random.between(-2, 5), w.value()]] },
  { name: 'lrem', weight: 3, make: (w) => [['LREM', w.key('list'), 0, w.value()]] },
  { name: 'ltrim', weight: 4, make: (w) => [['LTRIM', w.key('list'), 0, 30]] },
  { name: 'rpoplpush', weight: 3, make: (w) => [['RPOPLPUSH', w.key('list'), w.key('list')]] },
  { name: 'lmove', weight: 3, since: since62, make: (w) => [['LMOVE', w.key('list'), w.key('list'), 'LEFT', 'RIGHT']] },
  {
    name: 'lmpop',
    weight: 3,
    since: since7,
    make: (w) => [['LMPOP', 2, w.key('list'), w.key('list'), 'RIGHT', 'COUNT', 3]],
  },
  { name: 'blpop', weight: 3, make: (w) => [['BLPOP', w.key('list'), w.key('list'), 0.01]] },
  { name: 'brpoplpush', weight: 2, make: (w) => [['BRPOPLPUSH', w.key('list'), w.key('list'), 0.01]] },
];

const sets: readonly Operation[] = [
  { name: 'sadd', weight: 12, make: (w) => [['SADD', w.key('set'), ...w.members(), w.value()]] },
  { name: 'sadd integers', weight: 8, make: (w) => [['SADD', w.key('ints'), ...w.members().map((m) => m.slice(1))]] },
  { name: 'srem', weight: 5, make: (w) => [['SREM', w.key('set'), ...w.members()]] },
  { name: 'spop', weight: 6, make: (w) => [['SPOP', w.key(w.random.pick(['set', 'ints']))]] },
  { name: 'spop count', weight: 4, make: (w) => [['SPOP', w.key(w.random.pick(['set', 'ints'])), w.random.below(9)]] },
  { name: 'spop all', weight: 1, make: (w) => [['SPOP', w.key('set'), 1_000_000]] },
  { name: 'smove', weight: 3, make: (w) => [['SMOVE', w.key('set'), w.key('set'), w.member()]] },
  {
    name: 'set algebra',
    weight: 4,
    make: (w) => [
      [w.random.pick(['SINTERSTORE', 'SUNIONSTORE', 'SDIFFSTORE']), w.key('set'), w.key('set'), w.key('ints')],
    ],
  },
];

const hashes: readonly Operation[] = [
  { name: 'hset', weight: 15, make: (w) => [['HSET', w.key('hash'), w.field(), w.value(), w.field(), w.value()]] },
  { name: 'hsetnx', weight: 3, make: (w) => [['HSETNX', w.key('hash'), w.field(), w.value()]] },
  { name: 'hincrby', weight: 6, make: (w) => [['HINCRBY', w.key('hash'), `count${w.random.below(4)}`, w.integer()]] },
  {
    name: 'hincrbyfloat',
    weight: 5,
    make: (w) => [['HINCRBYFLOAT', w.key('hash'), `float${w.random.below(4)}`, w.random.next() * 10]],
  },
  { name: 'hdel', weight: 6, make: (w) => [['HDEL', w.key('hash'), w.field(), w.field()]] },
];

const sortedSets: readonly Operation[] = [
  { name: 'zadd', weight: 12, make: (w) => [['ZADD', w.key('zset'), w.score(), w.member(), w.score(), w.member()]] },
  {
    name: 'zadd nx/xx',
    weight: 3,
    make: (w) => [['ZADD', w.key('zset'), w.random.pick(['NX', 'XX']), w.score(), w.member()]],
  },
  {
    name: 'zadd gt',
    weight: 3,
    since: since62,
    make: (w) => [['ZADD', w.key('zset'), 'GT', 'CH', w.score(), w.member()]],
  },
  { name: 'zincrby', weight: 5, make: (w) => [['ZINCRBY', w.key('zset'), w.random.next(), w.member()]] },
  { name: 'zrem', weight: 5, make: (w) => [['ZREM', w.key('zset'), ...w.members()]] },
  {
    name: 'zpop',
    weight: 4,
    make: (w) => [[w.random.pick(['ZPOPMIN', 'ZPOPMAX']), w.key('zset'), w.random.between(1, 3)]],
  },
  { name: 'bzpop', weight: 2, make: (w) => [['BZPOPMIN', w.key('zset'), w.key('zset'), 0.01]] },
  { name: 'zmpop', weight: 2, since: since7, make: (w) => [['ZMPOP', 1, w.key('zset'), 'MIN', 'COUNT', 2]] },
  { name: 'zremrange', weight: 3, make: (w) => [['ZREMRANGEBYRANK', w.key('zset'), 0, w.random.below(3)]] },
  {
    name: 'zset algebra',
    weight: 4,
    make: (w) => [
      [
        w.random.pick(['ZUNIONSTORE', 'ZINTERSTORE']),
        w.key('zset'),
        2,
        w.key('zset'),
        w.key('zset'),
        'AGGREGATE',
        'MAX',
      ],
    ],
  },
  {
    name: 'zrangestore',
    weight: 2,
    since: since62,
    make: (w) => [['ZRANGESTORE', w.key('zset'), w.key('zset'), 0, 5]],
  },
  {
    name: 'geoadd',
    weight: 5,
    make: (w) => [['GEOADD', w.key('geo'), w.random.next() * 20, w.random.next() * 50, w.member()]],
  },
  {
    name: 'georadius store',
    weight: 2,
    make: (w) => [['GEORADIUS', w.key('geo'), 10, 25, 2000, 'km', 'STORE', w.key('geo')]],
  },
  {
    name: 'geosearchstore',
    weight: 2,
    since: since62,
    make: (w) => [['GEOSEARCHSTORE', w.key('geo'), w.key('geo'), 'FROMLONLAT', 10, 25, 'BYRADIUS', 2000, 'km']],
  },
  { name: 'pfadd', weight: 6, make: (w) => [['PFADD', w.key('hll'), ...w.members()]] },
  { name: 'pfmerge', weight: 2, make: (w) => [['PFMERGE', w.key('hll'), w.key('hll')]] },
  // Looks like a read, yet it stores the count it computed and is replicated.
  { name: 'pfcount', weight: 3, make: (w) => [['PFCOUNT', w.key('hll')]] },
];

/** `stream` keys have ids of our choosing, which can be acknowledged and deleted; `live` keys have the server's. */
const streams: readonly Operation[] = [
  { name: 'xadd', weight: 14, make: (w) => [['XADD', w.key('stream'), w.nextStreamId(), w.field(), w.value()]] },
  { name: 'xadd *', weight: 10, make: (w) => [['XADD', w.key('live'), '*', w.field(), w.value(), 'n', w.integer()]] },
  { name: 'xadd maxlen', weight: 4, make: (w) => [['XADD', w.key('live'), 'MAXLEN', '~', 20, '*', 'f', w.value()]] },
  {
    name: 'xadd nomkstream',
    weight: 2,
    since: since62,
    make: (w) => [['XADD', w.key('live'), 'NOMKSTREAM', '*', 'f', 1]],
  },
  { name: 'xdel', weight: 4, make: (w) => [['XDEL', w.key('stream'), ...w.someStreamIds()]] },
  { name: 'xtrim', weight: 3, make: (w) => [['XTRIM', w.key('stream'), 'MAXLEN', w.random.below(20)]] },
  {
    name: 'xtrim minid',
    weight: 2,
    since: since62,
    make: (w) => [['XTRIM', w.key('stream'), 'MINID', w.someStreamId()]],
  },
  { name: 'xsetid', weight: 1, make: (w) => [['XSETID', w.key('stream'), w.nextStreamId()]] },
  {
    name: 'xgroup create',
    weight: 12,
    make: (w) => [
      ['XGROUP', 'CREATE', w.key('stream'), w.group(), w.random.pick(['0', '$', w.someStreamId()]), 'MKSTREAM'],
    ],
  },
  { name: 'xgroup live', weight: 12, make: (w) => [['XGROUP', 'CREATE', w.key('live'), w.group(), '0', 'MKSTREAM']] },
  { name: 'xgroup setid', weight: 2, make: (w) => [['XGROUP', 'SETID', w.key('stream'), w.group(), w.someStreamId()]] },
  {
    name: 'xgroup delconsumer',
    weight: 1,
    make: (w) => [['XGROUP', 'DELCONSUMER', w.key('live'), w.group(), w.consumer()]],
  },
  { name: 'xgroup destroy', weight: 1, make: (w) => [['XGROUP', 'DESTROY', w.key('stream'), w.group()]] },
  {
    name: 'xreadgroup',
    weight: 12,
    make: (w) => [['XREADGROUP', 'GROUP', w.group(), w.consumer(), 'COUNT', 5, 'STREAMS', w.key('stream'), '>']],
  },
  {
    name: 'xreadgroup live',
    weight: 10,
    make: (w) => [['XREADGROUP', 'GROUP', w.group(), w.consumer(), 'COUNT', 5, 'STREAMS', w.key('live'), '>']],
  },
  {
    name: 'xreadgroup noack',
    weight: 2,
    make: (w) => [['XREADGROUP', 'GROUP', w.group(), w.consumer(), 'NOACK', 'STREAMS', w.key('live'), '>']],
  },
  { name: 'xack', weight: 6, make: (w) => [['XACK', w.key('stream'), w.group(), ...w.someStreamIds()]] },
  {
    name: 'xclaim',
    weight: 5,
    make: (w) => [['XCLAIM', w.key('stream'), w.group(), w.consumer(), 0, ...w.someStreamIds(), 'RETRYCOUNT', 3]],
  },
  {
    name: 'xclaim force',
    weight: 2,
    make: (w) => [['XCLAIM', w.key('stream'), w.group(), w.consumer(), 0, w.someStreamId(), 'FORCE', 'JUSTID']],
  },
  {
    name: 'xautoclaim',
    weight: 4,
    since: since62,
    make: (w) => [['XAUTOCLAIM', w.key('live'), w.group(), w.consumer(), 0, '0', 'COUNT', 3]],
  },
];

export const dataOperations: readonly Operation[] = [
  ...strings,
  ...lists,
  ...sets,
  ...hashes,
  ...sortedSets,
  ...streams,
];
