// One run of the ingest benchmark: a fresh firehose, one contestant attached to it, an empty directory, and the time
// from the first byte sent to the acknowledgement of the last SET, taken by the sender alone, so that every contestant
// is measured by the same clock and the same event.
// Neighbours: firehose.c says what is sent, contestants.ts who receives.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contestant } from './contestants.ts';

export interface RunResult {
  readonly bytes: number;
  readonly commands: number;
  readonly seconds: number;
  readonly mbPerSecond: number;
  readonly commandsPerSecond: number;
  /** Processor time of the sender: what the contestant could not use. */
  readonly senderCpuSeconds: number;
  /** Of the contestant, at the moment of the last acknowledgement; absent where the system doesn't tell. */
  readonly peakMemoryMb?: number;
}

export interface RunOptions {
  readonly firehose: string;
  readonly bytes: number;
  /** Where an empty directory is made for the run; on the disk that is to be measured. */
  readonly parent: string;
  readonly timeoutSeconds: number;
}

export async function runOnce(contestant: Contestant, options: RunOptions): Promise<RunResult> {
  const directory = mkdtempSync(path.join(options.parent, `${contestant.name}-`));
  const firehose = spawn(options.firehose, [String(options.bytes)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let receiving: ChildProcess | undefined;
  try {
    const events = readEvents(firehose);
    const { port, streamBytes } = await nextEvent(events, 'listening');
    const [program, ...args] = contestant.command({ port: port ?? 0, directory, streamBytes: streamBytes ?? 0 });
    receiving = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const acknowledged = nextEvent(events, 'acknowledged');
    const event = await Promise.race([acknowledged, failure(receiving, contestant), timeout(contestant, options)]);
    return { ...toResult(event), ...peakMemory(receiving) };
  } finally {
    if (receiving !== undefined) await end(receiving, contestant.endsByItself ? 5000 : 0);
    await end(firehose, 0);
    rmSync(directory, { recursive: true, force: true });
    // What one contestant left in the page cache must not be written out at the next one's expense.
    spawnSync('sync');
  }
}

type FirehoseEvent = Readonly<Partial<Record<string, number>>>;

/** The lines of the firehose, in turn. */
function readEvents(firehose: ChildProcess): AsyncIterator<string> {
  if (firehose.stdout === null) throw new Error('the firehose has no standard output');
  return createInterface({ input: firehose.stdout })[Symbol.asyncIterator]();
}

async function nextEvent(events: AsyncIterator<string>, name: string): Promise<FirehoseEvent> {
  const line = await events.next();
  if (line.done === true) throw new Error(`the firehose ended before it was ${name}`);
  const event = JSON.parse(line.value) as { readonly event: string } & FirehoseEvent;
  if (event.event !== name) throw new Error(`the firehose said ${event.event} instead of ${name}`);
  return event;
}

function toResult(event: FirehoseEvent): RunResult {
  const { bytes = 0, commands = 0, secondsFromFirstByteToFinalAck: seconds = 0, senderCpuSeconds = 0 } = event;
  return {
    bytes,
    commands,
    seconds,
    mbPerSecond: bytes / 1e6 / seconds,
    commandsPerSecond: commands / seconds,
    senderCpuSeconds,
  };
}

/** Rejects when the contestant fails, with its last words; a contestant that ends well may still be ahead of us. */
async function failure(receiving: ChildProcess, contestant: Contestant): Promise<never> {
  let words = '';
  for (const output of [receiving.stdout, receiving.stderr]) {
    output?.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-2000);
    });
  }
  const code = await new Promise<number | string>((resolve) => {
    receiving.once('error', (error) => resolve(error.message));
    receiving.once('close', (status, signal) => resolve(status ?? signal ?? 'gone'));
  });
  if (code === 0 && contestant.endsByItself) return new Promise<never>(() => {});
  throw new Error(`${contestant.name} ended early (${code}): ${words}`);
}

async function timeout(contestant: Contestant, { timeoutSeconds }: RunOptions): Promise<never> {
  await sleep(timeoutSeconds * 1000, undefined, { ref: false });
  throw new Error(`${contestant.name} did not acknowledge everything within ${timeoutSeconds} s`);
}

function peakMemory(child: ChildProcess): { peakMemoryMb?: number } {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? {} : { peakMemoryMb: Math.round((Number(kilobytes) * 1024) / 1e6) };
  } catch {
    return {};
  }
}

async function end(child: ChildProcess, patienceMs: number): Promise<void> {
  if (hasEnded(child)) return;
  const exited = once(child, 'exit');
  if (patienceMs > 0) await Promise.race([exited, sleep(patienceMs)]);
  if (!hasEnded(child)) child.kill('SIGTERM');
  await Promise.race([exited, sleep(30_000, undefined, { ref: false })]);
  if (!hasEnded(child)) child.kill('SIGKILL');
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}
