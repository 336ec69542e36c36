/**
 * Whether, and how, a running server may be given another dataset (pure). Asked twice: with the plan, and once more right
 * before the server is touched.
 *
 * Invariant: what is not known to be safe is refused, with what the user would have to say.
 */
import { UsageError } from '../../core/errors.ts';
import type { ExitCode } from '../../core/errors.ts';
import type { ReplicationInfo } from '../../redis/replication-info.ts';
import type { SlotRange } from '../../redis/cluster-map.ts';
import { canLoadRdb, formatRdb, formatServerVersion, rdbOf } from '../../redis/server-version.ts';
import type { RdbFormat, ServerVersion } from '../../redis/server-version.ts';
import { mebibytes } from '../../scratch/memory.ts';

/** `replicaof`: loaded as a replica of ours, then promoted. `restore`: key by key, with RESTORE. */
export type TargetMethod = 'replicaof' | 'restore';

/** What a server says of itself. */
export interface TargetFacts {
  readonly server: ServerVersion;
  readonly mode: string;
  readonly replication: ReplicationInfo;
  readonly replicas: number;
  /** In all dbs. */
  readonly keys: number;
  /** Function libraries. */
  readonly libraries: number;
  readonly usedBytes: number;
  /** `maxmemory`; 0 without one. */
  readonly maxMemoryBytes: number;
  /** Of its machine; 0 where it does not say. */
  readonly machineBytes: number;
  /** What it does where `maxmemory` is reached. */
  readonly evictionPolicy: string;
  /** It is the replica of a restore that was cut off. */
  readonly isLeftBehind: boolean;
  /** Why it cannot be loaded as a replica of ours. */
  readonly replicaofRefused: string | undefined;
}

/** What the user said of it. */
export interface TargetAsked {
  /** `host:port`, as it was reached. */
  readonly address: string;
  readonly replace: boolean;
  /** The address that the user knows to be live. */
  readonly live: string | undefined;
  readonly method: TargetMethod | undefined;
  /** What each server may take, whatever it says itself. */
  readonly memoryBytes?: number | undefined;
  /** Only some keys are to be written; undefined: it is given the whole dataset. */
  readonly part?: PartAsked | undefined;
  /** Nothing is going to be written: some keys may be looked at on a live primary as on any other. */
  readonly looksOnly?: boolean | undefined;
}

export interface PartAsked {
  /** What is selected there, and was not there at T, shall go. */
  readonly deletesAbsent: boolean;
  /** What is there stays, and only keys that are not there are written. */
  readonly onlyMissing: boolean;
}

/** What is to be restored. */
export interface TargetNeed {
  /** All names that the histories of the journal have had. */
  readonly histories: ReadonlySet<string>;
  /** What it takes in memory, as far as that is known. */
  readonly bytes: number;
  /** What is going to be written. */
  readonly rdb: RdbFormat;
}

export interface TargetPlan {
  readonly address: string;
  readonly server: ServerVersion;
  readonly method: TargetMethod;
  /** Why this one. */
  readonly why: string;
  readonly isLive: boolean;
  readonly isLeftBehind: boolean;
  /** What it holds: it will be gone, unless only a part is written. */
  readonly keys: number;
  readonly libraries: number;
  readonly part: PartAsked | undefined;
  /** Where `address` is a node of a cluster, which takes it as a whole: the primaries that have slots. */
  readonly cluster: readonly PlannedPrimary[] | undefined;
}

/** A primary of a cluster, and what it holds. */
export interface PlannedPrimary extends Pick<TargetFacts, 'server' | 'replicas' | 'keys' | 'libraries'> {
  readonly address: string;
  readonly id: string;
  readonly ranges: readonly SlotRange[];
  readonly isLive: boolean;
}

/** UsageError when it is refused; nothing has been touched. */
export function decideTarget(facts: TargetFacts, asked: TargetAsked, need: TargetNeed): TargetPlan {
  const { address } = asked;
  refuseMode(facts, address);
  const isLive = refuseUnsafe(facts, asked, need);
  const { part } = asked;
  if (part === undefined) refuseMemory(facts, asked, need.bytes);
  const { server, keys, libraries, isLeftBehind } = facts;
  const how = chooseMethod(facts, asked, isLive);
  return { address, server, ...how, isLive, isLeftBehind, keys, libraries, part, cluster: undefined };
}

/** What is asked of every server, alone or in a cluster. Returns whether it is live. */
export function refuseUnsafe(facts: TargetFacts, asked: TargetAsked, need: TargetNeed): boolean {
  refuseReplica(facts, asked);
  const isLive = isOfJournal(facts, need);
  refuseLive(facts, asked, isLive);
  refuseHolding(facts, asked);
  refuseVersion(facts, asked.address, need);
  return isLive;
}

/** What is in it, in words. */
export function contentsOf({ keys, libraries }: Pick<TargetFacts, 'keys' | 'libraries'>): string {
  const parts = [
    ...(keys > 0 ? [`${keys} ${keys === 1 ? 'key' : 'keys'}`] : []),
    ...(libraries > 0 ? [`${libraries} ${libraries === 1 ? 'function library' : 'function libraries'}`] : []),
  ];
  return parts.length === 0 ? 'nothing' : parts.join(' and ');
}

/** What a server may take: undefined where nobody says. */
export function limitOf(
  { maxMemoryBytes, machineBytes }: TargetFacts,
  { memoryBytes }: Pick<TargetAsked, 'memoryBytes'>,
): number | undefined {
  return memoryBytes ?? [maxMemoryBytes, machineBytes].find((bytes) => bytes > 0);
}

