// The replica handshake: what is sent, how every kind of reply is met in every state, and what may surround a reply.
import { describe, expect, test } from 'vitest';
import { LinkError } from '../../src/core/errors.ts';
import type { RetryClass } from '../../src/core/errors.ts';
import { Handshake } from '../../src/redis/handshake.ts';
import type { HandshakeEvent, HandshakeOptions, HandshakeState, HandshakeStep } from '../../src/redis/handshake.ts';
import { command, singleBytes } from './bytes.ts';

const id = 'a'.repeat(40);
const otherId = '0123456789abcdef0123456789abcdef01234567';
const secret = 'hunter2-secret';
const withPassword = {
  user: 'replica',
  password: secret,
  announce: { host: '10.0.0.9', port: 6380 },
  asksLink: true,
  heldBase: { identity: 'f'.repeat(64), bytes: 1024 },
};
const info = '# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n';
const replication = `# Replication\r\nrole:master\r\nmaster_replid:${'c'.repeat(40)}\r\nmaster_repl_offset:4711\r\n`;

const sent: Readonly<Record<HandshakeState, Buffer>> = {
  ping: command('PING'),
  auth: command('AUTH', 'replica', secret),
  info: command('INFO', 'server'),
  lineage: command('INFO', 'replication'),
  announce: command('REPLCONF', 'listening-port', '6380', 'ip-address', '10.0.0.9'),
  capa: command('REPLCONF', 'capa', 'eof', 'capa', 'psync2'),
  version: command('REPLCONF', 'version', '9.1.0'),
  link: command('REPLCONF', 'journal-link', '1'),
  base: command('REPLCONF', 'journal-base', 'f'.repeat(64), '1024'),
  psync: command('PSYNC', '?', '-1'),
};

const goodReply: Readonly<Record<HandshakeState, string>> = {
  ping: '+PONG\r\n',
  auth: '+OK\r\n',
  info: `$${info.length}\r\n${info}\r\n`,
  lineage: `$${replication.length}\r\n${replication}\r\n`,
  announce: '+OK\r\n',
  capa: '+OK\r\n',
  version: '+OK\r\n',
  link: '+journal-link 1\r\n',
  base: '+OK\r\n',
  psync: `+FULLRESYNC ${id} 4711\r\n`,
};

const order: readonly HandshakeState[] = [
  'ping',
  'auth',
  'info',
  'lineage',
  'announce',
  'capa',
  'version',
  'link',
  'base',
  'psync',
];

function push(handshake: Handshake, text: string): HandshakeStep {
  return handshake.push(Buffer.from(text));
}

/** A handshake that waits in `state`. */
function arrivedAt(state: HandshakeState, options: HandshakeOptions = withPassword): Handshake {
  const handshake = new Handshake(options);
  handshake.start();
  for (const step of order) {
    if (step === state) break;
    if (step === 'auth' && options.password === undefined) continue;
    if (step === 'announce' && options.announce === undefined) continue;
    if ((step === 'link' || step === 'base') && options.asksLink !== true) continue;
    push(handshake, goodReply[step]);
  }
  expect(handshake.state).toBe(state);
  return handshake;
}

function failure(handshake: Handshake, text: string): LinkError {
  try {
    push(handshake, text);
  } catch (error) {
    expect(error).toBeInstanceOf(LinkError);
    return error as LinkError;
  }
  throw new Error(`accepted: ${text}`);
}

