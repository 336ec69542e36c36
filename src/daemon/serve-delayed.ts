/**
 * `journal serve --delay`: the live undo copy with its listener, and its control socket. Beside its log it writes what a
 * pause must not lose, next to the socket.
 */
import { once } from 'node:events';
import { parseDuration } from '../core/amounts.ts';
import { systemClock } from '../core/clock.ts';
import type { Micros } from '../core/clock.ts';
import { formatPosition } from '../core/position.ts';
import { formatInstant } from '../core/instant.ts';
import { ControlDoor } from '../downstream/control-door.ts';
import type { Shift } from '../downstream/history.ts';
import type { BaseEntry } from '../log/catalog.ts';
import type { SourceTree } from '../log/source-tree.ts';
import { localDisk } from '../storage/local-disk.ts';
import { CopyNote } from './copy-note.ts';
import { answerControl, controlPath } from './delayed-control.ts';
import type { ControlOptions } from './delayed-control.ts';
import { DelayedHistory } from './delayed-history.ts';
import type { DelayedEvents } from './delayed-history.ts';
import { describe } from './describe-error.ts';
import { KeptHistory } from './kept-history.ts';
import type { ServedTtl } from './instant-history.ts';
import type { ListenConfig } from './listen-config.ts';
import { notServed, openListener } from './listening.ts';
import type { Logger } from './logger.ts';
import { PauseFile } from './pause-file.ts';
import { shiftBy } from './shift.ts';
import { copyWarnings, unknownCopyWarning } from './status-copies.ts';
import { readStatus } from './status.ts';

export interface DelayedServing {
  readonly tree: SourceTree;
  readonly listen: ListenConfig;
  readonly delay: Micros;
  readonly ttl: ServedTtl;
  /** Of the control socket. */
  readonly control: string;
  readonly logger: Logger;
}

/** Until `signal` stops it. */
export async function serveDelayed(options: DelayedServing, signal: AbortSignal): Promise<void> {
  const { tree, listen, delay, ttl, control, logger } = options;
  const clock = systemClock;
  const ready = Promise.withResolvers<ControlOptions>();
  // Before anything is read or written: there is one process for each socket, and so for each pause file.
  await using _door = await ControlDoor.open(control, localDisk, clock, async (request) =>
    answerControl(await ready.promise, request),
  );
  await using note = await loggedNote(options);
  using kept = await KeptHistory.open({ disk: localDisk, clock, tree, failed: notServed(logger) });
  const pauseFile = new PauseFile(localDisk, pausePath(control));
  const events = loggedEvents(logger);
  const shift = ttl === 'shift' ? (base: BaseEntry): Promise<Shift> => shiftBy(localDisk, base, delay) : undefined;
  await using history = await DelayedHistory.open({
    ...{ disk: localDisk, clock, tree, delay },
    ...{ kept, pauseFile, shift, events },
  });
  await note.follow(() => history.standing);
  const warnings = (): Promise<string[]> => retentionWarnings(tree, note, behind(history, delay));
  const { state, reached } = history.standing;
  logger.info({ event: 'delayed', delaySeconds: delay / 1e6, ttl, state, position: reached?.position, control });
  for (const warning of await warnings()) logger.warn({ event: 'warning', warning });
  await using listener = await openListener(listen, history, localDisk, logger);
  ready.resolve({
    ...{ source: tree.source, delay, ttl, history, warnings },
    replicas: () => listener.replicas,
    told: async (verb, { position, instant }) => {
      await note.refresh();
      logger.info({ event: verb, position, instant });
    },
  });
  if (!signal.aborted) await once(signal, 'abort');
}

function loggedNote({ tree, delay, control, logger }: DelayedServing): Promise<CopyNote> {
  return CopyNote.open({
    ...{ disk: localDisk, clock: systemClock, tree, delay },
    name: control === controlPath(tree) ? 'delayed' : control,
    failed: (error) => {
      logger.warn({ event: 'copy-not-noted', ...describe(error) });
    },
  });
}

function pausePath(control: string): string {
  return control.endsWith('.sock') ? `${control.slice(0, -'.sock'.length)}.json` : `${control}.json`;
}

function loggedEvents(logger: Logger): DelayedEvents {
  return {
    begun: ({ number, ids, durable }, { stamp }) => {
      const position = formatPosition({ id: ids.at(-1)?.id ?? '', offset: durable });
      logger.info({ event: 'delayed-timeline', timeline: number, position, time: formatInstant(stamp) });
    },
    failed: (error) => {
      logger.error({ event: 'delayed-stuck', ...describe(error) });
    },
  };
}

/** How far back the journal is needed. */
function behind({ standing: { instant } }: DelayedHistory, delay: Micros): Micros {
  return Math.max(delay, systemClock.wall() - (instant ?? systemClock.wall()));
}

async function retentionWarnings(tree: SourceTree, note: CopyNote, needed: Micros): Promise<string[]> {
  const { copies, retention } = await readStatus(localDisk, tree, systemClock);
  const rule = retention?.rule;
  const own = copies.filter(({ name }) => name === note.name);
  if (note.trouble === undefined) return copyWarnings(own, rule);
  const kept = parseDuration(rule?.replace(/^--keep-local /, '') ?? '');
  if (rule === undefined || (kept !== undefined && kept >= needed)) return [];
  return [unknownCopyWarning(rule)];
}
