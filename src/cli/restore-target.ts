/**
 * `journal restore` to a running server: how it is reached, what it is asked before a plan is made, and the question
 * before anything happens to it. What is allowed is decided in restore/target-rails.ts.
 */
import { CoverageError, InterruptedError, JournalError, UsageError } from '../core/errors.ts';
import { formatInstant } from '../core/instant.ts';
import { resolveTarget } from '../daemon/config.ts';
import type { Layers } from '../daemon/layers.ts';
import { noteCharactersMax, setMark } from '../daemon/mark.ts';
import { loadCatalogLeft } from '../log/catalog.ts';
import { readRemoved } from '../log/removed.ts';
import type { KeySelection } from '../redis/key-selection.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import { loadableFirst } from '../restore/plan/plan-scratch.ts';
import type { Plan } from '../restore/plan/plan.ts';
import { ClusterLink } from '../restore/servers/cluster-link.ts';
import type { ServerTarget } from '../restore/servers/target-output.ts';
import { decideCluster } from '../restore/plan/target-cluster.ts';
import type { PrimaryFacts } from '../restore/plan/target-cluster.ts';
import { TargetLink } from '../restore/servers/target-link.ts';
import type { FeedAddress, TargetConfig } from '../restore/servers/target-link.ts';
import { contentsOf, decideTarget } from '../restore/plan/target-rails.ts';
import type { PartAsked, TargetAsked, TargetFacts, TargetPlan } from '../restore/plan/target-rails.ts';
import type { ServerProgram } from '../scratch/find-server.ts';
import { formatAddress } from '../upstream/address.ts';
import type { SourceAddress } from '../upstream/address.ts';
import { tlsOptions, tlsProblem } from '../upstream/tls.ts';
import type { CliIo } from './io.ts';
import { sizeSetting } from './size-setting.ts';
import type { VerbContext } from './verb.ts';

/** A server that has answered, before there is a plan. */
export interface AskedTarget {
  readonly config: TargetConfig;
  readonly asked: TargetAsked;
  readonly facts: TargetFacts;
  /** Where it is a node of a cluster. */
  readonly primaries: readonly PrimaryFacts[] | undefined;
}

/** Reaches it and asks what it is; changes nothing. `selection`: of some keys, for which it need not be empty. */
export async function askTarget(
  url: string,
  selection: KeySelection | undefined,
  { io, layers, output }: VerbContext,
): Promise<AskedTarget> {
  const { values } = layers;
  const { addresses, credentials, tls, warnings } = resolveTarget(url, layers, io.env);
  for (const text of warnings) output.warn(text);
  const configOf = (source: SourceAddress): TargetConfig => {
    const { host, port, tls: isTls } = source;
    const address = formatAddress(source);
    return {
      address,
      socket: isTls ? { host, port, ...tlsOptions(host, tls), tls: true } : { host, port },
      ...{ user: credentials.user, password: credentials.password },
      explain: (cause) => tlsProblem(address, cause, 'target-'),
      feed: feedAddress(layers, source),
      at: (host = source.host, port) => configOf({ ...source, host, port }),
    };
  };
  const config = configOf(addresses[0]);
  const facts = await factsOf(config, io);
  const { replace, method, 'i-know-this-is-live': live } = values;
  const how = { deletesAbsent: values['delete-absent'], onlyMissing: values['only-missing'] };
  const part = selection === undefined ? undefined : how;
  const memoryBytes = sizeSetting(layers, 'target-memory');
  const asked = { address: config.address, replace, live, method, memoryBytes, part, looksOnly: values['dry-run'] };
  return { config, asked, facts, primaries: facts.mode === 'cluster' ? await primariesOf(config, io) : undefined };
}

/** Those first whose RDB it loads: each of its primaries, where it is a cluster. */
export function loadableByTarget(
  programs: readonly ServerProgram[],
  asked: AskedTarget | undefined,
): readonly ServerProgram[] {
  const servers = asked?.primaries?.map(({ facts }) => facts.server) ?? [asked?.facts.server];
  return servers.reduce((sorted, server) => loadableFirst(sorted, server), programs);
}

/** The server of a plan; UsageError when it is refused. */
export async function decideFor(plan: Plan, target: AskedTarget, context: VerbContext): Promise<ServerTarget> {
  const { config, asked, facts, primaries } = target;
  const { io } = context;
  if (plan.scratch === undefined) throw new RangeError('the plan has no scratch server');
  const { timelines, damaged } = await loadCatalogLeft(io.disk, plan.tree);
  const removed = await readRemoved(io.disk, plan.tree);
  const named = [...timelines, ...removed].flatMap(({ ids }) => ids.map(({ id }) => id));
  const histories = new Set([...named, ...damaged.flatMap(({ ids }) => ids)]);
  const { aux, size } = plan.base.record;
  const used = aux['used-mem'] ?? '';
  const need = { histories, bytes: /^\d{1,15}$/.test(used) ? Number(used) : size, rdb: plan.scratch.rdb };
  const mark = (address: string, now: ReplicationInfo): Promise<string> => markBefore(plan, address, now, context);
  const decided = primaries === undefined ? decideTarget(facts, asked, need) : decideCluster(primaries, asked, need);
  return { config, asked, need, plan: decided, mark };
}