describe('a full sync', () => {
  test('sends each command after the reply to the one before', () => {
    const handshake = new Handshake(withPassword);
    expect(handshake.start()).toEqual(sent.ping);
    expect(push(handshake, goodReply.ping).send).toEqual(sent.auth);
    expect(push(handshake, goodReply.auth).send).toEqual(sent.info);
    expect(push(handshake, goodReply.info).send).toEqual(sent.lineage);
    expect(push(handshake, goodReply.lineage).send).toEqual(sent.announce);
    expect(push(handshake, goodReply.announce).send).toEqual(sent.capa);
    expect(push(handshake, goodReply.capa).send).toEqual(sent.version);
    expect(push(handshake, goodReply.version).send).toEqual(sent.link);
    expect(push(handshake, goodReply.link).send).toEqual(sent.base);
    expect(push(handshake, goodReply.base).send).toEqual(sent.psync);
    expect(handshake.isLinked).toBe(true);
    expect(push(handshake, goodReply.psync)).toEqual({
      send: undefined,
      outcome: { kind: 'full-resync', id, offset: 4711 },
    });
    expect(handshake.server).toEqual({ kind: 'valkey', version: '8.1.1', major: 8, minor: 1 });
    expect(handshake.lineage).toMatchObject({ role: 'master', offset: 4711 });
    expect(handshake.notes).toEqual([]);
  });

  test('without a password there is no AUTH, and with a password only, it goes alone', () => {
    const open = new Handshake();
    open.start();
    expect(push(open, goodReply.ping).send).toEqual(sent.info);
    const old = new Handshake({ password: secret });
    old.start();
    expect(push(old, '-NOAUTH Authentication required.\r\n').send).toEqual(command('AUTH', secret));
  });

  test('replies may come in single bytes', () => {
    const handshake = new Handshake();
    let sending = handshake.start();
    const said: Buffer[] = [];
    for (const state of order.filter((step) => !['auth', 'announce', 'link', 'base'].includes(step))) {
      said.push(sending);
      for (const byte of singleBytes(Buffer.from(goodReply[state]))) {
        const step = handshake.push(byte);
        if (step.send !== undefined) sending = step.send;
        if (step.outcome !== undefined) expect(step.outcome).toEqual({ kind: 'full-resync', id, offset: 4711 });
      }
    }
    expect(said).toEqual([sent.ping, sent.info, sent.lineage, sent.capa, sent.version, sent.psync]);
  });

  test('newlines before the reply to PSYNC are keep-alives; bytes behind it are not touched', () => {
    const handshake = arrivedAt('psync');
    expect(push(handshake, '\n')).toEqual({ send: undefined, outcome: undefined });
    expect(push(handshake, '\n\n').outcome).toBeUndefined();
    expect(push(handshake, `\n${goodReply.psync}\n\n$EOF:`).outcome).toBeDefined();
    expect(handshake.rest()).toEqual(Buffer.from('\n\n$EOF:'));
  });
});

describe('a resumption', () => {
  const options = { resume: { id, offset: 99 } };

  test('asks for the byte behind the last one held', () => {
    const handshake = arrivedAt('version', options);
    expect(push(handshake, '+OK\r\n').send).toEqual(command('PSYNC', id, '100'));
  });

  test('continues under the same id or a new one, with the stream left as it came', () => {
    const same = arrivedAt('psync', options);
    expect(push(same, '+CONTINUE\r\n*1\r\n$4\r\nping\r\n').outcome).toEqual({ kind: 'continue', id });
    expect(same.rest()).toEqual(command('ping'));
    expect(push(arrivedAt('psync', options), `+CONTINUE ${otherId}\r\n`).outcome).toEqual({
      kind: 'continue',
      id: otherId,
    });
  });

  test('may be answered with a full sync', () => {
    const outcome = push(arrivedAt('psync', options), `+FULLRESYNC ${otherId} 0\r\n`).outcome;
    expect(outcome).toEqual({ kind: 'full-resync', id: otherId, offset: 0 });
  });
});

/** One reply of each kind. */
const example: Readonly<Record<HandshakeEvent, string>> = {
  pong: '+PONG\r\n',
  ok: '+OK\r\n',
  'full-resync': `+FULLRESYNC ${id} 1\r\n`,
  continue: `+CONTINUE ${id}\r\n`,
  'other-status': '+RDBCHANNELSYNC 17\r\n',
  bulk: '$2\r\nhi\r\n',
  'other-reply': ':1\r\n',
  'no-auth': '-NOAUTH Authentication required.\r\n',
  'wrong-password': '-WRONGPASS invalid username-password pair or user is disabled.\r\n',
  'password-not-wanted': '-ERR AUTH <password> called without any password configured for the default user.\r\n',
  'user-not-wanted': "-ERR wrong number of arguments for 'auth' command\r\n",
  'no-permission': "-NOPERM this user has no permissions to run the 'psync' command\r\n",
  denied: '-DENIED Redis is running in protected mode\r\n',
  loading: '-LOADING Redis is loading the dataset in memory\r\n',
  busy: '-BUSY Redis is busy running a script.\r\n',
  'no-master-link': "-NOMASTERLINK Can't SYNC while not connected with my master\r\n",
  'master-down': "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
  'bgsave-failed': "-ERR BGSAVE failed, replication can't continue\r\n",
  'too-many-clients': '-ERR max number of clients reached\r\n',
  'unknown-command': "-ERR unknown command 'PSYNC', with args beginning with: '?' '-1' \r\n",
  'other-error': '-ERR something else\r\n',
};

