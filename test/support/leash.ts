// Leash: whatever a test process starts ends with it, however the process ends.
// Used by redis-server.ts and by tests that start journal itself. An exit hook is not enough, because a runner that is
// killed runs none; so one small shell per test process reads our pipe, and when that pipe closes it kills the
// processes still on the leash and removes our temporary directory.
// Invariant: a process is on the leash from the moment it has an id until its end has been seen.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** `+ PID` and `- PID` lines come in; at the end of input the remaining ones are killed. $1 is our directory. */
const watchdogScript = `
live=" "
while read -r op pid; do
  case $op in
    +) live="$live$pid " ;;
    -) live=$(printf %s "$live" | sed "s/ $pid / /") ;;
  esac
done
for pid in $live; do kill -9 "$pid" 2>/dev/null; done
rm -rf "$1"
`;

interface Watchdog {
  readonly root: string;
  readonly child: ChildProcess;
}

let watchdog: Watchdog | undefined;

/** Puts a running child on the leash, and takes it off when it ends. */
export function leash(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  tell(`+ ${pid}\n`);
  child.once('exit', () => tell(`- ${pid}\n`));
}

/** A new empty directory that disappears with this process at the latest. */
export function temporaryDirectory(prefix = 'dir'): string {
  return mkdtempSync(path.join(ensureWatchdog().root, `${prefix}-`));
}

function tell(line: string): void {
  ensureWatchdog().child.stdin?.write(line);
}

function ensureWatchdog(): Watchdog {
  if (watchdog !== undefined) return watchdog;
  const root = mkdtempSync(path.join(tmpdir(), 'journal-test-'));
  // Detached, so that an interrupt from the terminal, which reaches the whole process group, leaves it to its work.
  const child = spawn('/bin/sh', ['-c', watchdogScript, 'leash', root], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  // The pipe must not keep the test process alive: it closes when the process ends, and that is its message.
  if (child.stdin instanceof Socket) child.stdin.unref();
  watchdog = { root, child };
  return watchdog;
}