/** UsageError (exit 2) when nobody can be asked, or the answer is no. */
export async function confirm(target: TargetPlan, { io, layers }: VerbContext): Promise<void> {
  if (layers.values.yes) return;
  const { address, keys, libraries, isLive, part, cluster } = target;
  const loss = part === undefined && (keys > 0 || libraries > 0) ? `, in place of ${contentsOf(target)}` : '';
  const live = cluster?.find((primary) => primary.isLive)?.address;
  const where =
    cluster === undefined
      ? `${isLive ? 'the live primary ' : ''}${address}`
      : `the cluster of ${cluster.length} primaries at ${address}${live === undefined ? '' : `, of which ${live} is live`}`;
  const what = `restore ${whichKeys(part)}into ${where}${loss}`;
  if (io.ask === undefined) {
    throw new UsageError('not-confirmed', `${what}? There is no terminal to ask at`, {
      hint: 'add --yes to go on without being asked; nothing was changed',
    });
  }
  const answer = await io.ask(`${what}? Type yes to go on: `);
  if (answer.trim().toLowerCase() === 'yes') return;
  throw new UsageError('not-confirmed', 'not restored: the answer was not yes', { hint: 'nothing was changed' });
}

function whichKeys(part: PartAsked | undefined): string {
  if (part === undefined) return '';
  if (part.onlyMissing) return 'keys that are missing ';
  return part.deletesAbsent ? 'some keys, and delete those that were not there, ' : 'some keys ';
}

/**
 * Where a live primary is before keys are written into it. Without a journal that follows it there would be no way back, so
 * then nothing is written.
 */
async function markBefore(
  { tree, selection, text }: Plan,
  address: string,
  now: ReplicationInfo,
  { io, output }: VerbContext,
): Promise<string> {
  const { disk, clock, signal } = io;
  const name = `before-restore-${formatInstant(clock.wall())}`;
  const which = JSON.stringify(selection?.text.keys ?? []);
  const note = `before keys ${which} of ${text} were restored into ${address}`
    .slice(0, noteCharactersMax)
    .toWellFormed();
  try {
    const followed = (await loadCatalogLeft(disk, tree)).timelines.at(-1)?.ids.at(-1)?.id;
    if (followed !== now.id) {
      throw new CoverageError(
        'not-followed',
        `the journal follows ${followed ?? 'nothing'}, and ${address} has the history ${now.id}`,
      );
    }
    await setMark({ disk, clock, tree, name, note, primaryOffset: now.offset, signal });
  } catch (error) {
    if (!(error instanceof JournalError) || error instanceof InterruptedError) throw error;
    throw new CoverageError('no-mark', `${error.message}; so no mark can be set before ${address} is written to`, {
      hint: 'nothing was changed; start journal run first. Without a way back: --to resp:- … | redis-cli --pipe',
      exitCode: error.exitCode,
      cause: error,
    });
  }
  output.lines([`mark ${name}: ${address} before this restore`]);
  return name;
}

async function factsOf(config: TargetConfig, { clock, signal }: CliIo): Promise<TargetFacts> {
  using link = await TargetLink.open(config, clock, signal);
  return await link.facts();
}

async function primariesOf(config: TargetConfig, { clock, signal }: CliIo): Promise<PrimaryFacts[]> {
  using cluster = await ClusterLink.open(config, clock, signal);
  return await cluster.facts();
}

/** Where a server can reach us: on loopback if it is there, else where the user says. */
function feedAddress({ values, origin }: Layers, { host }: SourceAddress): FeedAddress | undefined {
  const text = values['feed-address'];
  if (text === undefined) return isLoopback(host) ? { host: '127.0.0.1', port: 0 } : undefined;
  const [, name, port] = /^(?:\[([0-9a-fA-F:.]+)\]|[^:\s]+):(\d{1,5})$/.exec(text) ?? [];
  const number = Number(port);
  if (port === undefined || number < 1 || number > 65_535) {
    throw new UsageError('bad-setting', `${origin('feed-address')} is not HOST:PORT`, {
      hint: 'an address of this machine as the server sees it, and a port that is free, such as 10.0.0.7:7000',
    });
  }
  return { host: name ?? text.slice(0, text.lastIndexOf(':')), port: number };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
