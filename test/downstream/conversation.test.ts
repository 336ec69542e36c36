import { describe, expect, it } from 'vitest';
import { Accounts } from '../../src/downstream/accounts.ts';
import { Conversation } from '../../src/downstream/conversation.ts';
import type { Turn } from '../../src/downstream/conversation.ts';
import type { About } from '../../src/downstream/info.ts';
import { serverVersionFromInfo } from '../../src/redis/server-version.ts';
import { parseReplicationInfo } from '../../src/redis/replication-info.ts';

const about: About = {
  runId: 'd'.repeat(40),
  port: 6380,
  uptime: 5_000_000,
  now: 100_000_000,
  wall: 1_700_000_000_123_456,
  upstream: {
    sources: [
      { host: '10.0.0.5', port: 6379 },
      { host: 'redis-2.internal', port: 6379 },
    ],
    ...{
      host: '10.0.0.5',
      port: 6379,
      isUp: true,
      since: 98_000_000,
      server: { kind: 'redis', version: '7.2.4', major: 7, minor: 2 },
    },
  },
  stream: { id: 'b'.repeat(40), before: { id: 'a'.repeat(40), end: 501 }, first: 101, durable: 900 },
  replicas: [{ host: '10.0.0.7', port: 6379, state: 'online', offset: 899, lag: 0 }],
};

const accounts = new Accounts([
  { user: 'default', password: 'sesame' },
  { user: 'dr', password: 'other' },
]);

class Talk {
  readonly #conversation: Conversation;

  constructor(of: About = about, offersLink = true) {
    this.#conversation = new Conversation({ accounts, about: () => of, offersLink, clientId: 7 });
  }

  static known(of: About = about, offersLink = true): Talk {
    const talk = new Talk(of, offersLink);
    expect(talk.say('AUTH', 'sesame')).toMatchObject({ send: '+OK\r\n', event: { kind: 'known', user: 'default' } });
    return talk;
  }

  get claims(): Conversation['claims'] {
    return this.#conversation.claims;
  }

  say(...words: string[]): Turn {
    return this.#conversation.take(words.map((word) => Buffer.from(word, 'latin1')));
  }

  hear(...words: string[]): string {
    return this.say(...words).send;
  }
}

describe('a stranger', () => {
  it('learns nothing, and can only say who it is', () => {
    for (const command of [
      ['PING'],
      ['INFO'],
      ['ROLE'],
      ['PSYNC', '?', '-1'],
      ['REPLCONF', 'listening-port', '1'],
      ['X'],
    ]) {
      expect(new Talk().hear(...command)).toBe('-NOAUTH Authentication required.\r\n');
    }
    expect(new Talk().hear('HELLO', '3')).toMatch(/^-NOAUTH /);
  });

  it('is known by a password, or by a user and a password', () => {
    expect(new Talk().say('AUTH', 'sesame').event).toEqual({ kind: 'known', user: 'default' });
    expect(new Talk().say('AUTH', 'dr', 'other').event).toEqual({ kind: 'known', user: 'dr' });
    expect(new Talk().say('HELLO', '2', 'AUTH', 'dr', 'other').event).toEqual({ kind: 'known', user: 'dr' });
  });

  it.each([
    [['AUTH', 'wrong']],
    [['AUTH', '']],
    [['AUTH', 'dr', 'sesame']],
    [['AUTH', 'nobody', 'sesame']],
    [['AUTH', 'nobody', '']],
    [['HELLO', '3', 'AUTH', 'default', 'other']],
  ])('is not known by %j', (words) => {
    expect(new Talk().say(...words)).toMatchObject({
      send: '-WRONGPASS invalid username-password pair or user is disabled.\r\n',
      event: { kind: 'wrong-password' },
    });
  });

  it('has three tries', () => {
    const talk = new Talk();
    talk.say('AUTH', 'a');
    talk.say('AUTH', 'b');
    expect(talk.say('AUTH', 'c').event).toEqual({ kind: 'locked-out' });
  });

  it('is told a wrong form of AUTH without what it said', () => {
    expect(new Talk().hear('AUTH')).toBe("-ERR wrong number of arguments for 'auth' command\r\n");
    expect(new Talk().hear('AUTH', 'a', 'secret', 'c')).not.toContain('secret');
  });
});

