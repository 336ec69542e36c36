// Memory: the most that `journal run` ever has resident, as a whole process with all its threads, while it takes an RDB
// and then a stream as fast as it can, and seals behind. Budget: at most 200 MB, whatever the sizes. Watched from
// outside: the kernel's high-water mark, and twice a second a listing of the journal, which shows how far sealing is
// behind (it may be, with the disk as its bound; capture may not: the sender is slowed by the socket to what becomes
// durable). Then the sealer is given time to catch up, what was kept is compared with what was sent, and verified.
//
//   node bench/memory.ts [--rdb 2000000000] [--bytes 10000000000] [--rate 0] [--dir DIR] [--save]
//
// --rate limits the stream to so many SETs of 144 bytes a second. Needs disk for the RDB and twice the stream.
import { mkdirSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, type Memory } from './support/child.ts';
import { bytesOf, Firehose, type Flow } from './support/firehose.ts';
import { type Files, listFiles, requireBuild, requireSound, runCommand, streamBytes } from './support/journal.ts';
import { requireSame } from './support/kept.ts';
import { describeMachine } from './support/machine.ts';
import { compilePrograms } from './support/programs.ts';
import { atMost, type Conditions, conditionsOf, formatConditions, publish, table, verdict } from './support/report.ts';
import { type Sample, Sampler } from './support/sampler.ts';
import { readNumbers } from './support/settings.ts';
import { withWorkspace } from './support/workspace.ts';

interface Report extends Conditions {
  readonly flow: Flow;
  readonly rdb: { readonly bytes: number; readonly secondsReceived: number; readonly secondsAcknowledged: number };
  readonly stream: { readonly bytes: number; readonly seconds: number };
  /** Until no completed segment was left open. */
  readonly secondsBehind: number;
  readonly cpuSeconds: number;
  readonly peak: Memory;
  readonly samples: readonly Sample[];
  readonly left: Files;
}

const budgetMb = 200;
const timeoutSeconds = 1800;
const rowsMax = 20;

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings.flow, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): { readonly flow: Flow; readonly directory: string; readonly save: boolean } {
  requireBuild();
  const { bytes, rdb: rdbBytes, rate, directory, save } = readNumbers({ rdb: 2e9, bytes: 1e10, rate: 0 });
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize < rdbBytes + 2.2 * bytes) throw new Error(`not enough free space in ${directory}`);
  return { flow: { bytes, rdbBytes, ...(rate > 0 && { rate }) }, directory, save };
}

async function measure(flow: Flow, parent: string): Promise<Report> {
  const { firehose: program } = compilePrograms(parent);
  const directory = path.join(parent, 'journal');
  mkdirSync(directory);
  await using firehose = await Firehose.start(program, flow);
  await using child = new Child('journal', runCommand(directory, firehose.listening.port));
  const sampler = new Sampler(child, directory);
  const watched = <T>(event: Promise<T>): Promise<T> => Promise.race([event, child.failed, timeout()]);
  const sent = await watched(firehose.next('rdb-sent'));
  const whole = await watched(firehose.next('rdb-acknowledged'));
  sampler.phase = 'stream';
  const { bytes, secondsFromFirstByteToFinalAck: seconds } = await watched(firehose.next('acknowledged'));
  sampler.phase = 'behind';
  const secondsBehind = await watched(caughtUp(directory));
  const { samples, peak } = sampler.end();
  const cpuSeconds = child.cpuSeconds();
  await child.stop();
  const left = listFiles(directory);
  if (left.rdbBytes !== whole.bytes) throw new Error(`${left.rdbBytes} bytes of RDB were kept of ${whole.bytes}`);
  console.error('comparing what was kept with what was sent');
  await requireSame(streamBytes(directory), bytesOf(program, flow));
  await requireSound(directory);
  return {
    ...conditionsOf('memory', describeMachine(parent)),
    flow,
    rdb: {
      bytes: whole.bytes,
      secondsReceived: sent.secondsFromFirstRdbByte,
      secondsAcknowledged: whole.secondsFromFirstRdbByte,
    },
    stream: { bytes, seconds },
    ...{ secondsBehind, cpuSeconds, peak, samples, left },
  };
}

/** Only the segment that is being written is left open. */
async function caughtUp(directory: string): Promise<number> {
  const begun = performance.now();
  while (listFiles(directory).openSegments > 1) await sleep(100);
  return (performance.now() - begun) / 1000;
}

async function timeout(): Promise<never> {
  await sleep(timeoutSeconds * 1000, undefined, { ref: false });
  throw new Error(`not done within ${timeoutSeconds} s`);
}

function formatReport(result: Report): string[] {
  const { flow, rdb, stream, peak, samples, left, secondsBehind, cpuSeconds } = result;
  const speed = (bytes: number, seconds: number): string => `${(bytes / 1e6 / seconds).toFixed(0)} MB/s`;
  const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  const limit = flow.rate === undefined ? 'as fast as the socket took it' : `at ${flow.rate} SETs a second`;
  const backlog = Math.max(...samples.map(({ openBytes }) => openBytes));
  const total = left.openBytes + left.sealedBytes;
  return [
    '# Memory',
    '',
    `An RDB of ${gb(rdb.bytes)}, sent without its length, then ${gb(stream.bytes)} of stream, ${limit}.`,
    'Sender, capture and sealing share the cores.',
    '',
    formatConditions(result),
    '',
    `- resident at most: ${mb(peak.peak)} MB; ${verdict(mb(peak.peak), budgetMb, atMost)}`,
    `  (as sampled: ${mb(peak.now)} MB, of it ${mb(peak.anonymous)} MB anonymous)`,
    `- RDB: ${speed(rdb.bytes, rdb.secondsReceived)} received,`,
    `  ${speed(rdb.bytes, rdb.secondsAcknowledged)} until checked, durable, published and acknowledged`,
    `- stream: ${speed(stream.bytes, stream.seconds)} until durable and acknowledged`,
    `- not yet sealed at most: ${gb(backlog)}; all sealed ${secondsBehind.toFixed(1)} s after the last acknowledgement`,
    `- disk in the end: ${gb(total)} for ${gb(stream.bytes)} of stream (${(total / stream.bytes).toFixed(2)}), and the RDB`,
    `- processor: ${cpuSeconds.toFixed(1)} s`,
    '',
    ...table(
      ['s', 'phase', 'durable, GB', 'resident, MB', 'open segments', 'not yet sealed, GB', 'sealed, GB'],
      thinned(samples).map((sample) => [
        sample.seconds.toFixed(1),
        sample.phase,
        (sample.durable / 1e9).toFixed(2),
        sample.memory === undefined ? '' : mb(sample.memory.now),
        sample.openSegments,
        (sample.openBytes / 1e9).toFixed(2),
        (sample.sealedBytes / 1e9).toFixed(2),
      ]),
    ),
  ];
}

function mb(bytes: number): number {
  return Math.round(bytes / 1e6);
}

function thinned(samples: readonly Sample[]): readonly Sample[] {
  const step = Math.ceil(samples.length / rowsMax);
  return samples.filter((_, i) => i % step === 0 || i === samples.length - 1);
}
