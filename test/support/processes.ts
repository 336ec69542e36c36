// Who is still at work where: servers that outlived whoever started them are found by their working directory.
import { readdirSync, readlinkSync } from 'node:fs';

/** Processes that work below a directory. */
export function processesIn(directory: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`).startsWith(`${directory}/`);
    } catch {
      return false;
    }
  });
}
