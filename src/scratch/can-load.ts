/**
 * Which server can bring a dataset back (pure): it must load the RDB and know every command behind it. No server loads a
 * higher RDB version than its own; commands of a newer release are errors to an older one, which a replica passes over
 * in silence; Redis and Valkey parted after 7.2, and from there on neither takes what the other writes.
 */
import { UsageError } from '../core/errors.ts';
import { canLoadRdb, formatRdb, formatServerVersion, isAtLeast, rdbOf } from '../redis/server-version.ts';
import type { RdbMagic, ServerVersion } from '../redis/server-version.ts';
import type { ServerProgram } from './find-server.ts';

/** Where a dataset comes from. */
export interface DatasetOrigin {
  readonly magic: RdbMagic;
  readonly rdbVersion: number;
  /** What wrote RDB and stream; undefined when it is not known. */
  readonly server: ServerVersion | undefined;
  /** Commands follow the RDB. */
  readonly hasStream: boolean;
}

/** Undefined when it can; else why not. */
export function whyNotLoaded(origin: DatasetOrigin, program: ServerVersion): string | undefined {
  const { server, hasStream } = origin;
  const name = formatServerVersion(program);
  if (server?.kind === program.kind && isAtLeast(program, server.major, server.minor)) {
    return undefined;
  }
  if (!canLoadRdb(program, origin.magic, origin.rdbVersion)) {
    return `${name} loads RDB versions up to ${formatRdb(rdbOf(program))}, not ${describeRdb(origin)}`;
  }
  if (server === undefined) return undefined;
  const source = formatServerVersion(server);
  if (server.kind !== program.kind) {
    const isCommon = server.kind === 'redis' ? !isAtLeast(server, 7, 4) : !isAtLeast(server, 8, 0);
    if (!isCommon) return `${name} is another server than ${source}: the two parted after 7.2`;
    if (hasStream && !isAtLeast(program, server.major, server.minor)) return older(name, source);
    return undefined;
  }
  return hasStream ? older(name, source) : undefined;
}

/** The first of `programs` that can; UsageError (exit 1) that says of each why it cannot. */
export function chooseProgram(origin: DatasetOrigin, programs: readonly ServerProgram[]): ServerProgram {
  const found = programs.find((program) => whyNotLoaded(origin, program) === undefined);
  if (found !== undefined) return found;
  const wanted =
    origin.server === undefined ? `a server that loads ${describeRdb(origin)}` : wantedServer(origin.server);
  if (programs.length === 0) {
    throw new UsageError('no-server', `this takes a server, and neither redis-server nor valkey-server is on PATH`, {
      hint: `install ${wanted}, or name its program with --server-bin`,
      exitCode: 1,
    });
  }
  const reasons = programs.map((program) => `${whyNotLoaded(origin, program)} (${program.path})`);
  throw new UsageError('no-fitting-server', `no server here can load this dataset: ${reasons.join('; ')}`, {
    hint: `install ${wanted}, or name its program with --server-bin`,
    exitCode: 1,
  });
}

function describeRdb({ magic, rdbVersion }: DatasetOrigin): string {
  return formatRdb({ magic, version: rdbVersion });
}

function wantedServer(server: ServerVersion): string {
  const { kind, major, minor } = server;
  return `${kind === 'valkey' ? 'Valkey' : 'Redis'} ${major}.${minor} or later`;
}

function older(name: string, source: string): string {
  return `${name} is older than the source, ${source}, and may not know all of its commands`;
}
