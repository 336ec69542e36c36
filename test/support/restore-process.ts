// RestoreProcess: `journal restore` as its users run it, a process of its own, with the most memory that it ever held.
// Neighbours: ../cli/cli.ts runs the same inside the test process; leash.ts ends it with us.
// Invariant: what runs is the compiled command line and no older than the sources; the environment's JOURNAL_* settings
// do not reach it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { builtFile } from './built.ts';
import { leash } from './leash.ts';

export interface Restoration {
  readonly exitCode: number | null;
  readonly stderr: string;
  /** Of this process alone, its threads and the libraries it runs in included; 0 where the system does not tell. */
  readonly peakMb: number;
}

const lookEveryMs = 5;

/** What it prints goes into the file `stdout`. */
export async function restoreProcess(argv: readonly string[], stdout: string): Promise<Restoration> {
  const program = builtFile('src/cli/main.ts');
  if (program === undefined) throw new Error('the compiled command line is missing or older than src: npm run build');
  const inherited = Object.entries(process.env).filter(([name]) => !/^(JOURNAL|NODE)_/.test(name));
  const printed = openSync(stdout, 'w');
  const child = spawn(process.execPath, [program, 'restore', ...argv], {
    env: Object.fromEntries(inherited),
    stdio: ['ignore', printed, 'pipe'],
  });
  closeSync(printed);
  leash(child);
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  let peakMb = 0;
  // The mark only rises, and is gone with the process: what it says last is short of it by some milliseconds.
  const timer = setInterval(() => {
    peakMb = Math.max(peakMb, peakOf(child.pid));
  }, lookEveryMs);
  const [exitCode] = (await once(child, 'close')) as [number | null];
  clearInterval(timer);
  return { exitCode, stderr, peakMb };
}

function peakOf(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1000;
  } catch {
    return 0;
  }
}
