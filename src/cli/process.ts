/**
 * The process around runCli: its streams, environment, signals and exit. The only place where the command line touches
 * globals; tests call runCli with streams of their own.
 *
 * The first SIGINT or SIGTERM asks the verb to finish in good order, a second one ends the process at once. SIGHUP is
 * left alone: who starts us with nohup wants it ignored, and what was acknowledged survives any end.
 */
import { createInterface } from 'node:readline/promises';
import { systemClock } from '../core/clock.ts';
import { InterruptedError } from '../core/errors.ts';
import { localDisk } from '../storage/local-disk.ts';
import { runCli, tellFailure } from './run-cli.ts';

const exitInterrupted = 130;

export async function runProcess(): Promise<void> {
  const stopping = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (stopping.signal.aborted) process.exit(exitInterrupted);
      stopping.abort(new InterruptedError(`stopped by ${name}`));
    });
  }
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreClosedPipe);
  const argv = process.argv.slice(2);
  const { stdout, stderr, stdin, env } = process;
  const { signal } = stopping;
  const ask = stdin.isTTY && stderr.isTTY ? (text: string) => askAtTerminal(text, signal) : undefined;
  const io = { stdout, stderr, stdin, env, disk: localDisk, clock: systemClock, signal, ask };
  // What no verb caught, in a callback for example: it is told like every error, and nothing goes on after it.
  process.on('uncaughtException', (error) => {
    process.exit(tellFailure(error, argv, io));
  });
  const exitCode = await runCli(argv, io);
  await flushed(process.stdout);
  await flushed(process.stderr);
  process.exit(exitCode);
}

/** `journal ls | head` has read enough. What else the verb does (a restore, say) is none of the reader's business. */
function ignoreClosedPipe(error: Error): void {
  if (!('code' in error) || error.code !== 'EPIPE') throw error;
}

async function askAtTerminal(text: string, signal: AbortSignal): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // In raw mode the terminal sends no SIGINT.
  terminal.on('SIGINT', () => process.emit('SIGINT'));
  try {
    return await terminal.question(text, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    terminal.close();
  }
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}