/** Where each reply leads: to the next state, to the end, or to an error with this code. */
const never = {
  'no-auth': 'password-needed',
  'wrong-password': 'wrong-password',
  'password-not-wanted': 'password-not-wanted',
  'user-not-wanted': 'user-not-wanted',
  'no-permission': 'no-permission',
  denied: 'protected-mode',
  loading: 'loading',
  busy: 'busy',
  'no-master-link': 'source-has-no-primary',
  'master-down': 'source-has-no-primary',
  'bgsave-failed': 'snapshot-failed',
  'too-many-clients': 'too-many-clients',
  'unknown-command': 'command-missing',
  'other-error': 'refused',
  pong: 'unexpected-reply',
  ok: 'unexpected-reply',
  'full-resync': 'unexpected-reply',
  continue: 'unexpected-reply',
  'other-status': 'unexpected-reply',
  bulk: 'unexpected-reply',
  'other-reply': 'unexpected-reply',
} as const;

type Expected = HandshakeState | 'done' | (typeof never)[HandshakeEvent] | 'protocol-broken';

const expected: Readonly<Record<HandshakeState, Readonly<Record<HandshakeEvent, Expected>>>> = {
  ping: { ...never, pong: 'auth', 'no-auth': 'auth', 'no-permission': 'auth' },
  auth: { ...never, ok: 'info' },
  info: {
    ...never,
    bulk: 'lineage',
    'no-permission': 'lineage',
    'unknown-command': 'lineage',
    'other-error': 'lineage',
  },
  lineage: {
    ...never,
    bulk: 'announce',
    'no-permission': 'announce',
    'unknown-command': 'announce',
    'other-error': 'announce',
  },
  announce: { ...never, ok: 'capa', 'other-error': 'capa' },
  capa: { ...never, ok: 'version', 'other-error': 'version' },
  version: { ...never, ok: 'link', 'other-error': 'link' },
  // Some servers take any option: that is no link.
  link: { ...never, ok: 'psync', 'other-status': 'psync', 'other-error': 'psync' },
  base: { ...never, ok: 'psync', 'other-error': 'psync' },
  // Nothing was asked to be continued here.
  psync: { ...never, 'full-resync': 'done', continue: 'protocol-broken' },
};

const cells = order.flatMap((state) =>
  Object.entries(expected[state]).map(([event, outcome]) => [state, event as HandshakeEvent, outcome] as const),
);

test.each(cells)('in %s, a %s reply leads to %s', (state, event, outcome) => {
  const handshake = arrivedAt(state);
  if (outcome === 'done') {
    expect(push(handshake, example[event]).outcome).toBeDefined();
  } else if (order.includes(outcome as HandshakeState)) {
    expect(push(handshake, example[event])).toEqual({ send: sent[outcome as HandshakeState], outcome: undefined });
    expect(handshake.state).toBe(outcome);
  } else {
    const error = failure(handshake, example[event]);
    expect(error.code).toBe(outcome);
    expect(error.message).not.toContain(secret);
    if (!['refused', 'protocol-broken'].includes(error.code)) expect(error.hint).toBeTruthy();
  }
});