describe('a replica', () => {
  it('tells what it is, and asks for the stream', () => {
    const talk = Talk.known();
    expect(talk.hear('PING')).toBe('+PONG\r\n');
    expect(talk.hear('REPLCONF', 'listening-port', '6390')).toBe('+OK\r\n');
    expect(talk.hear('REPLCONF', 'ip-address', '10.1.1.1')).toBe('+OK\r\n');
    expect(talk.hear('REPLCONF', 'capa', 'eof', 'capa', 'psync2', 'capa', 'rdb-channel-repl')).toBe('+OK\r\n');
    expect(talk.hear('REPLCONF', 'version', '9.1.2')).toBe('+OK\r\n');
    expect(talk.claims).toEqual({ port: 6390, host: '10.1.1.1', valkey: [9, 1] });
    expect(talk.say('PSYNC', 'a'.repeat(40), '12')).toEqual({
      send: '',
      event: { kind: 'psync', request: { id: 'a'.repeat(40), offset: '12' } },
    });
  });

  it('is told what is not understood', () => {
    const talk = Talk.known();
    expect(talk.hear('REPLCONF', 'rdb-only', '1')).toBe('-ERR Unrecognized REPLCONF option: rdb-only\r\n');
    expect(talk.hear('REPLCONF', 'capa')).toBe('-ERR syntax error\r\n');
    expect(talk.hear('SYNC')).toMatch(/^-ERR SYNC is not served/);
  });

  it('that asks for a link is a journal, whether it gets one or not', () => {
    for (const [offersLink, version, reply] of [
      [true, '1', '+journal-link 1\r\n'],
      [true, '2', '-ERR this journal has no link of that version'],
      [false, '1', '-ERR this journal has no link of that version'],
    ] as const) {
      const talk = Talk.known(about, offersLink);
      expect(talk.hear('REPLCONF', 'journal-link', version)).toContain(reply);
      expect(talk.claims.isJournal).toBe(true);
      expect(talk.claims.link).toBe(reply.startsWith('+') ? true : undefined);
    }
    expect(Talk.known().claims.isJournal).toBeUndefined();
  });

  it('gets no reply to an acknowledgement', () => {
    expect(Talk.known().hear('REPLCONF', 'ACK', '12')).toBe('');
  });

  it('that hands us its primary’s role is told no', () => {
    expect(Talk.known().say('PSYNC', 'a'.repeat(40), '12', 'FAILOVER')).toEqual({
      send: '-ERR PSYNC FAILOVER refused: this is a journal, not to be promoted\r\n',
    });
  });
});

describe('TIME', () => {
  it('tells our clock, also beside ROLE in a transaction', () => {
    const talk = Talk.known();
    expect(talk.hear('TIME')).toBe('*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n');
    talk.say('MULTI');
    talk.say('TIME');
    expect(talk.hear('EXEC')).toMatch(/^\*1\r\n\*2\r\n/);
  });
});