/** UsageError when the server would hold more than it may: it would refuse the rest, or let go of keys without a word. */
export function refuseMemory(
  facts: TargetFacts,
  asked: Pick<TargetAsked, 'address' | 'memoryBytes'>,
  bytes: number,
  what = 'the dataset takes',
): void {
  const limit = limitOf(facts, asked);
  if (limit === undefined || bytes <= limit) return;
  const { maxMemoryBytes, evictionPolicy } = facts;
  const of = asked.memoryBytes !== undefined ? 'may take' : maxMemoryBytes > 0 ? 'has a maxmemory of' : 'has';
  const then =
    asked.memoryBytes !== undefined || maxMemoryBytes === 0
      ? ''
      : evictionPolicy === 'noeviction'
        ? '; it would refuse the rest'
        : `; it would let go of keys (${evictionPolicy})`;
  throw refused(
    'target-memory',
    1,
    `${what} ${mebibytes(bytes)}, and ${asked.address} ${of} ${mebibytes(limit)}${then}`,
    {
      hint: 'raise maxmemory, take a larger server, or say with --target-memory SIZE what it may take',
    },
  );
}

function refuseMode({ mode }: TargetFacts, address: string): void {
  if (mode === 'standalone') return;
  throw refused('target-mode', 1, `${address} runs in ${mode} mode, into which nothing can be restored`, {
    hint: 'name the server itself',
  });
}

/** One that a restore has left behind is ours, but nobody knows what it holds: some keys are not written into that. */
function refuseReplica({ replication, isLeftBehind }: TargetFacts, { address, part }: TargetAsked): void {
  const { role, primary } = replication;
  if (role === 'master' || (isLeftBehind && part === undefined)) return;
  const whose = primary === undefined ? 'another server' : `${primary.host}:${primary.port}`;
  throw refused('target-is-replica', 7, `${address} is a replica of ${whose}, which would overwrite what is restored`, {
    hint: 'restore to its primary, or let it go first: REPLICAOF NO ONE',
  });
}

function isOfJournal({ replication }: TargetFacts, { histories }: TargetNeed): boolean {
  const { id, before } = replication;
  return histories.has(id) || (before !== undefined && histories.has(before.id));
}

function refuseLive({ replicas }: TargetFacts, asked: TargetAsked, isLive: boolean): void {
  const { address, live, part } = asked;
  if (live === address || (asked.looksOnly === true && part !== undefined)) return;
  const said = live === undefined ? '' : `, and --i-know-this-is-live says ${live}`;
  const repeat = `if you mean it, repeat its address: --i-know-this-is-live ${address}`;
  if (isLive) {
    throw refused('target-is-live', 7, `${address} has the history of this journal: it is the live primary${said}`, {
      hint: `${part === undefined ? 'restore to another server and look first' : 'look first, with --dry-run'}; ${repeat}`,
    });
  }
  if (replicas === 0) return;
  const have = `${address} has ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`;
  const [what, first] =
    part === undefined
      ? [`${have}, which would lose what they hold`, 'detach them first']
      : [`${have}, which would be given the same keys`, 'look first, with --dry-run'];
  throw refused('target-has-replicas', 7, `${what}${said}`, { hint: `${first}; ${repeat}` });
}

function refuseHolding(facts: TargetFacts, { address, replace, part }: TargetAsked): void {
  if (part !== undefined) {
    if (!replace) return;
    throw refused(
      'replace-of-some',
      2,
      '--replace lets go of all that the server holds, and only some keys are asked for',
      {
        hint: 'leave --replace out: keys that are there are replaced; or restore everything',
      },
    );
  }
  if (replace || (facts.keys === 0 && facts.libraries === 0)) return;
  throw refused('target-not-empty', 7, `${address} holds ${contentsOf(facts)}`, {
    hint: 'restore to an empty server, or say with --replace that all it holds may go',
  });
}

function refuseVersion({ server }: TargetFacts, address: string, { rdb }: TargetNeed): void {
  if (canLoadRdb(server, rdb.magic, rdb.version)) return;
  const able = `${formatServerVersion(server)}, loads RDB versions up to ${formatRdb(rdbOf(server))}`;
  throw refused('target-version', 1, `${address}, ${able}, and this would be version ${formatRdb(rdb)}`, {
    hint: 'restore to a server of the version of the source, or a later one',
  });
}

function chooseMethod(
  { replicaofRefused }: TargetFacts,
  { method, part }: TargetAsked,
  isLive: boolean,
): Pick<TargetPlan, 'method' | 'why'> {
  if (part !== undefined) return { method: partMethod(method), why: 'only these keys are written' };
  if (method === 'replicaof' && replicaofRefused !== undefined) {
    throw refused('method-impossible', 1, `--method replicaof is not possible: ${replicaofRefused}`, {
      hint: 'leave --method out: key by key it is possible',
    });
  }
  if (method !== undefined) return { method, why: 'as --method says' };
  if (replicaofRefused !== undefined) return { method: 'restore', why: replicaofRefused };
  if (isLive) return { method: 'restore', why: 'the journal of a live primary shall go on without a gap' };
  return { method: 'replicaof', why: 'all at once, and exactly' };
}

function partMethod(method: TargetMethod | undefined): 'restore' {
  if (method !== 'replicaof') return 'restore';
  throw refused('method-impossible', 1, '--method replicaof replaces everything, and only some keys are asked for', {
    hint: 'leave --method out',
  });
}

export function refused(
  code: string,
  exitCode: ExitCode,
  what: string,
  { hint }: { readonly hint: string },
): UsageError {
  return new UsageError(code, what, { exitCode, hint: `${hint}; nothing was changed` });
}
