// Every way in which a primary can refuse us, or say nothing: each has its own code and its own words, says what to do,
// and is tried again at a pace of its own, however long it lasts. Attempts are counted over an hour.
import { describe, expect, test } from 'vitest';
import type { LinkError, RetryClass } from '../../src/core/errors.ts';
import { LinkError as Refusal } from '../../src/core/errors.ts';
import { tlsProblem } from '../../src/upstream/tls.ts';
import { fakeId } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import { MemorySink } from './memory-sink.ts';
import { Rig } from './rig.ts';

interface Row {
  readonly title: string;
  readonly code: string;
  readonly retry: RetryClass;
  readonly replies?: FakeScript['replies'];
  readonly password?: string;
  /** The connection itself fails. */
  readonly refusal?: LinkError;
  /** What the person who reads it needs to find in it. */
  readonly says: RegExp;
}

const hour = 3_600_000;
const goesOn = (): Buffer => Buffer.from(`+CONTINUE ${fakeId}\r\n`);
const wrongName = Object.assign(new Error("Host: 10.0.0.5. is not in the cert's altnames"), {
  code: 'ERR_TLS_CERT_ALTNAME_INVALID',
});

const rows: readonly Row[] = [
  {
    title: 'it is loading its dataset',
    code: 'loading',
    retry: 'soon',
    replies: { PING: '-LOADING Redis is loading the dataset in memory\r\n' },
    says: /loading/,
  },
  {
    title: 'it is a replica without its primary, or fails over',
    code: 'source-has-no-primary',
    retry: 'soon',
    replies: { PSYNC: "-NOMASTERLINK Can't SYNC while not connected with my master\r\n" },
    says: /failover/,
  },
  {
    title: 'it runs a script that does not end',
    code: 'busy',
    retry: 'soon',
    replies: { PSYNC: '-BUSY Redis is busy running a script.\r\n' },
    says: /script/,
  },
  {
    title: 'it wants a password',
    code: 'password-needed',
    retry: 'never',
    replies: { PING: '-NOAUTH Authentication required.\r\n' },
    says: /password/,
  },
  {
    title: 'it wants another password',
    code: 'wrong-password',
    retry: 'never',
    replies: { AUTH: '-WRONGPASS invalid username-password pair or user is disabled.\r\n' },
    password: 'secret',
    says: /switched off/,
  },
  {
    title: 'the user may not replicate',
    code: 'no-permission',
    retry: 'never',
    replies: { PSYNC: "-NOPERM this user has no permissions to run the 'psync' command\r\n" },
    says: /\+psync \+replconf \+ping/,
  },
  {
    title: 'replication was taken away',
    code: 'command-missing',
    retry: 'never',
    replies: { PSYNC: "-ERR unknown command 'PSYNC'\r\n" },
    says: /managed services/,
  },
  {
    title: 'it is in protected mode',
    code: 'protected-mode',
    retry: 'later',
    replies: { PING: '-DENIED Redis is running in protected mode\r\n' },
    says: /protected mode/,
  },
  {
    title: 'it has no room for clients',
    code: 'too-many-clients',
    retry: 'later',
    replies: { PING: '-ERR max number of clients reached\r\n' },
    says: /maxclients/,
  },
  {
    title: 'it cannot make an RDB',
    code: 'snapshot-failed',
    retry: 'later',
    replies: { PSYNC: "-ERR BGSAVE failed, replication can't continue\r\n" },
    says: /memory/,
  },
  {
    title: 'its certificate is for another name',
    code: 'certificate',
    retry: 'never',
    refusal: tlsProblem('10.0.0.5:6379', wrongName) ?? new Refusal('unreachable', 'not told apart', 'soon'),
    says: /--tls-server-name/,
  },
  {
    title: 'it takes the connection and never says a word, or the link is half-open',
    code: 'silent',
    retry: 'soon',
    replies: { PING: '' },
    says: /half-open/,
  },
];

/** No pause is shorter than half of the longest of its class, once it has grown. */
const attemptsAnHour: Readonly<Record<RetryClass, number>> = { soon: 730, later: 70, never: 70 };

describe.each(rows)('when $title', ({ code, retry, replies = {}, password, refusal, says }) => {
  function refusing(): FakeScript {
    return { replies, psync: goesOn };
  }

  test('it has a code, words, an advice and a pace of its own', async () => {
    const rig = new Rig(refusing(), MemorySink.after({ id: fakeId, offset: 1000 }, Buffer.alloc(0)));
    rig.primary.refusal = refusal;
    rig.follow({ credentials: { password } });
    await rig.clock.advance(61_000);
    const error = (rig.interruptions[0]?.error ?? rig.failure) as LinkError;
    expect(error).toMatchObject({ code, retry });
    expect(`${error.message}; ${error.hint ?? ''}`).toMatch(says);
    expect(`${error.message}; ${error.hint ?? ''}`).not.toContain('secret');
    if (retry === 'never') expect(rig).toMatchObject({ isOver: true, interruptions: [] });
    else await rig.end();
  });

  test('for an hour, once it has been attached, it is asked in a bounded number of attempts', async () => {
    const rig = new Rig({ psync: goesOn }, MemorySink.after({ id: fakeId, offset: 1000 }, Buffer.alloc(0)));
    rig.follow({ credentials: { password } });
    await rig.until('the attachment', () => rig.told.some((line) => line.startsWith('attached')));
    rig.primary.script = refusing();
    rig.primary.refusal = refusal;
    rig.primary.link.lose();
    const before = rig.primary.attempts;
    await rig.clock.advance(hour);
    expect(new Set(rig.interruptions.slice(1).map(({ error }) => error.code))).toEqual(new Set([code]));
    expect(rig.primary.attempts - before).toBeLessThanOrEqual(attemptsAnHour[retry]);
    expect(rig.primary.attempts - before).toBeGreaterThan(50);
    await rig.end();
    expect(rig.clock.pending).toBe(0);
  });
});

test('no two refusals are told in the same words', () => {
  expect(new Set(rows.map(({ code }) => code)).size).toBe(rows.length);
});
