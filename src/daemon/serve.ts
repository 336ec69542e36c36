/**
 * `journal serve`: feeds replicas from a journal that another process writes, or nobody, or from one moment of it, or all of
 * it some time later (serve-delayed.ts). It writes nothing but log lines.
 */
import { once } from 'node:events';
import { systemClock } from '../core/clock.ts';
import type { Micros } from '../core/clock.ts';
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { localDisk } from '../storage/local-disk.ts';
import { InstantHistory } from './instant-history.ts';
import type { InstantRequest, ServedTtl } from './instant-history.ts';
import { KeptHistory } from './kept-history.ts';
import type { ListenConfig } from './listen-config.ts';
import { notServed, openListener } from './listening.ts';
import type { Logger } from './logger.ts';
import { serveDelayed } from './serve-delayed.ts';
import { writerName } from './version.ts';

export interface ServeOptions {
  readonly tree: SourceTree;
  readonly listen: ListenConfig;
  readonly served: ServedPart;
  readonly warnings: readonly string[];
  readonly logger: Logger;
}

/** All that there is, and what comes; that some time later; or one moment. */
export type ServedPart =
  | { readonly kind: 'all' }
  | { readonly kind: 'delayed'; readonly delay: Micros; readonly ttl: ServedTtl; readonly control: string }
  | { readonly kind: 'moment'; readonly moment: InstantRequest; readonly ttl: ServedTtl };

/** Until `signal` stops it. */
export async function runServe(options: ServeOptions, signal: AbortSignal): Promise<void> {
  const { tree, listen, served, warnings, logger } = options;
  for (const warning of warnings) logger.warn({ event: 'warning', warning });
  logger.info({ event: 'started', version: writerName, directory: tree.directory });
  if (served.kind === 'delayed') await serveDelayed({ tree, listen, logger, ...served }, signal);
  else {
    using history = served.kind === 'all' ? await openKept(options) : await openMoment(served, options);
    await using _listener = await openListener(listen, history, localDisk, logger);
    if (!signal.aborted) await once(signal, 'abort');
  }
  logger.info({ event: 'stopped' });
}

function openKept({ tree, logger }: ServeOptions): Promise<KeptHistory> {
  return KeptHistory.open({ disk: localDisk, clock: systemClock, tree, failed: notServed(logger) });
}

async function openMoment(
  { moment, ttl }: Extract<ServedPart, { kind: 'moment' }>,
  { tree, logger }: ServeOptions,
): Promise<InstantHistory> {
  const history = await InstantHistory.open(localDisk, tree, moment, ttl, systemClock);
  const { cut } = history;
  logger.info({ event: 'moment', position: formatPosition(cut), time: formatInstant(cut.reached) });
  return history;
}
