// The sampler: what it tells of a primary, how often it asks, and that no way of failing makes it ask more.
import { describe, expect, test } from 'vitest';
import { LinkError } from '../../src/core/errors.ts';
import { Sampler } from '../../src/upstream/sampler.ts';
import type { SamplerOptions } from '../../src/upstream/sampler.ts';
import type { SourceSample } from '../../src/upstream/source-sample.ts';
import { FakePrimary } from '../support/fake-primary.ts';
import { TurningClock } from './turning-clock.ts';

const queued = { MULTI: '+OK\r\n', TIME: '+QUEUED\r\n', ROLE: '+QUEUED\r\n' };
const time = '*2\r\n$10\r\n1790000000\r\n$6\r\n123456\r\n';
const asMaster = '*3\r\n$6\r\nmaster\r\n:5000\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n$4\r\n4990\r\n';
const asReplica = (link: string, offset: number): string =>
  `*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.7\r\n:6380\r\n$${link.length}\r\n${link}\r\n:${offset}\r\n`;

class SamplerRig {
  readonly clock = new TurningClock();
  readonly primary: FakePrimary;
  readonly samples: SourceSample[] = [];
  readonly losses: LinkError[] = [];
  readonly #stop = new AbortController();
  readonly #options: Partial<SamplerOptions>;
  #running: Promise<void> = Promise.resolve();

  constructor(replies: Readonly<Record<string, string>>, options: Partial<SamplerOptions> = {}) {
    this.primary = new FakePrimary({ replies, psync: () => Buffer.alloc(0) });
    this.#options = options;
  }

  static answering(role: string): SamplerRig {
    return new SamplerRig({ ...queued, EXEC: `*2\r\n${time}${role}` });
  }

  run(): void {
    const { primary, clock, samples, losses } = this;
    const sampler = new Sampler({
      address: { host: 'fake', port: 1, tls: false },
      credentials: {},
      tls: { verify: true },
      connect: primary.connect,
      clock,
      random: () => 1,
      events: { sampled: (sample) => void samples.push(sample), lost: (error) => void losses.push(error) },
      ...this.#options,
    });
    this.#running = sampler.run(this.#stop.signal);
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    expect(this.clock.pending, 'timers left').toBe(0);
    expect(
      this.primary.links.every(({ isClosed }) => isClosed),
      'connections left',
    ).toBe(true);
  }
}

describe('what is told', () => {
  test('ten times a second the clock and the offset of a primary, as one pair', async () => {
    const rig = SamplerRig.answering(asMaster);
    rig.run();
    await rig.clock.advance(2_050);
    expect(rig.samples).toHaveLength(21);
    const [first, second] = rig.samples;
    expect(first).toEqual({
      sentAt: 1_800_000_000_000_000,
      receivedAt: 1_800_000_000_000_000,
      source: 'fake:1',
      time: 1_790_000_000_123_456,
      role: 'master',
      offset: 5000,
    });
    expect((second?.sentAt ?? 0) - (first?.sentAt ?? 0)).toBe(100_000);
    expect(rig.primary.link.received.slice(0, 4)).toEqual(['MULTI', 'TIME', 'ROLE', 'EXEC']);
    await rig.end();
    expect(rig.losses).toEqual([]);
  });

  test('of a replica also whose it is, and whether it hears from it', async () => {
    const rig = SamplerRig.answering(asReplica('connected', 777));
    rig.run();
    await rig.clock.advance(10);
    expect(rig.samples[0]).toMatchObject({
      role: 'slave',
      offset: 777,
      primary: { host: '10.0.0.7', port: 6380, link: 'connected' },
    });
    await rig.end();
  });

  test('of a replica that has lost its primary no offset, rather than one before the beginning', async () => {
    const rig = SamplerRig.answering(asReplica('connect', -1));
    rig.run();
    await rig.clock.advance(10);
    expect(rig.samples[0]).toMatchObject({ role: 'slave', offset: undefined });
    await rig.end();
  });

  test('a late answer with the time that it took, and no second question before it', async () => {
    const rig = new SamplerRig(queued);
    rig.run();
    await rig.clock.advance(700);
    rig.primary.link.say(`*2\r\n${time}${asMaster}`);
    await rig.clock.advance(10);
    expect(rig.samples).toHaveLength(1);
    expect((rig.samples[0]?.receivedAt ?? 0) - (rig.samples[0]?.sentAt ?? 0)).toBeGreaterThanOrEqual(700_000);
    expect(rig.primary.link.received.filter((word) => word === 'EXEC').length).toBeLessThanOrEqual(2);
    await rig.end();
  });

  test('with a password it logs in first', async () => {
    const rig = new SamplerRig(
      { ...queued, EXEC: `*2\r\n${time}${asMaster}` },
      { credentials: { user: 'journal', password: 'secret' } },
    );
    rig.run();
    await rig.clock.advance(10);
    expect(rig.primary.link.received.slice(0, 2)).toEqual(['AUTH journal secret', 'MULTI']);
    expect(rig.samples).toHaveLength(1);
    await rig.end();
  });
});

