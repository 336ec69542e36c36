// The command line, called inside the test process, with streams that keep what is written to them.
import { systemClock } from '../../src/core/clock.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { runCli } from '../../src/cli/run-cli.ts';
import { localDisk } from '../../src/storage/local-disk.ts';

export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions extends Partial<Pick<CliIo, 'env' | 'clock' | 'signal' | 'disk' | 'ask' | 'stdin'>> {
  /** Both streams are a terminal. */
  readonly isTerminal?: boolean;
}

export class KeepingStream {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 100;

  constructor(isTerminal: boolean) {
    this.isTTY = isTerminal;
  }

  write(text: string | Uint8Array, taken?: () => void): boolean {
    this.text += typeof text === 'string' ? text : Buffer.from(text).toString('latin1');
    taken?.();
    return true;
  }
}

export async function cli(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { env = {}, clock = systemClock, disk = localDisk, isTerminal = false } = options;
  const stdout = new KeepingStream(isTerminal);
  const stderr = new KeepingStream(isTerminal);
  const signal = options.signal ?? new AbortController().signal;
  const exitCode = await runCli(argv, {
    stdout,
    stderr,
    stdin: options.stdin,
    env,
    disk,
    clock,
    signal,
    ask: options.ask,
  });
  return { exitCode, stdout: stdout.text, stderr: stderr.text };
}

/** What --json printed. */
export function json(result: CliResult): Readonly<Record<string, unknown>> {
  return JSON.parse(result.stdout) as Readonly<Record<string, unknown>>;
}

export interface JsonError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly exitCode: number;
}

/** The error document on stderr. */
export function jsonError(result: CliResult): JsonError {
  return (JSON.parse(result.stderr) as { readonly error: JsonError }).error;
}
