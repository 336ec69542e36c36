/**
 * Redis 7.4 and later take a hash field whose TTL has elapsed for missing while they load an append-only file: HINCRBY on
 * it starts from 0, where the primary, at the time, added to what was there. So a directory of the journal's bytes would
 * not be exact when a field's TTL ends before the directory can be loaded. Over a replication link they are exact, and an
 * RDB alone is, too, since loading it drops no field: so the directory is made by a scratch server then, or refused where
 * there is none.
 *
 * Times that are still ahead are harmless until they come: the earliest is the plan's `loadBefore`. With --ttl it is the
 * times that the directory will have that count.
 */
import type { Micros } from '../../core/clock.ts';
import { UsageError } from '../../core/errors.ts';
import { formatPosition } from '../../core/position.ts';
import { CommandReader, nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { hashFieldTtlInexactOnAofLoad } from '../../redis/server-version.ts';
import { givenTime } from '../../redis/ttl-rule.ts';
import type { Disk } from '../../storage/disk.ts';
import { formatInstantShort } from '../locate/instant.ts';
import { throwIfInterrupted } from '../interruption.ts';
import type { Plan } from './plan.ts';
import { plannedStream } from './planned-stream.ts';
import { ttlRule } from './ttl-mode.ts';

/** What ends sooner than this from now may well have ended when the directory is loaded. */
const soonMs = 60_000;

/** Names, times and the head of a payload. */
const keepBytes = 64;

/** When a command lets fields expire: at an instant in ms; relative to its execution, or unreadable: unknown. */
type FieldExpiry = number | 'unknown';

/** What a directory made of the journal's bytes would come to. */
export interface HashFieldFinding {
  /** It must be loaded before this instant, when a field expires. */
  readonly loadBefore?: Micros | undefined;
  /** It would not be exact: why, unless it can be made in another way. */
  readonly refusal?: UsageError;
}

export async function lookAtHashFields(
  disk: Disk,
  plan: Plan,
  now: Micros,
  signal: AbortSignal | undefined,
): Promise<HashFieldFinding> {
  if (!isConcerned(plan) || plan.bytes.stream === 0 || plan.ttl.mode === 'persist') return {};
  const horizonMs = Math.ceil(now / 1000) + soonMs;
  const { contents } = plan.base.record;
  if (contents === undefined) {
    const refusal = refused(plan, 'what the base holds is not known, so fields whose TTL has elapsed may be in it');
    return { refusal };
  }
  const { others } = ttlRule(plan.ttl, now);
  const inBase = contents.minHashFieldExpireMs === 0 ? 0 : givenTime(others, 'fields', contents.minHashFieldExpireMs);
  if (inBase !== 0 && inBase < horizonMs) {
    return { refusal: refused(plan, `a hash field of the base expires at ${formatMs(inBase)}`) };
  }
  let earliest = inBase === 0 ? Infinity : inBase;
  for await (const { command, expiry: given } of fieldExpiries(disk, plan, signal)) {
    const expiry = given === 'unknown' ? given : givenTime(others, 'fields', given);
    if (expiry === 'unknown' || expiry < horizonMs) {
      return { refusal: refused(plan, reason(command, expiry), command) };
    }
    earliest = Math.min(earliest, expiry);
  }
  return { loadBefore: Number.isFinite(earliest) ? earliest * 1000 : undefined };
}

function isConcerned({ server, base }: Plan): boolean {
  if (server !== undefined) return hashFieldTtlInexactOnAofLoad(server);
  return base.record.magic === 'REDIS' && base.record.version >= 12;
}

async function* fieldExpiries(
  disk: Disk,
  plan: Plan,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ command: StreamCommand; expiry: FieldExpiry }, void, undefined> {
  const reader = new CommandReader(plan.base.record, { keepBytes, isWanted });
  for await (const { bytes } of plannedStream(disk, plan)) {
    throwIfInterrupted(signal);
    reader.push(bytes);
    for (let command = reader.next(); command !== undefined; command = reader.next()) {
      const expiry = fieldExpiryOf(command);
      if (expiry !== undefined) yield { command, expiry };
    }
  }
}

/** Undefined when the command gives no field a TTL. */
export function fieldExpiryOf(command: StreamCommand): FieldExpiry | undefined {
  const name = command.args[0];
  if (name === undefined || !isWanted(name, 0, name.length)) return undefined;
  switch (nameOf(command)) {
    case 'HPEXPIREAT':
      return timeIn(command.args[2], 1);
    case 'HEXPIREAT':
      return timeIn(command.args[2], 1000);
    case 'HPEXPIRE':
    case 'HEXPIRE':
      return 'unknown';
    case 'HSETEX':
    case 'HGETEX':
      return expiryOption(command.args);
    case 'RESTORE':
    case 'RESTORE-ASKING':
      return payloadExpiry(command.args[3]);
    default:
      return undefined;
  }
}

/** H… or R…, but not HSET: most commands need no closer look. */
function isWanted(bytes: Buffer, at: number, length: number): boolean {
  const first = (bytes[at] ?? 0) | 0x20;
  return length > 'HSET'.length && (first === 0x68 || first === 0x72);
}

/** The option comes before FIELDS; what follows are field names, which may look like anything. */
function expiryOption(args: readonly Buffer[]): FieldExpiry | undefined {
  for (let i = 2; i < args.length; i += 1) {
    switch (args[i]?.toString('latin1').toUpperCase() ?? '') {
      case 'PXAT':
        return timeIn(args[i + 1], 1);
      case 'EXAT':
        return timeIn(args[i + 1], 1000);
      case 'PX':
      case 'EX':
        return 'unknown';
      case 'FIELDS':
        return undefined;
      default:
        continue;
    }
  }
  return undefined;
}

/** Types of a serialised hash with field TTLs; the two of a release candidate, and the two released. */
const candidateTypes = [22, 23];
const releasedTypes = [24, 25];

/** Of the released types the first eight bytes are the earliest time in it. */
function payloadExpiry(payload: Buffer | undefined): FieldExpiry | undefined {
  const type = payload?.[0] ?? 0;
  if (candidateTypes.includes(type)) return 'unknown';
  if (payload === undefined || !releasedTypes.includes(type)) return undefined;
  return payload.length < 9 ? 'unknown' : Number(payload.readBigInt64LE(1));
}

function timeIn(argument: Buffer | undefined, milliseconds: number): FieldExpiry {
  const text = argument?.toString('latin1') ?? '';
  return /^-?\d{1,16}$/.test(text) ? Number(text) * milliseconds : 'unknown';
}

function reason(command: StreamCommand, expiry: FieldExpiry): string {
  const name = nameOf(command);
  return expiry === 'unknown'
    ? `${name} lets hash fields expire at a time that cannot be told`
    : `${name} lets hash fields expire at ${formatMs(expiry)}`;
}

function refused(plan: Plan, why: string, command?: StreamCommand): UsageError {
  const { record } = plan.base;
  const where = command === undefined ? '' : ` at position ${formatPosition({ id: plan.cut.id, offset: command.end })}`;
  const baseAlone = `the base alone is exact: --at ${formatPosition(record)}`;
  const server = plan.server?.version ?? '7.4 and later';
  const withServer = `with a redis-server ${plan.server?.version ?? '7.4'} or later on PATH, or named by --server-bin, it is made exactly`;
  return new UsageError(
    'hash-field-ttl',
    `a directory would not be restored exactly by Redis ${server}: ${why}${where}, and while loading commands it takes elapsed fields for missing`,
    {
      // Neither a bad option nor a hole in the journal: the one thing asked for cannot be done exactly.
      exitCode: 1,
      hint: `${withServer}; ${command === undefined ? '' : 'a target before that position is exact; '}${baseAlone}`,
    },
  );
}

function formatMs(ms: number): string {
  const micros = ms * 1000;
  return Number.isSafeInteger(micros) ? formatInstantShort(micros) : `${ms} ms`;
}
