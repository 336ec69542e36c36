// One run: a fresh firehose, one contestant attached to it, an empty directory, and times taken by the sender alone, so
// that every contestant is measured by the same clock and the same events. What it kept is compared with what was sent.
// Neighbours: firehose.c says what is sent, contestants.ts who receives.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.ts';
import type { Contestant } from './contestants.ts';
import { bytesOf, Firehose, type Flow } from './firehose.ts';

export interface RunResult {
  readonly bytes: number;
  readonly commands: number;
  readonly seconds: number;
  readonly mbPerSecond: number;
  readonly commandsPerSecond: number;
  readonly senderCpuSeconds: number;
  /** Of the contestant, all its threads. */
  readonly cpuSeconds: number;
  readonly lagMicros: readonly number[];
  readonly senderLateMicros: readonly number[];
  /** Of the contestant, at the moment of the last acknowledgement; absent where the system doesn't tell. */
  readonly peakMemoryMb?: number;
}

export interface RunOptions {
  readonly firehose: string;
  readonly flow: Flow;
  /** Where an empty directory is made for the run; on the disk that is to be measured. */
  readonly parent: string;
  readonly timeoutSeconds: number;
}

export async function runOnce(contestant: Contestant, options: RunOptions): Promise<RunResult> {
  const { firehose: program, flow, parent, timeoutSeconds } = options;
  const directory = mkdtempSync(path.join(parent, `${contestant.name}-`));
  try {
    await using firehose = await Firehose.start(program, flow);
    const { port, streamBytes } = firehose.listening;
    const to = { port, directory, streamBytes };
    await using child = new Child(contestant.name, contestant.command(to), contestant);
    const event = await Promise.race([
      firehose.next('acknowledged'),
      child.failed,
      timeout(contestant.name, timeoutSeconds),
    ]);
    const memory = child.memory();
    const cpuSeconds = child.cpuSeconds();
    await child.stop(contestant.endsByItself ? 5000 : 0);
    await contestant.check(to, bytesOf(program, flow));
    const { bytes, commands, secondsFromFirstByteToFinalAck: seconds } = event;
    const { senderCpuSeconds, lagMicros, senderLateMicros } = event;
    return {
      ...{ bytes, commands, seconds, senderCpuSeconds, cpuSeconds, lagMicros, senderLateMicros },
      mbPerSecond: bytes / 1e6 / seconds,
      commandsPerSecond: commands / seconds,
      ...(memory !== undefined && { peakMemoryMb: Math.round(memory.peak / 1e6) }),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
    flushDisk();
  }
}

/** What one contestant left in the page cache must not be written out at the next one's expense. */
export function flushDisk(): void {
  spawnSync('sync');
}

async function timeout(name: string, seconds: number): Promise<never> {
  await sleep(seconds * 1000, undefined, { ref: false });
  throw new Error(`${name} did not acknowledge everything within ${seconds} s`);
}
