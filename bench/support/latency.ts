// Latency of two ways for the same messages: PUBLISHes at a primary, beside SETs, dated on arrival at a replica of either way.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { type Tail, tailOf } from './statistics.ts';
import { Subscriber } from './subscriber.ts';

/** Milliseconds of each, and by how much the second was later for the same message. */
export interface Latency {
  readonly direct: Tail;
  readonly fed: Tail;
  readonly added: Tail;
}

export interface LatencySettings {
  readonly probes: number;
  /** Writes a second beside the probes. */
  readonly rate: number;
}

interface Listening {
  readonly port: number;
}

const channel = 'probe';

export async function measureLatency(
  primary: Listening,
  direct: Listening,
  fed: Listening,
  { probes, rate }: LatencySettings,
): Promise<Latency> {
  const sentAt: number[] = [];
  const arrivals = { direct: new Float64Array(probes), fed: new Float64Array(probes) };
  await using nearer = await Subscriber.to(direct.port, channel, (n) => (arrivals.direct[n] = performance.now()));
  await using farther = await Subscriber.to(fed.port, channel, (n) => (arrivals.fed[n] = performance.now()));
  const socket = connect(primary.port, '127.0.0.1');
  socket.setNoDelay(true);
  socket.resume();
  const everyMs = 5;
  const load = Buffer.concat(
    Array.from({ length: (rate * everyMs) / 1000 }, (_, i) => encodeCommand('SET', `load:${i}`, 'v'.repeat(100))),
  );
  for (let n = 0; n < probes; n += 1) {
    socket.write(load);
    sentAt.push(performance.now());
    socket.write(encodeCommand('PUBLISH', channel, String(n)));
    // Out of step with any timer.
    await sleep(everyMs + Math.random() * 2);
  }
  await Promise.all([nearer.got(probes), farther.got(probes)]);
  socket.destroy();
  const after = (times: Float64Array): number[] => sentAt.map((sent, n) => (times[n] ?? 0) - sent);
  const added = sentAt.map((_, n) => (arrivals.fed[n] ?? 0) - (arrivals.direct[n] ?? 0));
  return { direct: tailOf(after(arrivals.direct)), fed: tailOf(after(arrivals.fed)), added: tailOf(added) };
}
