// The sampler beside real servers: the pair of time and offset is right, and what it may not ask is said once.
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { LinkError } from '../../src/core/errors.ts';
import { connectSocket } from '../../src/upstream/connect.ts';
import type { Credentials } from '../../src/upstream/address.ts';
import { Sampler } from '../../src/upstream/sampler.ts';
import type { SourceSample } from '../../src/upstream/source-sample.ts';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { RedisServer } from '../support/redis-server.ts';
import { primaryOffset, startReplica } from './capture-rig.ts';

class Sampled implements AsyncDisposable {
  readonly samples: SourceSample[] = [];
  readonly losses: LinkError[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(port: number, credentials: Credentials = {}) {
    const sampler = new Sampler({
      address: { host: '127.0.0.1', port, tls: false },
      credentials,
      tls: { verify: true },
      connect: connectSocket,
      clock: systemClock,
      random: Math.random,
      events: {
        sampled: (sample) => void this.samples.push(sample),
        lost: (error) => void this.losses.push(error),
      },
    });
    this.#running = sampler.run(this.#stop.signal);
  }

  async next(): Promise<SourceSample> {
    const from = this.samples.length;
    return eventually('a sample', () => this.samples[from]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

describeServers('a sampler', (binary) => {
  test('tells the clock and the offset of a primary, and of its replica', async () => {
    await using primary = await RedisServer.start(binary, { config: { 'repl-ping-replica-period': '3600' } });
    await using replica = await startReplica(primary);
    await using client = await primary.connect();
    await using atPrimary = new Sampled(primary.port);
    await using atReplica = new Sampled(replica.port);
    await client.call('SET', 'key', 'value');
    const offset = await primaryOffset(client);
    const before = systemClock.wall();
    const sample = await atPrimary.next();
    expect(sample).toMatchObject({ role: 'master', offset });
    expect(sample.time).toBeGreaterThan(before - 150_000);
    expect(sample.time).toBeLessThanOrEqual(systemClock.wall());
    await eventually('the replica to have it', async () => (await atReplica.next()).offset === offset);
    expect(atReplica.samples.at(-1)).toMatchObject({
      role: 'slave',
      primary: { host: '127.0.0.1', port: primary.port, link: 'connected' },
    });
    replica.suspend();
    await primary.kill9();
    replica.resume();
    await eventually('the replica to be alone', () => {
      const last = atReplica.samples.at(-1);
      return last?.role === 'slave' && last.primary.link !== 'connected' && last.offset === undefined;
    });
    expect(atPrimary.losses).toHaveLength(1);
  });

  test('waits for a server that is busy, and tells by the round trip that it was', async () => {
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    await using sampled = new Sampled(primary.port);
    await sampled.next();
    await client.call('DEBUG', 'SLEEP', '0.5');
    await eventually('a late answer', () =>
      sampled.samples.some(({ sentAt, receivedAt }) => receivedAt - sentAt > 250_000),
    );
    expect(sampled.losses).toEqual([]);
    await client.call('DEBUG', 'SLEEP', '2');
    await sampled.next();
    expect(sampled.losses.map(({ code }) => code)).toEqual(['side-silent']);
  });

  test('needs no more than +time +role +multi +exec, and says once when it has less', async () => {
    await using primary = await RedisServer.start(binary);
    await using client = await primary.connect();
    const user = { user: 'sampler', password: 'secret' };
    await client.call('ACL', 'SETUSER', user.user, 'on', `>${user.password}`, '+time', '+role', '+multi', '+exec');
    await using allowed = new Sampled(primary.port, user);
    await allowed.next();
    await client.call('ACL', 'SETUSER', user.user, '-role');
    await using forbidden = new Sampled(primary.port, user);
    await eventually('the refusal', () => forbidden.losses.length > 0);
    expect(forbidden.losses.map(({ code }) => code)).toEqual(['no-permission']);
    expect(forbidden.losses[0]?.message).toMatch(/ROLE/i);
    await using stranger = new Sampled(primary.port, { ...user, password: 'wrong' });
    await eventually('the refusal', () => stranger.losses.length > 0);
    expect(stranger.losses.map(({ code }) => code)).toEqual(['wrong-password']);
  });
});
