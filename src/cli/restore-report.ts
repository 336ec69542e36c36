/**
 * What a restore has come to, in print: for programs, and for people.
 */
import { basename, dirname } from 'node:path';
import type { ServerChanges } from '../restore/outputs/output.ts';
import type { Plan } from '../restore/plan/plan.ts';
import type { RestoreReport } from '../restore/restore.ts';
import type { Output } from './output.ts';
import { shellQuoted } from './shell.ts';
import { formatBytes, formatSeconds, printable } from './units.ts';

/** What restore.json says, and how it went. */
export function documentOf({
  to,
  bytes,
  seconds,
  isBaseClone,
  record,
}: RestoreReport): Readonly<Record<string, unknown>> {
  return { to, written: bytes, seconds, isBaseClone, ...record };
}

export function describe(report: RestoreReport, plan: Plan, output: Output): string[] {
  const { to, bytes, seconds, record } = report;
  return [
    '',
    `${output.style('green', 'restored')} ${printable(to)}: ${formatBytes(bytes)} in ${formatSeconds(seconds)}, every byte verified`,
    ...describeKeys(record.keys),
    ...changesOf(record.changes),
    ...record.warnings.map((warning) => `warning: ${printable(warning)}`),
    ...howToStart(to, plan),
  ];
}

function changesOf(changes: ServerChanges | null): string[] {
  if (changes === null) return [];
  const { written, deleted, mark } = changes;
  return [
    `${written} keys written, ${deleted} deleted, all others as they were`,
    ...(mark === null ? [] : [`as it was before: journal restore --at ${shellQuoted(`mark:${mark}`)}`]),
  ];
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
