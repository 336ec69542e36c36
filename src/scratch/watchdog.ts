/**
 * Sees to it that a scratch server does not outlive us, not even a kill -9 of ours: a shell of a few lines holds the other
 * end of a pipe. When the pipe closes, whoever closed it, the server is killed and its private directory removed.
 *
 * Invariant: it is there before the server is, and kills only what works in the server's private directory, so that a number
 * which the system has given to another process meanwhile does no harm.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';

/** $1: where the server works; $2: the directory to remove, or nothing. Its process is told by a line, where there is no /proc. */
const script = `
read -r pid
read -r _
for process in /proc/[0-9]*; do
  if [ "$(readlink "$process/cwd")" = "$1" ]; then kill -9 "\${process#/proc/}"; fi
done
if [ ! -d /proc/self ] && [ -n "$pid" ]; then kill -9 "$pid"; fi
if [ -n "$2" ]; then rm -rf -- "$2"; fi
`;

export class Watchdog implements Disposable {
  readonly #shell: ChildProcess;

  /** `directory` is where the server is going to run, free of links. */
  constructor(directory: string, removes: boolean) {
    // In a session of its own: an interrupt typed at the terminal is not for it.
    this.#shell = spawn('/bin/sh', ['-c', script, 'sh', directory, removes ? directory : ''], {
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

  /** The server's process. */
  watch(pid: number): void {
    this.#shell.stdin?.write(`${pid}\n`);
  }

  /** The server has ended: there is nothing left to watch. */
  [Symbol.dispose](): void {
    this.#shell.kill('SIGKILL');
    this.#shell.stdin?.destroy();
  }
}