describe('INFO', () => {
  it.each([
    ['redis', '8.0.2', 8, 0, ['redis_version:8.0.2', 'redis_mode:standalone']],
    ['valkey', '9.1.2', 9, 1, ['redis_version:7.2.4', 'server_name:valkey', 'valkey_version:9.1.2']],
  ] as const)(
    'names the server that the stream comes from, as that does itself: %s',
    (kind, version, major, minor, lines) => {
      const server = { kind, version, major, minor };
      const talk = Talk.known({ ...about, upstream: { ...about.upstream, server } });
      const text = talk.hear('INFO', 'server');
      for (const line of lines) expect(text).toContain(`\r\n${line}\r\n`);
      expect(text.includes('server_name')).toBe(kind === 'valkey');
      expect(serverVersionFromInfo(text)).toEqual(server);
      expect(talk.hear('HELLO', '2')).toContain(
        `server\r\n$${kind.length}\r\n${kind}\r\n$7\r\nversion\r\n$5\r\n${version}\r\n`,
      );
    },
  );

  it('says that we are a replica, never to be promoted, and tells the history', () => {
    const text = Talk.known().hear('INFO', 'replication');
    for (const line of [
      'role:slave',
      'master_host:10.0.0.5',
      'master_port:6379',
      'master_link_status:up',
      'master_last_io_seconds_ago:2',
      'slave_priority:0',
      'replica_announced:0',
      'slave_repl_offset:900',
      'connected_slaves:1',
      'slave0:ip=10.0.0.7,port=6379,state=online,offset=899,lag=0',
    ]) {
      expect(text).toContain(`\r\n${line}\r\n`);
    }
    expect(parseReplicationInfo(text)).toEqual({
      role: 'slave',
      id: 'b'.repeat(40),
      offset: 900,
      before: { id: 'a'.repeat(40), offset: 500 },
      primary: { host: '10.0.0.5', port: 6379, isUp: true },
      isJournal: true,
      isFailingOver: false,
    });
  });

  it('says since when the primary is away', () => {
    const away = { ...about, upstream: { ...about.upstream, isUp: false, since: 60_000_000 } };
    const text = Talk.known(away).hear('INFO');
    expect(text).toContain('master_link_status:down\r\n');
    expect(text).toContain('master_link_down_since_seconds:40\r\n');
  });

  it('has the sections that are asked for', () => {
    const talk = Talk.known();
    expect(talk.hear('INFO')).toMatch(/# Server\r\n.*# Clients\r\n.*# Replication\r\n/s);
    expect(talk.hear('INFO', 'everything')).toContain(`run_id:${'d'.repeat(40)}\r\n`);
    expect(talk.hear('INFO', 'SERVER')).not.toContain('role:');
    expect(talk.hear('INFO', 'keyspace')).toBe('$0\r\n\r\n');
  });

  it('does without a stream that is not there yet', () => {
    const text = Talk.known({ ...about, stream: undefined, replicas: [] }).hear('INFO');
    expect(text).toContain(`master_replid:${'0'.repeat(40)}\r\n`);
    expect(text).toContain('repl_backlog_active:0\r\n');
  });
});

describe('Sentinel', () => {
  it('hears what it wants to hear from a replica', () => {
    const talk = Talk.known();
    expect(talk.hear('CLIENT', 'SETNAME', 'sentinel-1-cmd')).toBe('+OK\r\n');
    expect(talk.hear('PING')).toBe('+PONG\r\n');
    expect(talk.hear('PUBLISH', '__sentinel__:hello', 'x')).toBe(':0\r\n');
    expect(talk.hear('SUBSCRIBE', '__sentinel__:hello')).toBe(
      '*3\r\n$9\r\nsubscribe\r\n$18\r\n__sentinel__:hello\r\n:1\r\n',
    );
    expect(talk.hear('PING')).toBe('*2\r\n$4\r\npong\r\n$0\r\n\r\n');
    expect(talk.hear('UNSUBSCRIBE')).toBe('*3\r\n$11\r\nunsubscribe\r\n$18\r\n__sentinel__:hello\r\n:0\r\n');
    expect(talk.hear('ROLE')).toBe('*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.5\r\n:6379\r\n$9\r\nconnected\r\n:900\r\n');
    expect(talk.hear('SCRIPT', 'KILL')).toMatch(/^-NOTBUSY /);
  });

  it('tells where the primary is, in a transaction', () => {
    const talk = Talk.known();
    talk.say('MULTI');
    expect(talk.hear('SLAVEOF', 'Redis-2.internal', '6379')).toBe('+QUEUED\r\n');
    expect(talk.hear('CONFIG', 'REWRITE')).toBe('+QUEUED\r\n');
    expect(talk.hear('CLIENT', 'KILL', 'TYPE', 'normal')).toBe('+QUEUED\r\n');
    expect(talk.say('EXEC')).toEqual({
      send: '*3\r\n+OK\r\n+OK\r\n:0\r\n',
      event: { kind: 'moved', host: 'redis-2.internal', port: 6379 },
    });
  });

  it('cannot send us to what is none of our sources', () => {
    for (const [host = '', port = ''] of [
      ['10.0.0.6', '6379'],
      ['10.0.0.5', '6380'],
      ['redis-2', '6379'],
    ]) {
      expect(Talk.known().say('SLAVEOF', host, port)).toEqual({
        send: '-ERR this is a journal: it follows its own sources only, and that is none of them\r\n',
        event: { kind: 'misled', address: `${host}:${port}` },
      });
    }
  });

  it('cannot make us a primary', () => {
    expect(Talk.known().hear('SLAVEOF', 'NO', 'ONE')).toBe('-ERR this is a journal: it cannot be made a primary\r\n');
    expect(Talk.known().say('REPLICAOF', 'host', 'x').event).toBeUndefined();
  });
});

describe('anybody', () => {
  it('is greeted in the protocol that it asks for', () => {
    expect(Talk.known().hear('HELLO', '3')).toMatch(/^%7\r\n\$6\r\nserver\r\n/);
    expect(Talk.known().hear('HELLO')).toMatch(/^\*14\r\n/);
    expect(Talk.known().hear('HELLO', '4')).toMatch(/^-NOPROTO /);
  });

  it('finds no keys here', () => {
    expect(Talk.known().hear('GET', 'k')).toMatch(/^-ERR unknown command 'GET': this is a journal/);
    expect(Talk.known().hear('constructor')).toMatch(/^-ERR unknown command 'CONSTRUCTOR'/);
    expect(Talk.known().hear('x\r\n+OK\r\n')).not.toContain('\r\n+OK');
  });

  it('cannot queue without end', () => {
    const talk = Talk.known();
    talk.say('MULTI');
    let heard = '';
    for (let i = 0; i < 100 && !heard.startsWith('-'); i += 1) heard = talk.hear('PING');
    expect(heard).toMatch(/^-EXECABORT /);
    expect(talk.hear('EXEC')).toBe('-ERR EXEC without MULTI\r\n');
  });

  it('leaves with QUIT', () => {
    expect(Talk.known().say('QUIT')).toEqual({ send: '+OK\r\n', event: { kind: 'close' } });
  });
});
