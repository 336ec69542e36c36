/**
 * Asks the other site how far it is, and tells what a switch-over to this one would lose: the same document for people and
 * programs. switch-over.ts decides; nothing is changed here or there.
 *
 * Invariant: the other site is asked once, and what is durable here is looked at afterwards: so "nothing" is true of all
 * that was there when it was asked, whatever has been written since.
 */
import type { Clock, Micros } from '../core/clock.ts';
import { CoverageError, LinkError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { Offset } from '../core/position.ts';
import { idAt } from '../log/catalog.ts';
import type { Timeline } from '../log/catalog.ts';
import type { SourceTree } from '../log/source-tree.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import { stampOf } from '../restore/locate/locate-boundaries.ts';
import type { Disk } from '../storage/disk.ts';
import { formatAddress } from '../upstream/address.ts';
import { askHistory } from '../upstream/probe.ts';
import type { SourceConfig } from './config.ts';
import { readStatusOf } from './status.ts';
import type { SourceState, Status } from './status.ts';
import { judge, relate } from './switch-over.ts';
import type { Held, Judgement, Relation, Verdict } from './switch-over.ts';

export interface CheckOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly tree: SourceTree;
  /** Who is asked: the journal of the other site, its primary, or both. */
  readonly source: SourceConfig;
  readonly signal: AbortSignal;
}

/** Printed as it is by `check --dr --json`. */
export interface SwitchOver {
  readonly source: string;
  readonly verdict: Verdict;
  /** Null of `nothing` and `no-replica`. Of `parted` it was lost, of `unknown` there may be more. */
  readonly loss: { readonly bytes: number; readonly seconds: number } | null;
  /** Of `parted`, what was lost: it lies behind the one position, up to and including the other. */
  readonly lost: { readonly after: string; readonly to: string } | null;
  /** The replica here that has most. */
  readonly promote: string | null;
  readonly askedAt: string;
  readonly here: {
    readonly state: SourceState;
    readonly position: string;
    /** When the last byte that is durable here was received. */
    readonly lastReceived: string | null;
    readonly replicas: readonly ReplicaHere[];
  };
  readonly there: readonly ServerThere[];
}

export interface ReplicaHere {
  readonly address: string;
  readonly state: string;
  readonly acknowledged: string;
  /** Of what is durable here. */
  readonly behindBytes: number;
}

