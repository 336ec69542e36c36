/**
 * Sees to it that a scratch server does not outlive us, not even a kill -9 of ours: a shell of three lines holds the other
 * end of a pipe. When the pipe closes, whoever closed it, the server is killed and its private directory removed.
 *
 * Invariant: it kills only a process whose working directory is that of the server, so that a number which the system
 * has given to another process meanwhile does no harm.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';

/** $1: process; $2: its working directory; $3: the directory to remove, or nothing. */
const script = `
read -r _
if [ ! -d /proc/self ] || [ "$(readlink "/proc/$1/cwd")" = "$2" ]; then kill -9 "$1"; fi
if [ -n "$3" ]; then rm -rf -- "$3"; fi
`;

export class Watchdog implements Disposable {
  readonly #shell: ChildProcess;

  /** `directory` is where the process runs, free of links. */
  constructor(pid: number, directory: string, removes: boolean) {
    // In a session of its own: an interrupt typed at the terminal is not for it.
    this.#shell = spawn('/bin/sh', ['-c', script, 'sh', String(pid), directory, removes ? directory : ''], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#shell.on('error', () => undefined);
    const { stdin } = this.#shell;
    stdin?.on('error', () => undefined);
    // Neither of the two keeps us alive: our end is their message.
    if (stdin instanceof Socket) stdin.unref();
    this.#shell.unref();
  }

  /** The server has ended: there is nothing left to watch. */
  [Symbol.dispose](): void {
    this.#shell.kill('SIGKILL');
    this.#shell.stdin?.destroy();
  }
}
