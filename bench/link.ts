// Link: what the link between two journals gains and costs.
//
//   transfer   a second journal that follows the first from nothing: its base, then the stream that has come since, over the link
//              and in the plain protocol (the word for the link is altered on the way), in turns; what went over the line,
//              and the processor time of either journal, all threads together
//   latency    a PUBLISH at the primary until it arrives at a replica of the near journal and at one of the far journal, while
//              the primary takes writes: both of the same message
//
// All goes through one proxy that counts, and shares the cores with everybody else.
//
//   node bench/link.ts [--rounds 3] [--base 100000000] [--stream 200000000] [--probes 2000] [--rate 5000] [--dir DIR] [--save]
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeCommand } from '../src/redis/commands-out.ts';
import { infoFields } from '../src/redis/info.ts';
import { freePort, RedisServer } from '../test/support/redis-server.ts';
import { pickServer, serverLabel } from '../test/support/servers.ts';
import { attached, caughtUp } from './support/attached.ts';
import { Child } from './support/child.ts';
import { CountingDoor } from './support/counting-door.ts';
import { onlyTimeline, requireBuild, requireSound, runCommand } from './support/journal.ts';
import { type Latency, measureLatency } from './support/latency.ts';
import { describeMachine } from './support/machine.ts';
import { type Conditions, conditionsOf, formatConditions, publish, table } from './support/report.ts';
import { formatSpread, spreadOf, type Tail } from './support/statistics.ts';
import { readNumbers } from './support/settings.ts';
import { withWorkspace } from './support/workspace.ts';

/** Of one way, for one workload. */
interface Transfer {
  /** MB a second, as it is in the journals. */
  readonly base: number;
  readonly stream: number;
  /** Bytes on the line for a byte of base and stream. */
  readonly wire: number;
  /** Seconds for a GB. */
  readonly nearCpu: number;
  readonly farCpu: number;
}

interface Round {
  readonly transfers: Readonly<Record<string, { readonly link: Transfer; readonly plain: Transfer }>>;
  readonly latency: Latency;
}

interface Report extends Conditions {
  readonly primary: string;
  readonly settings: { readonly base: number; readonly stream: number; readonly probes: number; readonly rate: number };
  readonly rounds: readonly Round[];
}

const workloads: readonly (readonly [label: string, value: (n: number) => string])[] = [
  ['SET, 100 random characters', () => randomBytes(50).toString('hex')],
  ['SET, a session of JSON, 300 characters', session],
  ['SET, 1,000 equal characters', () => 'v'.repeat(1000)],
];
/** REPLCONF GETACK *, in the stream. */
const askedBytes = 37;
const password = 'of-the-bench';
const backlog = { 'repl-backlog-size': '512mb', 'client-output-buffer-limit': 'replica 0 0 0' };

requireBuild();
const settings = readNumbers({ rounds: 3, base: 100_000_000, stream: 200_000_000, probes: 2000, rate: 5000 });
const report = await withWorkspace(settings.directory, measure);
publish(report, formatReport(report), settings.save);

