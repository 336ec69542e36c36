// Reads what strace wrote of a program and its threads: each call twice, where it began and where it ended, in the order
// in which the kernel saw that. Neighbour: test/crash/trace.test.ts.
// Invariant: a line that is not understood is an error; a trace with a hole proves nothing.
import { spawnSync } from 'node:child_process';

export interface SystemCall {
  /** The same at its beginning and at its end. */
  readonly id: number;
  readonly name: string;
  /** File descriptors come with what they stand for, strings as hexadecimal escapes: strace -y -xx. */
  readonly args: string;
  /** Undefined at the beginning. */
  readonly result?: string;
}

export interface TraceEvent {
  readonly at: 'begin' | 'end';
  readonly call: SystemCall;
}

/** What to put before a command; `-D` leaves the command its place as our child. */
export function traced(calls: readonly string[], file: string): string[] {
  return ['strace', '-D', '-f', '-y', '-xx', '-s', '256', '-o', file, '-e', `trace=${calls.join(',')}`];
}

export function canTrace(): boolean {
  return spawnSync('strace', ['-D', '-f', '-o', '/dev/null', 'true']).status === 0;
}

export function parseTrace(text: string): TraceEvent[] {
  const events: TraceEvent[] = [];
  const begun = new Map<string, SystemCall>();
  let id = 0;
  for (const line of text.split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (rest === '' || rest.startsWith('+++') || rest.startsWith('---')) continue;
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    const before = begun.get(pid);
    if (before !== undefined && before.name === resumed?.[1]) {
      begun.delete(pid);
      events.push({ at: 'end', call: { ...before, ...splitResult(before.args + (resumed[2] ?? '')) } });
      continue;
    }
    id += 1;
    const [, name, args] = /^(\w+)\((.*)$/.exec(rest) ?? [];
    if (name === undefined || args === undefined) throw new Error(`not a line of a trace: ${line}`);
    const unfinished = /^(.*?),? *<unfinished \.\.\.>$/.exec(args);
    if (unfinished !== null) {
      const call = { id, name, args: unfinished[1] ?? '' };
      begun.set(pid, call);
      events.push({ at: 'begin', call });
      continue;
    }
    const call = { id, name, ...splitResult(args) };
    events.push({ at: 'begin', call }, { at: 'end', call });
  }
  return events;
}

/** The strings of a call, decoded, as far as strace shows them. */
export function stringsOf(call: SystemCall): Buffer[] {
  return [...call.args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, escapes = '']) =>
    Buffer.from(escapes.replaceAll('\\x', ''), 'hex'),
  );
}

/** What the first file descriptor of a call stands for. */
export function fileOf(call: SystemCall): string {
  const shown = /^\d+<((?:\\x[0-9a-f]{2})*|[^>]*)>/.exec(call.args)?.[1] ?? '';
  return shown.startsWith('\\x') ? Buffer.from(shown.replaceAll('\\x', ''), 'hex').toString() : shown;
}

function splitResult(text: string): { readonly args: string; readonly result: string } {
  const match = /^(.*)\) += (.*)$/.exec(text);
  if (match === null) {
    // The process ended within the call.
    return { args: text, result: '?' };
  }
  return { args: match[1] ?? '', result: match[2] ?? '' };
}
