// Feed: what a journal between a primary and a replica costs, and how fast it feeds.
//
//   latency      a PUBLISH at the primary until it arrives at a replica of the primary, and at one of the journal, while
//                the primary takes writes: both of the same message                       median at most 2 ms more, durable
//   throughput   one receiver, and ten at once, from the journal's base on, and the same bytes from a stock replica that
//                holds all of them in its backlog (a chain of replicas)
//
// The receivers say PSYNC and count bytes; they share the cores with everybody else.
//
//   node bench/feed.ts [--rounds 5] [--probes 2000] [--rate 5000] [--stream 300000000] [--dir DIR] [--save]
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeCommand } from '../src/redis/commands-out.ts';
import { infoFields } from '../src/redis/info.ts';
import { freePort, RedisServer } from '../test/support/redis-server.ts';
import { pickServer, serverLabel } from '../test/support/servers.ts';
import { attached, caughtUp } from './support/attached.ts';
import { Child } from './support/child.ts';
import { onlyTimeline, requireBuild, runCommand } from './support/journal.ts';
import { type Latency, measureLatency } from './support/latency.ts';
import { describeMachine } from './support/machine.ts';
import { atMost, type Conditions, conditionsOf, formatConditions, publish, table, verdict } from './support/report.ts';
import { formatSpread, spreadOf, type Tail } from './support/statistics.ts';
import { readNumbers } from './support/settings.ts';
import { withWorkspace } from './support/workspace.ts';

interface Settings {
  readonly rounds: number;
  readonly probes: number;
  /** Writes a second beside the probes. */
  readonly rate: number;
  readonly stream: number;
  readonly directory: string;
  readonly save: boolean;
}

/** MB a second, of all receivers together. */
interface Throughput {
  readonly one: number;
  readonly ten: number;
}

interface Round {
  readonly latency: Latency;
  readonly journal: Throughput;
  readonly replica: Throughput;
}

interface Report extends Conditions {
  readonly primary: string;
  readonly settings: Pick<Settings, 'probes' | 'rate' | 'stream'>;
  readonly rounds: readonly Round[];
}

const addedMsMost = 2;
const receivers = 10;
const password = 'of-the-bench';
const backlog = { 'repl-backlog-size': '1gb', 'client-output-buffer-limit': 'replica 0 0 0' };

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  requireBuild();
  return readNumbers({ rounds: 5, probes: 2000, rate: 5000, stream: 300_000_000 });
}

async function measure({ rounds: count, probes, rate, stream }: Settings, parent: string): Promise<Report> {
  const binary = pickServer();
  await using primary = await RedisServer.start(binary, { config: backlog });
  const directory = path.join(parent, 'journal');
  const passwordFile = path.join(parent, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  const port = await freePort();
  const listen = ['--listen', String(port), '--listen-password-file', passwordFile];
  await using _journal = new Child('journal', [...runCommand(directory, primary.port), ...listen]);
  await attached(primary);
  await using direct = await replicaOf(primary.port, binary);
  await using fed = await replicaOf(port, binary, { masterauth: password });
  await fill(primary, stream);
  await caughtUp(primary, directory);
  await level(primary, [direct, fed]);
  const rounds: Round[] = [];
  for (let round = 1; round <= count; round += 1) {
    const latency = await measureLatency(primary, direct, fed, { probes, rate });
    // The replica came a moment later than the journal.
    const held = Number((await replicationOf(direct)).get('repl_backlog_first_byte_offset'));
    const from = Math.max((await onlyTimeline(directory)).base.record.offset + 1, held);
    await caughtUp(primary, directory);
    await level(primary, [direct, fed]);
    const all = { from, to: from + stream - 1, id: await historyOf(primary) };
    const journal = await measureThroughput(port, password, all);
    const replica = await measureThroughput(direct.port, undefined, all);
    rounds.push({ latency, journal, replica });
    console.error(
      `round ${round}/${count}  added p50 ${latency.added.p50.toFixed(2)} ms  ` +
        `journal ${journal.one.toFixed(0)} / ${journal.ten.toFixed(0)} MB/s  replica ${replica.one.toFixed(0)} / ${replica.ten.toFixed(0)} MB/s`,
    );
  }
  const conditions = conditionsOf('feed', describeMachine(parent));
  return { ...conditions, primary: serverLabel(binary), settings: { probes, rate, stream }, rounds };
}

function replicaOf(
  port: number,
  binary: ReturnType<typeof pickServer>,
  config: Readonly<Record<string, string>> = {},
): Promise<RedisServer> {
  return RedisServer.start(binary, { config: { ...backlog, replicaof: `127.0.0.1 ${port}`, ...config } });
}

/** The same keys again and again: what is measured is the stream. */
async function fill(primary: RedisServer, bytes: number): Promise<void> {
  const value = 'v'.repeat(1000);
  const batch = Buffer.concat(Array.from({ length: 500 }, (_, i) => encodeCommand('SET', `key:${i}`, value)));
  const socket = connect(primary.port, '127.0.0.1');
  socket.resume();
  for (let sent = 0; sent < bytes * 1.05; sent += batch.length) {
    if (!socket.write(batch)) await once(socket, 'drain');
  }
  socket.end();
  await once(socket, 'close');
}

interface Stretch {
  readonly id: string;
  readonly from: number;
  readonly to: number;
}

async function measureThroughput(port: number, auth: string | undefined, all: Stretch): Promise<Throughput> {
  return { one: await receiveAll(port, auth, all, 1), ten: await receiveAll(port, auth, all, receivers) };
}

/** MB a second of so many together. */
async function receiveAll(port: number, auth: string | undefined, all: Stretch, count: number): Promise<number> {
  const started = performance.now();
  await Promise.all(Array.from({ length: count }, () => receive(port, auth, all)));
  return ((all.to - all.from + 1) * count) / 1000 / (performance.now() - started);
}

/** PSYNC from the first byte on; resolves when the last one has come. */
async function receive(port: number, auth: string | undefined, { id, from, to }: Stretch): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(Buffer.concat(auth === undefined ? [] : [encodeCommand('AUTH', auth)]));
  socket.write(encodeCommand('REPLCONF', 'capa', 'psync2'));
  const greetings = auth === undefined ? 1 : 2;
  let head = Buffer.alloc(0);
  let isAsked = false;
  let left = to - from + 1;
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => {
      reject(new Error(`the feed ended ${left} bytes too early`));
    });
    const take = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes]);
      const lines = head.toString('latin1').split('\r\n');
      if (!isAsked && lines.length > greetings) {
        isAsked = true;
        socket.write(encodeCommand('PSYNC', id, String(from)));
      }
      if (lines.length <= greetings + 1) return;
      const answer = lines[greetings] ?? '';
      if (!answer.startsWith('+CONTINUE')) reject(new Error(`PSYNC was answered with ${answer}`));
      const behind = lines.slice(0, greetings + 1).join('\r\n').length + 2;
      socket.off('data', take);
      const count = (more: Buffer): void => {
        left -= more.length;
        if (left <= 0) resolve();
      };
      socket.on('data', count);
      count(head.subarray(behind));
    };
    socket.on('data', take);
  });
  socket.destroy();
}