async function measure(parent: string): Promise<Report> {
  const { base, stream, probes, rate } = settings;
  const passwordFile = path.join(parent, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  const rounds: Round[] = [];
  for (let round = 1; round <= settings.rounds; round += 1) {
    const transfers: Record<string, { link: Transfer; plain: Transfer }> = {};
    for (const [label, value] of workloads) {
      transfers[label] = await measureWorkload(value, parent, passwordFile);
      const { link, plain } = transfers[label];
      console.error(
        `round ${round}  ${label}: base ${link.base.toFixed(0)} / ${plain.base.toFixed(0)} MB/s, ` +
          `stream ${link.stream.toFixed(0)} / ${plain.stream.toFixed(0)} MB/s, line ${link.wire.toFixed(3)}`,
      );
    }
    rounds.push({ transfers, latency: await latencyOfHop(parent, passwordFile) });
  }
  const conditions = conditionsOf('link', describeMachine(parent));
  return { ...conditions, primary: serverLabel(pickServer()), settings: { base, stream, probes, rate }, rounds };
}

async function measureWorkload(
  value: (n: number) => string,
  parent: string,
  passwordFile: string,
): Promise<{ link: Transfer; plain: Transfer }> {
  await using primary = await RedisServer.start(pickServer(), { config: backlog });
  await fill(primary, value, settings.base);
  const dir = path.join(parent, 'near');
  const port = await freePort();
  await using near = startNear(dir, primary, port, passwordFile);
  await attached(primary);
  await fill(primary, value, settings.stream);
  const end = await ended(primary);
  await caughtUp(primary, dir);
  const { base } = await onlyTimeline(dir);
  const bytes = { base: base.record.size, stream: end - base.record.offset };
  const way = { near, port, end, bytes, dir: path.join(parent, 'far'), passwordFile };
  const plain = await transfer({ ...way, hasLink: false });
  const link = await transfer({ ...way, hasLink: true });
  await near.stop();
  rmSync(dir, { recursive: true });
  return { link, plain };
}

function startNear(dir: string, primary: RedisServer, port: number, passwordFile: string): Child {
  const listen = ['--listen', String(port), '--listen-password-file', passwordFile];
  return new Child('near', [...runCommand(dir, primary.port), ...listen]);
}

interface Way {
  readonly near: Child;
  readonly port: number;
  readonly end: number;
  readonly bytes: { readonly base: number; readonly stream: number };
  readonly dir: string;
  readonly passwordFile: string;
  readonly hasLink: boolean;
}

async function transfer({ near, port, end, bytes, dir, passwordFile, hasLink }: Way): Promise<Transfer> {
  await using door = await CountingDoor.open(port, hasLink, end);
  const before = near.cpuSeconds();
  await using far = new Child('far', [...runCommand(dir, door.port), '--password-file', passwordFile]);
  const passed = await Promise.race([door.done(), far.failed]);
  const [nearCpu, farCpu] = [near.cpuSeconds() - before, far.cpuSeconds()];
  await far.stop();
  await requireSound(dir);
  rmSync(dir, { recursive: true });
  const gigabytes = (bytes.base + bytes.stream) / 1e9;
  return {
    base: bytes.base / 1000 / (passed.base - passed.asked),
    stream: bytes.stream / 1000 / (passed.end - passed.base),
    wire: door.forwarded / (bytes.base + bytes.stream),
    nearCpu: nearCpu / gigabytes,
    farCpu: farCpu / gigabytes,
  };
}

async function latencyOfHop(parent: string, passwordFile: string): Promise<Latency> {
  await using primary = await RedisServer.start(pickServer(), { config: backlog });
  const [nearPort, farPort] = [await freePort(), await freePort()];
  const [nearDir, farDir] = [path.join(parent, 'near'), path.join(parent, 'far')];
  await using near = startNear(nearDir, primary, nearPort, passwordFile);
  await attached(primary);
  const listen = ['--listen', String(farPort), '--listen-password-file', passwordFile];
  const far = ['--password-file', passwordFile, ...listen];
  await using farther = new Child('far', [...runCommand(farDir, nearPort), ...far]);
  await caughtUp(primary, farDir);
  await using direct = await replicaOf(nearPort);
  await using fed = await replicaOf(farPort);
  const latency = await measureLatency(primary, direct, fed, settings);
  await Promise.all([near.stop(), farther.stop()]);
  for (const dir of [nearDir, farDir]) rmSync(dir, { recursive: true });
  return latency;
}

/** It has what the journal has. */
async function replicaOf(port: number): Promise<RedisServer> {
  const config = { replicaof: `127.0.0.1 ${port}`, masterauth: password };
  const replica = await RedisServer.start(pickServer(), { config });
  await using client = await replica.connect();
  while (!(await client.text('INFO', 'replication')).includes('master_link_status:up')) await sleep(50);
  return replica;
}

/** The last byte that the primary has written. Behind it is a question that each follower answers at once. */
async function ended(primary: RedisServer): Promise<number> {
  await using client = await primary.connect();
  await client.call('WAIT', 1, 10_000);
  return Number(infoFields(await client.text('INFO', 'replication')).get('master_repl_offset')) - askedBytes;
}

/** Commands of so many bytes, on keys of which a third is overwritten. */
async function fill(primary: RedisServer, value: (n: number) => string, bytes: number): Promise<void> {
  const socket = connect(primary.port, '127.0.0.1');
  socket.resume();
  for (let [sent, n] = [0, 0]; sent < bytes;) {
    const batch = Buffer.concat(
      Array.from({ length: 500 }, () => encodeCommand('SET', `key:${(n * 2 + 1) % 1_500_000}`, value((n += 1)))),
    );
    sent += batch.length;
    if (!socket.write(batch)) await once(socket, 'drain');
  }
  socket.end();
  await once(socket, 'close');
}

/** As applications keep them: names that repeat, and values that do not. */
function session(n: number): string {
  const at = new Date(1_790_000_000_000 + n * 137).toISOString();
  const items = [n % 997, (n * 7) % 991, (n * 31) % 983].map((sku) => ({
    sku: `SKU-${sku}`,
    count: sku % 5,
    price: sku * 17,
  }));
  return JSON.stringify({
    user: `user-${(n * 7919) % 100_003}`,
    token: randomBytes(12).toString('hex'),
    at,
    locale: 'en-GB',
    items,
  });
}

function formatReport({ rounds, settings: asked, ...conditions }: Report): string[] {
  const rows = workloads.flatMap(([label]) =>
    (['link', 'plain'] as const).map((way) => {
      const spread = (of: (transfer: Transfer) => number, digits: number): string =>
        formatSpread(spreadOf(rounds.map(({ transfers }) => of(requireOf(transfers, label)[way]))), digits);
      return [
        `${label}: ${way}`,
        spread(({ base }) => base, 0),
        spread(({ stream }) => stream, 0),
        spread(({ wire }) => wire, 3),
        spread(({ nearCpu }) => nearCpu, 1),
        spread(({ farCpu }) => farCpu, 1),
      ];
    }),
  );
  const ratios = workloads.map(([label]) => {
    const ratio = (of: (transfer: Transfer) => number): string =>
      formatSpread(
        spreadOf(
          rounds.map(({ transfers }) => of(requireOf(transfers, label).link) / of(requireOf(transfers, label).plain)),
        ),
        2,
      );
    return [label, ratio(({ base }) => base), ratio(({ stream }) => stream)];
  });
  const tails = (name: string, of: (latency: Latency) => Tail): readonly string[] => [
    name,
    ...(['p50', 'p90', 'p99', 'max'] as const).map((which) =>
      formatSpread(spreadOf(rounds.map(({ latency }) => of(latency)[which])), 2),
    ),
  ];
  return [
    '# Link',
    '',
    `A base of ${asked.base / 1e6} MB of commands, and ${asked.stream / 1e6} MB of stream; ${asked.probes} messages beside ${asked.rate} SETs a second.`,
    `Median (least–most) of ${rounds.length} rounds; ${conditions.primary}.`,
    '',
    formatConditions(conditions),
    '',
    ...table(['way', 'base MB/s', 'stream MB/s', 'line bytes a byte', 'near s/GB', 'far s/GB'], rows),
    '',
    ...table(['link / plain', 'base', 'stream'], ratios),
    '',
    ...table(
      ['ms from PUBLISH to arrival', 'p50', 'p90', 'p99', 'max'],
      [
        tails('at a replica of the near journal', ({ direct }) => direct),
        tails('at a replica of the far journal', ({ fed }) => fed),
        tails('the same message, later by', ({ added }) => added),
      ],
    ),
  ];
}

function requireOf<T>(transfers: Readonly<Record<string, T>>, label: string): T {
  const found = transfers[label];
  if (found === undefined) throw new Error(`nothing was measured for ${label}`);
  return found;
}