export interface ServerThere {
  readonly address: string;
  /** Null where it does not answer. */
  readonly role: 'primary' | 'replica' | 'journal' | null;
  readonly position: string | null;
  /** `same`: one history; `parted`: not any more, behind `shared`; `other`: never was. */
  readonly history: Relation['kind'] | null;
  readonly shared: string | null;
  /** That it has and we have not, durable; and the other way round. */
  readonly moreBytes: number | null;
  readonly fewerBytes: number | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** What was written just before they were asked, and acknowledgements (one a second), may take as long. */
const patienceMs = 4_000;
const pollMs = 200;

export async function checkSwitchOver(options: CheckOptions): Promise<SwitchOver> {
  const { disk, clock, tree, source, signal } = options;
  const answers = await Promise.all(source.addresses.map((address) => ask(address, source, signal)));
  const askedAt = clock.wall();
  const deadline = clock.monotonic() + patienceMs * 1000;
  for (;;) {
    const { status, newest } = await readStatusOf(disk, tree, clock);
    if (newest === undefined) throw nothingHere(tree);
    const held = { ids: newest.ids, durable: Number(status.position.durable ?? newest.base.record.offset) };
    const relations = answers.map(({ info }) => info && relate(held, info));
    const replicas = status.replicas.map(({ address, state, acknowledged, isJournal }) => ({
      ...{ address, isOnline: state === 'online', acknowledged: Number(acknowledged), isJournal },
    }));
    const judgement = judge(relations, replicas);
    const isHeard = answers.some(({ info }) => info !== undefined);
    const isFinal = !isHeard || judgement.verdict === 'nothing' || judgement.verdict === 'parted';
    if (isFinal || status.writer === null || clock.monotonic() >= deadline) {
      const loss = await lossOf(judgement, { disk, newest, held, relations, askedAt });
      const there = answers.map((answer, i) => thereOf(answer, relations[i]));
      const lost = lostOf(judgement, newest, held, relations);
      return { ...documentOf(status, newest, held, judgement), loss, lost, there, askedAt: formatInstant(askedAt) };
    }
    await clock.sleep(pollMs, signal);
  }
}

interface Answer {
  readonly address: string;
  readonly info?: ReplicationInfo;
  readonly error?: LinkError;
}

async function ask(
  address: SourceConfig['addresses'][number],
  { credentials, tls }: SourceConfig,
  signal: AbortSignal,
): Promise<Answer> {
  const name = formatAddress(address);
  try {
    return { address: name, info: await askHistory(address, credentials, tls, signal) };
  } catch (error) {
    if (!(error instanceof LinkError) || signal.aborted) throw error;
    return { address: name, error };
  }
}

function nothingHere({ source }: SourceTree): CoverageError {
  return new CoverageError('nothing-covered', `nothing of ${source} has been journaled yet, or it is damaged`, {
    hint: 'journal status says which',
  });
}

interface LossContext {
  readonly disk: Disk;
  readonly newest: Timeline;
  readonly held: Held;
  readonly relations: readonly (Relation | undefined)[];
  readonly askedAt: Micros;
}

async function lossOf({ verdict, bytes }: Judgement, context: LossContext): Promise<SwitchOver['loss']> {
  if (verdict === 'nothing' || verdict === 'no-replica') return null;
  const { disk, newest, held, relations, askedAt } = context;
  if (bytes === 0) return { bytes, seconds: 0 };
  const parted = relations.find((one) => one?.kind === 'parted');
  // What is missing was written behind the last that we have in common.
  const shared = Math.min(
    held.durable,
    ...relations.flatMap((one) => (one === undefined || one.kind === 'other' ? [] : [one.shared])),
  );
  const since = await stampAt(disk, newest, shared);
  const until = parted === undefined ? askedAt : newest.lastStamp;
  return { bytes, seconds: Math.max(0, until - since) / 1_000_000 };
}

function lostOf(
  { verdict, bytes }: Judgement,
  newest: Timeline,
  { durable }: Held,
  relations: readonly (Relation | undefined)[],
): SwitchOver['lost'] {
  const parted = relations.find((one) => one?.kind === 'parted');
  if (verdict !== 'parted' || parted?.kind !== 'parted' || bytes === 0) return null;
  const at = (offset: Offset): string => formatPosition({ id: idAt(newest, offset), offset });
  return { after: at(Math.max(parted.shared, newest.base.record.offset)), to: at(durable) };
}

/** The files may be a moment behind the writer's words. */
async function stampAt(disk: Disk, newest: Timeline, offset: Offset): Promise<Micros> {
  if (offset >= newest.end || offset < newest.base.record.offset) return newest.lastStamp;
  return (await stampOf(disk, newest, offset)).stamp;
}

function documentOf(
  status: Status,
  newest: Timeline,
  { durable }: Held,
  { verdict, promote }: Judgement,
): Omit<SwitchOver, 'loss' | 'lost' | 'there' | 'askedAt'> {
  const id = status.position.id ?? newest.base.record.id;
  return {
    source: status.source,
    verdict,
    promote: promote?.address ?? null,
    here: {
      state: status.state,
      position: formatPosition({ id, offset: durable }),
      lastReceived: status.lastReceived,
      replicas: status.replicas.map(({ address, state, acknowledged }) => ({
        ...{ address, state, acknowledged, behindBytes: Math.max(0, durable - Number(acknowledged)) },
      })),
    },
  };
}

function thereOf({ address, info, error }: Answer, relation: Relation | undefined): ServerThere {
  const isComparable = relation !== undefined && relation.kind !== 'other';
  return {
    address,
    role: info === undefined ? null : roleOf(info),
    position: info === undefined ? null : formatPosition(info),
    history: relation?.kind ?? null,
    shared: isComparable ? String(relation.shared) : null,
    moreBytes: isComparable ? relation.there : null,
    fewerBytes: isComparable ? relation.here : null,
    error: error === undefined ? null : { code: error.code, message: error.message },
  };
}

function roleOf({ isJournal, role }: ReplicationInfo): ServerThere['role'] {
  if (isJournal === true) return 'journal';
  return role === 'master' ? 'primary' : 'replica';
}