async function historyOf(server: RedisServer): Promise<string> {
  return (await replicationOf(server)).get('master_replid') ?? '';
}

async function level(primary: RedisServer, replicas: readonly RedisServer[]): Promise<void> {
  for (const replica of replicas) {
    for (;;) {
      const [theirs, ours] = await Promise.all([replicationOf(primary), replicationOf(replica)]);
      if (Number(ours.get('slave_repl_offset')) >= Number(theirs.get('master_repl_offset'))) break;
      await sleep(50);
    }
  }
}

async function replicationOf(server: RedisServer): Promise<ReadonlyMap<string, string>> {
  await using client = await server.connect();
  return infoFields(await client.text('INFO', 'replication'));
}

function formatReport(result: Report): string[] {
  const { rounds, settings: asked } = result;
  const spread = (of: (round: Round) => number, digits = 2): string => formatSpread(spreadOf(rounds.map(of)), digits);
  const tails = (name: string, of: (round: Round) => Tail): readonly string[] => [
    name,
    ...(['p50', 'p90', 'p99', 'max'] as const).map((which) => spread((round) => of(round)[which])),
  ];
  const added = spreadOf(rounds.map(({ latency }) => latency.added.p50)).median;
  const mb = (of: (round: Round) => number): string => spread(of, 0);
  return [
    '# Feed',
    '',
    `${asked.probes} messages a round beside ${asked.rate} SETs a second; then ${asked.stream / 1e6} MB of stream to one receiver,`,
    `and to ${receivers} at once. Median (least–most) of ${rounds.length} rounds; ${result.primary}.`,
    '',
    formatConditions(result),
    '',
    ...table(
      ['ms from PUBLISH to arrival', 'p50', 'p90', 'p99', 'max'],
      [
        tails('primary → replica', ({ latency }) => latency.direct),
        tails('primary → journal → replica', ({ latency }) => latency.fed),
        tails('the same message, later by', ({ latency }) => latency.added),
      ],
    ),
    '',
    ...table(
      ['MB/s, all together', 'one', String(receivers)],
      [
        ['journal', mb(({ journal }) => journal.one), mb(({ journal }) => journal.ten)],
        ['stock replica, from its backlog', mb(({ replica }) => replica.one), mb(({ replica }) => replica.ten)],
      ],
    ),
    '',
    `- added by the journal, median: ${added.toFixed(2)} ms; ${verdict(added, addedMsMost, atMost)}`,
  ];
}