const aborted = '-EXECABORT Transaction discarded because of previous errors.\r\n';
const noPermission = "-NOPERM this user has no permissions to run the 'role' command\r\n";

describe.each([
  ['no permission', { ...queued, ROLE: noPermission, EXEC: aborted }, 'no-permission', 61],
  [
    'no password',
    {
      MULTI: '-NOAUTH Authentication required.\r\n',
      EXEC: '-NOAUTH x\r\n',
      TIME: '-NOAUTH x\r\n',
      ROLE: '-NOAUTH x\r\n',
    },
    'password-needed',
    61,
  ],
  [
    'a command that was taken away',
    { ...queued, TIME: "-ERR unknown command 'TIME'\r\n", EXEC: aborted },
    'command-missing',
    61,
  ],
  [
    'a script that does not end',
    { ...queued, TIME: '-BUSY Redis is busy running a script.\r\n', EXEC: aborted },
    'busy',
    750,
  ],
  ['an answer that is none', { ...queued, EXEC: '+OK\r\n' }, 'unexpected-reply', 70],
  ['a role that nobody has', { ...queued, EXEC: `*2\r\n${time}:5\r\n` }, 'unexpected-reply', 70],
  [
    'times that are no numbers',
    { ...queued, EXEC: `*2\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n${asMaster}` },
    'unexpected-reply',
    70,
  ],
  ['something else than Redis', { MULTI: 'HTTP/1.1 400 Bad Request\r\n\r\n' }, 'protocol-broken', 750],
  ['silence', { ...queued }, 'side-silent', 700],
] as const)('%s', (_title, replies, code, attemptsInAnHour) => {
  test('is told once, and asked about in a bounded number of attempts', async () => {
    const rig = new SamplerRig(replies);
    rig.run();
    await rig.clock.advance(3_600_000);
    expect(rig.losses.map((loss) => loss.code)).toEqual([code]);
    expect(rig.samples).toEqual([]);
    expect(rig.primary.attempts).toBeGreaterThan(10);
    expect(rig.primary.attempts).toBeLessThanOrEqual(attemptsInAnHour);
    expect(rig.primary.links.filter(({ isClosed }) => !isClosed).length, 'open connections').toBeLessThanOrEqual(1);
    await rig.end();
  });
});

describe('when the connection cannot be had', () => {
  test('a server that hangs up after its refusal is told by the refusal', async () => {
    const rig = new SamplerRig({ MULTI: '-ERR max number of clients reached\r\n', TIME: '', ROLE: '', EXEC: '' });
    rig.run();
    await rig.clock.advance(10);
    rig.primary.link.lose();
    await rig.clock.advance(10);
    expect(rig.losses.map(({ code }) => code)).toEqual(['too-many-clients']);
    await rig.end();
  });

  test('it goes on as soon as it can', async () => {
    const rig = SamplerRig.answering(asMaster);
    rig.primary.refusal = new LinkError('unreachable', 'nobody there', 'soon');
    rig.run();
    await rig.clock.advance(60_000);
    expect(rig.losses).toHaveLength(1);
    rig.primary.refusal = undefined;
    await rig.clock.advance(5_000);
    expect(rig.samples.length).toBeGreaterThan(0);
    await rig.end();
  });

  test('a new reason is told as well, and the old one again after samples', async () => {
    const rig = SamplerRig.answering(asMaster);
    const unreachable = new LinkError('unreachable', 'nobody there', 'soon');
    rig.primary.refusal = unreachable;
    rig.run();
    await rig.clock.advance(10_000);
    rig.primary.refusal = new LinkError('tls', 'no TLS there', 'soon');
    await rig.clock.advance(10_000);
    rig.primary.refusal = undefined;
    await rig.clock.advance(10_000);
    rig.primary.refusal = unreachable;
    rig.primary.link.lose(unreachable);
    await rig.clock.advance(10_000);
    expect(rig.losses.map(({ code }) => code)).toEqual(['unreachable', 'tls', 'unreachable']);
    await rig.end();
  });

  test('a server that answers once and hangs up each time is asked ever later', async () => {
    const rig = SamplerRig.answering(asMaster);
    rig.run();
    for (let second = 0; second < 600; second += 1) {
      await rig.clock.advance(1_000);
      rig.primary.link.lose();
    }
    expect(rig.primary.attempts).toBeLessThan(140);
    await rig.end();
  });
});
