/**
 * Where a verb prints. What was asked for goes to stdout: lines for people, or with --json one document. Everything else
 * (notes, warnings, progress, errors) goes to stderr, so that stdout can be piped.
 */
import { styleText } from 'node:util';
import { JournalError } from '../core/errors.ts';
import type { ExitCode } from '../core/errors.ts';
import type { CliIo } from './io.ts';
import { openProgress } from './progress.ts';
import type { FormatAmount, Progress } from './progress.ts';
import { printable } from './units.ts';

export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly color: boolean;
}

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red';

export class Output {
  readonly #io: CliIo;
  readonly #options: OutputOptions;

  constructor(io: CliIo, options: OutputOptions) {
    this.#io = io;
    this.#options = options;
  }

  get isJson(): boolean {
    return this.#options.json;
  }

  /** The answer: `document` with --json, else the lines. */
  answer(document: unknown, lines: () => readonly string[]): void {
    if (this.isJson) this.#io.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
    else this.lines(lines());
  }

  /** For people only; nothing with --json. */
  lines(lines: readonly string[]): void {
    if (!this.isJson && lines.length > 0) this.#io.stdout.write(`${lines.join('\n')}\n`);
  }

  /** For people, where stdout is for bytes. */
  aside(lines: readonly string[]): void {
    if (lines.length > 0) this.#io.stderr.write(`${lines.join('\n')}\n`);
  }

  /** By the way; left out with --quiet and --json. */
  note(text: string): void {
    if (!this.isJson && !this.#options.quiet) this.#io.stderr.write(`journal: ${text}\n`);
  }

  /** Must be known, but stops nothing. */
  warn(text: string): void {
    const line = this.isJson
      ? JSON.stringify({ warning: text })
      : `journal: ${this.style('yellow', 'warning:', 'stderr')} ${text}`;
    this.#io.stderr.write(`${line}\n`);
  }

  style(style: Style, text: string, on: 'stdout' | 'stderr' = 'stdout'): string {
    const isTerminal = this.#io[on].isTTY === true && this.#io.env.TERM !== 'dumb';
    return this.#options.color && isTerminal ? styleText(style, text, { validateStream: false }) : text;
  }

  /** How far something is that may take longer than a second. */
  progress(label: string, format?: FormatAmount): Progress {
    const isSilent = this.isJson || this.#options.quiet;
    return openProgress(isSilent ? undefined : this.#io.stderr, this.#io.clock, label, format);
  }

  /** Prints why it failed, and returns what the process shall exit with. */
  failure(error: unknown): ExitCode {
    const { code, message, hint, exitCode } = describeFailure(error);
    if (this.isJson) {
      this.#io.stderr.write(`${JSON.stringify({ error: { code, message, hint: hint ?? null, exitCode } })}\n`);
    } else {
      this.#io.stderr.write(`journal: ${printable(message)}\n`);
      if (hint !== undefined) this.#io.stderr.write(`  hint: ${printable(hint)}\n`);
    }
    if (this.#io.env.JOURNAL_DEBUG === '1' && error instanceof Error) this.#io.stderr.write(`${stackOf(error)}\n`);
    return exitCode;
  }
}

/** What there is to say about an error, ours or not. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof JournalError) return error;
  const message = `unexpected error: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
  const hint = 'this is a fault in journal; JOURNAL_DEBUG=1 shows where. Please report it';
  return { code: 'unexpected', message, hint, exitCode: 1 };
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}
