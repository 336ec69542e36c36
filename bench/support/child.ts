// A process that takes part in a benchmark: started, watched, measured from outside, and ended. It is on the leash of
// the tests, so that it ends with us however we end.
// Neighbours: firehose.ts and contestants.ts say what is started.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { leash } from '../../test/support/leash.ts';

export type CommandLine = readonly [program: string, ...args: string[]];

export interface ChildOptions {
  readonly cwd?: string;
  /** It ends when its work is done; the others end when they are told to, and have failed when they do so before. */
  readonly endsByItself?: boolean;
}

/** Of a process, in bytes; what it had at most, and what it has now. */
export interface Memory {
  readonly peak: number;
  readonly now: number;
  /** Without what it shares with files, its own program among them. */
  readonly anonymous: number;
}

const stopPatienceMs = 60_000;

export class Child implements AsyncDisposable {
  readonly name: string;
  /** Rejects when it ends without having been told to, with its last words; else stays as it is. */
  readonly failed: Promise<never>;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string> | undefined;
  #lastWords = '';
  #isToldToEnd = false;

  /** With `reads: 'lines'` its standard output is for nextLine(); else it is kept as last words, like its errors. */
  constructor(
    name: string,
    [program, ...args]: CommandLine,
    options: ChildOptions & { readonly reads?: 'lines' } = {},
  ) {
    this.name = name;
    const { cwd, reads } = options;
    this.#process = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(cwd !== undefined && { cwd }) });
    leash(this.#process);
    const { stdout, stderr } = this.#process;
    if (reads === 'lines' && stdout !== null) this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    for (const output of reads === 'lines' ? [stderr] : [stdout, stderr]) {
      output?.on('data', (chunk: Buffer) => {
        this.#lastWords = (this.#lastWords + chunk.toString()).slice(-2000);
      });
    }
    this.failed = this.#failure(options.endsByItself === true);
    // Nobody may be waiting yet, or any more, when it fails.
    this.failed.catch(() => undefined);
  }

  /** Rejects when there are no more. */
  async nextLine(): Promise<string> {
    const line = await this.#lines?.next();
    if (line === undefined || line.done === true) throw new Error(`${this.name} ended: ${this.#lastWords}`);
    return line.value;
  }

  /** Undefined where the system does not tell, or it has ended. */
  memory(): Memory | undefined {
    const status = readProcFile(this.#process.pid, 'status');
    if (status?.includes('VmHWM:') !== true) return undefined;
    const bytes = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024;
    return { peak: bytes('VmHWM'), now: bytes('VmRSS'), anonymous: bytes('RssAnon') };
  }

  /** Processor time so far, all threads together; 0 where the system does not tell. */
  cpuSeconds(): number {
    // The name, in parentheses, may hold blanks: count behind it. Ticks are hundredths on every Linux there is.
    const fields =
      readProcFile(this.#process.pid, 'stat')
        ?.replace(/^.*\) /s, '')
        .split(' ') ?? [];
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
  }

  /** Waits for it to end by itself, then tells it to. Throws when it fails, or does not come to an end. */
  async stop(patienceMs = 0): Promise<void> {
    const exited = this.#hasEnded() ? Promise.resolve() : once(this.#process, 'exit');
    if (patienceMs > 0) await Promise.race([exited, sleep(patienceMs, undefined, { ref: false })]);
    if (!this.#hasEnded()) {
      this.#isToldToEnd = true;
      this.#process.kill('SIGTERM');
    }
    await Promise.race([exited, sleep(stopPatienceMs, undefined, { ref: false })]);
    const { exitCode, signalCode } = this.#process;
    if (!this.#hasEnded()) throw new Error(`${this.name} did not end within ${stopPatienceMs / 1000} s`);
    if (exitCode === 0 || signalCode === 'SIGTERM') return;
    throw new Error(`${this.name} ended with ${exitCode ?? signalCode ?? 'nothing'}: ${this.#lastWords}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded()) return;
    this.#isToldToEnd = true;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }

  async #failure(endsByItself: boolean): Promise<never> {
    const end = await new Promise<number | string>((resolve) => {
      this.#process.once('error', (error) => resolve(error.message));
      this.#process.once('close', (status, signal) => resolve(status ?? signal ?? 'gone'));
    });
    if (this.#isToldToEnd || (end === 0 && endsByItself)) return new Promise<never>(() => {});
    throw new Error(`${this.name} ended early (${end}): ${this.#lastWords}`);
  }

  #hasEnded(): boolean {
    const { pid, exitCode, signalCode } = this.#process;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }
}

function readProcFile(pid: number | undefined, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid ?? 0}/${name}`, 'utf8');
  } catch {
    return undefined;
  }
}
