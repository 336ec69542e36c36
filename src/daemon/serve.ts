/**
 * `journal serve`: feeds replicas from a journal that another process writes, or nobody, or from one moment of it. It writes
 * nothing but log lines.
 */
import { once } from 'node:events';
import { systemClock } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { History } from '../downstream/history.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { localDisk } from '../storage/local-disk.ts';
import { describe } from './describe-error.ts';
import { InstantHistory } from './instant-history.ts';
import type { InstantRequest } from './instant-history.ts';
import { KeptHistory } from './kept-history.ts';
import type { ListenConfig } from './listen-config.ts';
import { openListener } from './listening.ts';
import type { Logger } from './logger.ts';
import { writerName } from './version.ts';

export interface ServeOptions {
  readonly tree: SourceTree;
  readonly listen: ListenConfig;
  /** One moment; undefined: all that there is, and what comes. */
  readonly instant: InstantRequest | undefined;
  readonly warnings: readonly string[];
  readonly logger: Logger;
}

/** Until `signal` stops it. */
export async function runServe(options: ServeOptions, signal: AbortSignal): Promise<void> {
  const { tree, listen, warnings, logger } = options;
  for (const warning of warnings) logger.warn({ event: 'warning', warning });
  logger.info({ event: 'started', version: writerName, directory: tree.directory });
  using history = await openHistory(options);
  await using _listener = await openListener(listen, history, localDisk, logger);
  if (!signal.aborted) await once(signal, 'abort');
  logger.info({ event: 'stopped' });
}

async function openHistory({ tree, instant, logger }: ServeOptions): Promise<History & Disposable> {
  if (instant === undefined) {
    return KeptHistory.open({
      ...{ disk: localDisk, clock: systemClock, tree },
      failed: (error) => {
        logger.error({ event: 'not-served', ...describe(error) });
      },
    });
  }
  const history = await InstantHistory.open(localDisk, tree, instant, systemClock);
  const { cut } = history;
  logger.info({ event: 'moment', position: formatPosition(cut), time: formatInstant(cut.reached) });
  return history;
}
