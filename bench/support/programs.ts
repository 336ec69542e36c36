// The C programs of the benchmarks, compiled when a benchmark starts: firehose.c sends a stream, receiver.c is the
// yardstick. Nothing of them is kept; a compiler is all that a machine needs.
// Neighbours: run.ts starts what is compiled here.
import { execFileSync } from 'node:child_process';
import path from 'node:path';

export interface Programs {
  readonly firehose: string;
  readonly receiver: string;
}

/** Compiles both into a directory of the caller's. `CC` names another compiler. */
export function compilePrograms(directory: string): Programs {
  return { firehose: compile('firehose', directory), receiver: compile('receiver', directory) };
}

function compile(name: string, directory: string): string {
  const source = path.join(import.meta.dirname, `${name}.c`);
  const program = path.join(directory, name);
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-pthread'];
  execFileSync(process.env.CC ?? 'cc', [...flags, '-o', program, source], { stdio: 'inherit' });
  return program;
}
