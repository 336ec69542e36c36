/**
 * What a restore has come to, in print: for programs, and for people.
 */
import { basename, dirname } from 'node:path';
import type { ServerChanges } from '../restore/outputs/output.ts';
import type { Layers } from '../daemon/layers.ts';
import type { Plan } from '../restore/plan/plan.ts';
import type { RestoreReport } from '../restore/restore.ts';
import { shellQuoted } from './shell.ts';
import { formatBytes, formatSeconds, printable } from './units.ts';
import type { VerbContext } from './verb.ts';
import { wayBack } from './way-back.ts';

/** What restore.json says, and how it went. */
export function documentOf(
  { to, bytes, seconds, isBaseClone, record }: RestoreReport,
  layers: Layers,
): Readonly<Record<string, unknown>> {
  const mark = record.changes?.mark ?? undefined;
  const back = mark === undefined ? null : (wayBack(mark, layers) ?? null);
  return { to, written: bytes, seconds, isBaseClone, ...record, wayBack: back };
}

export function describe(report: RestoreReport, plan: Plan, { output, layers }: VerbContext): string[] {
  const { to, bytes, seconds, record } = report;
  const isNothing = record.keys?.taken === 0;
  return [
    '',
    isNothing
      ? `${output.style('yellow', 'nothing matched')}: ${nothingOf(record.keys)}`
      : `${output.style('green', 'restored')} ${printable(to)}: ${formatBytes(bytes)} in ${formatSeconds(seconds)}, every byte verified`,
    ...(isNothing ? [] : describeKeys(record.keys)),
    ...changesOf(record.changes, plan, layers),
    ...record.warnings.map((warning) => `warning: ${printable(warning)}`),
    ...howToStart(to, plan),
  ];
}

function nothingOf(keys: RestoreReport['record']['keys']): string {
  const total = keys?.total ?? undefined;
  return `0 ${total === undefined ? '' : `of ${total} `}keys are what was asked for; look at the globs and names`;
}

function changesOf(changes: ServerChanges | null, { destination }: Plan, layers: Layers): string[] {
  if (changes === null) return [];
  const { written, leftAlone, deleted, mark } = changes;
  const rest = `${deleted} deleted, all others as they were`;
  return [
    destination?.part?.onlyMissing === true
      ? `${written} keys written that were missing, ${leftAlone} left alone as they are there`
      : `${written} keys written, ${rest}`,
    ...(mark === null ? [] : [`as it was before: ${backTo(mark, layers)}`]),
  ];
}

function backTo(mark: string, layers: Layers): string {
  const command = wayBack(mark, layers);
  if (command === undefined) {
    return `journal restore --at ${shellQuoted(`mark:${mark}`)}, with --delete-absent and --keys for the names that the keys have now`;
  }
  return layers.values['keys-from'] === '-' ? `${command}, with the same list` : command;
}

function howToStart(to: string, { form, server, scratch }: Plan): string[] {
  const kind = form === 'rdb' ? scratch?.program.kind : server?.kind;
  const program = kind === 'valkey' ? 'valkey-server' : 'redis-server';
  switch (form) {
    case 'multi-part-aof':
    case 'preamble-aof':
      return [`start it with: ${program} --dir ${shellQuoted(to)} --appendonly yes`];
    case 'rdb':
      return [`start it with: ${program} --dir ${shellQuoted(dirname(to))} --dbfilename ${shellQuoted(basename(to))}`];
    case 'resp':
    case 'server':
      return [];
  }
}

function describeKeys(keys: RestoreReport['record']['keys']): string[] {
  if (keys === null) return [];
  const { taken, total } = keys;
  if (taken === null) return ['how many keys these are shows when a server has loaded them'];
  return [total === null ? `${taken} ${taken === 1 ? 'key' : 'keys'}` : `${taken} of ${total} keys`];
}
