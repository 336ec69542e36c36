// The folder that a benchmark works in, on the disk that is to be measured.
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';

/** An empty directory below `parent` for as long as `work` takes, and no longer when it is interrupted. */
export async function withWorkspace<T>(parent: string, work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(path.join(parent, 'journal-bench-'));
  const remove = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  const onSignal = (): void => {
    remove();
    process.exit(130);
  };
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    return await work(directory);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    remove();
  }
}
