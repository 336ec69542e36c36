// The C programs of the benchmarks, compiled when a benchmark starts: firehose.c sends a stream, receiver.c is the
// yardstick. Nothing of them is kept; a compiler is all that a machine needs.
// Neighbours: firehose.ts and contestants.ts start what is compiled here.
import { execFileSync } from 'node:child_process';
import path from 'node:path';

export interface Programs {
  readonly firehose: string;
  readonly receiver: string;
}

/** Compiles both into a directory of the caller's. `CC` names another compiler. */
export function compilePrograms(directory: string): Programs {
  return {
    firehose: compile('firehose', ['firehose.c', 'link.c'], directory),
    receiver: compile('receiver', ['receiver.c'], directory),
  };
}

function compile(name: string, files: readonly string[], directory: string): string {
  const sources = files.map((file) => path.join(import.meta.dirname, file));
  const program = path.join(directory, name);
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-pthread'];
  execFileSync(process.env.CC ?? 'cc', [...flags, '-o', program, ...sources], { stdio: 'inherit' });
  return program;
}
