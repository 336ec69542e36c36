// JournalProcess: `journal run` as its users run it, a process of its own that can be killed and stopped; its log lines
// are read as they come. Neighbours: running-journal.ts runs the same inside the test process; leash.ts ends it with us.
// Invariant: what runs is the compiled command line and no older than the sources; the environment's JOURNAL_* settings
// do not reach it; disposal leaves no process behind.
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type SourceTree, sourceTree } from '../../src/log/source-tree.ts';
import { builtFile } from './built.ts';
import { leash } from './leash.ts';

export interface JournalLine {
  readonly event: string;
  readonly level: string;
  readonly [field: string]: unknown;
}

export interface JournalProcessOptions {
  /** The URL of the primary. */
  readonly source: string;
  /** The journal directory. */
  readonly dir: string;
  /** More of the command line. */
  readonly args?: readonly string[];
  /** Runs small-segments.ts in place of the command line: rotation and sealing without 64 MiB of stream. */
  readonly segmentBytes?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** A program that runs it, with its options, and leaves it its place as our child. */
  readonly under?: readonly string[];
}

export interface JournalExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface WaitOptions {
  /** Only lines from this one on count. */
  readonly from?: number;
  readonly timeoutMs?: number;
}

const smallSegments = path.join(import.meta.dirname, 'small-segments.ts');
const sourceName = 'source';

export class JournalProcess implements AsyncDisposable {
  readonly tree: SourceTree;
  /** All lines so far. */
  readonly lines: JournalLine[] = [];
  readonly exited: Promise<JournalExit>;
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';
  #exit: JournalExit | undefined;
  #watchers: (() => void)[] = [];

  private constructor(child: ChildProcess, tree: SourceTree) {
    this.#child = child;
    this.tree = tree;
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout += chunk.toString();
    });
    // 'close' comes when the last line has been read, 'exit' may come before.
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.#exit = { code, signal };
        this.#tell();
        resolve(this.#exit);
      });
    });
    if (child.stderr !== null) createInterface(child.stderr).on('line', (line) => this.#take(line));
  }

  static start({ source, ...options }: JournalProcessOptions): JournalProcess {
    return JournalProcess.#spawn(['run', '--source', source], options);
  }

  /** `journal serve`, which needs no primary. */
  static serve(options: Omit<JournalProcessOptions, 'source'>): JournalProcess {
    return JournalProcess.#spawn(['serve'], options);
  }

  static #spawn(verb: readonly string[], options: Omit<JournalProcessOptions, 'source'>): JournalProcess {
    const { dir, args = [], env = {}, segmentBytes, under = [] } = options;
    const program = segmentBytes === undefined ? [compiledCommand()] : [smallSegments, String(segmentBytes)];
    const words = [...verb, '--dir', dir, '--name', sourceName, ...args];
    const [first = '', ...rest] = [...under, process.execPath, ...program, ...words];
    const inherited = Object.entries(process.env).filter(([name]) => !/^(JOURNAL|NODE)_/.test(name));
    const child = spawn(first, rest, {
      cwd: path.dirname(dir),
      env: { ...Object.fromEntries(inherited), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    leash(child);
    return new JournalProcess(child, sourceTree(dir, sourceName));
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the journal was not started');
    return pid;
  }

  get isRunning(): boolean {
    return this.#exit === undefined;
  }

  get stdout(): string {
    return this.#stdout;
  }

  /** All that it has printed to stderr, log lines included. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Lines of this event so far. */
  of(event: string): JournalLine[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** The first line of this event, come or yet to come; an error when the process ends without it. */
  async waitFor(event: string, { from = 0, timeoutMs = 20_000 }: WaitOptions = {}): Promise<JournalLine> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const line = this.lines.find((candidate, index) => index >= from && candidate.event === event);
      if (line !== undefined) return line;
      const left = deadline - performance.now();
      if (this.#exit !== undefined) throw this.#inVain(`the journal ended without '${event}'`);
      if (left <= 0) throw this.#inVain(`no '${event}' within ${timeoutMs} ms`);
      await this.#change(left);
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Power failure, as far as the process is concerned. */
  async kill9(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** SIGTERM; what it exits with. */
  async stop(timeoutMs = 20_000): Promise<number | null> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), timeoutMs);
    const { code, signal } = await this.exited;
    clearTimeout(timer);
    if (signal === 'SIGKILL') throw this.#inVain(`SIGTERM did not end the journal within ${timeoutMs} ms`);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill9();
  }

  #take(line: string): void {
    this.#stderr += `${line}\n`;
    if (!line.startsWith('{')) return;
    const parsed = JSON.parse(line) as JournalLine;
    this.lines.push(parsed);
    this.#tell();
  }

  #tell(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  /** Resolves at the next line, at the end, or when the time is up. */
  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#watchers.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #inVain(what: string): Error {
    return new Error(`${what}; it printed:\n${this.#stderr}`);
  }
}

let command: string | undefined;

/** Looked at once a test process: the sources don't change under a running test. */
function compiledCommand(): string {
  command ??= builtFile('src/cli/main.ts');
  if (command === undefined) throw new Error('the compiled command line is missing or older than src: npm run build');
  return command;
}