describe('how a refusal is to be met', () => {
  const table: readonly (readonly [HandshakeEvent, RetryClass, number])[] = [
    ['loading', 'soon', 11],
    ['busy', 'soon', 11],
    ['no-master-link', 'soon', 11],
    ['master-down', 'soon', 11],
    ['bgsave-failed', 'later', 11],
    ['other-error', 'later', 11],
    ['other-status', 'later', 11],
    ['too-many-clients', 'later', 11],
    ['denied', 'later', 11],
    ['unknown-command', 'never', 11],
    ['no-permission', 'never', 10],
    ['no-auth', 'never', 10],
    ['wrong-password', 'never', 10],
  ];

  test.each(table)('%s is retried %s, exit %i', (event, retry, exitCode) => {
    expect(failure(arrivedAt('psync'), example[event])).toMatchObject({ retry, exitCode });
  });

  test('a missing permission is answered with the ACL that gives it', () => {
    expect(failure(arrivedAt('psync'), example['no-permission']).hint).toContain('+psync +replconf +ping');
  });

  test('a server that wants a password is not asked further without one', () => {
    const handshake = new Handshake();
    handshake.start();
    expect(failure(handshake, example['no-auth'])).toMatchObject({
      code: 'password-needed',
      retry: 'never',
      exitCode: 10,
    });
  });

  test('Redis 5 words for a wrong password and for a missing one are known', () => {
    expect(failure(arrivedAt('auth'), '-ERR invalid password\r\n').code).toBe('wrong-password');
    expect(failure(arrivedAt('auth'), '-ERR Client sent AUTH, but no password is set\r\n').code).toBe(
      'password-not-wanted',
    );
  });

  test('a server that quotes the password back does not put it into the message', () => {
    const quoting = `-ERR unknown command \`AUTH\`, with args beginning with: \`replica\`, \`${secret}\`, \r\n`;
    for (const text of [quoting, `-${secret}\r\n`, `+${secret}\r\n`, `$14\r\n${secret}\r\n`]) {
      const error = failure(arrivedAt('auth'), text);
      expect(`${error.message} ${error.hint ?? ''}`).not.toContain(secret);
    }
  });

  test('an error that is passed over is noted, but for the option that only Valkey has', () => {
    const handshake = arrivedAt('info');
    push(handshake, example['no-permission']);
    push(handshake, example['no-permission']);
    push(handshake, '-ERR Invalid value for listening-port\r\n');
    push(handshake, '-ERR Unrecognized REPLCONF option: capa\r\n');
    push(handshake, '-ERR Unrecognized REPLCONF option: version\r\n');
    expect(handshake.notes).toEqual([
      "INFO answered: NOPERM this user has no permissions to run the 'psync' command",
      'REPLCONF listening-port answered: ERR Invalid value for listening-port',
      'REPLCONF capa answered: ERR Unrecognized REPLCONF option: capa',
    ]);
    expect(handshake.server).toBeUndefined();
  });

  test.each(['constructor', '__proto__', 'toString'])('an error or status named %s is one like others', (name) => {
    expect(failure(arrivedAt('psync'), `-${name}\r\n`).code).toBe('refused');
    expect(failure(arrivedAt('psync'), `+${name}\r\n`).code).toBe('unexpected-reply');
  });
});

describe('a malformed answer to PSYNC', () => {
  test.each([
    '+FULLRESYNC\r\n',
    `+FULLRESYNC ${id}\r\n`,
    `+FULLRESYNC ${id} -1\r\n`,
    `+FULLRESYNC ${id} 1 2\r\n`,
    `+FULLRESYNC ${id} 9007199254740992\r\n`,
    `+FULLRESYNC ${id.toUpperCase()} 1\r\n`,
    '+FULLRESYNC abc 1\r\n',
  ])('%j is refused', (text) => {
    expect(failure(arrivedAt('psync'), text).code).toBe('protocol-broken');
  });

  test.each(['+CONTINUE abc\r\n', `+CONTINUE ${id} 5\r\n`])('%j is refused on resumption', (text) => {
    expect(failure(arrivedAt('psync', { resume: { id, offset: 1 } }), text).code).toBe('protocol-broken');
  });

  test('a line without end is refused', () => {
    expect(failure(arrivedAt('psync'), `+FULLRESYNC ${'a'.repeat(70_000)}`).code).toBe('protocol-broken');
  });

  test('newlines elsewhere are no keep-alives', () => {
    expect(failure(arrivedAt('capa'), '\n').code).toBe('protocol-broken');
  });
});
