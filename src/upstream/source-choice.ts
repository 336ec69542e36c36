/**
 * Finds the primary among several addresses, before each attempt and every few seconds while one of them is followed. All
 * are asked at once, each with one short question, so that a server that hangs delays nothing; with a single address
 * nobody is asked. choose-source.ts decides. Who hears that the primary is another (hint) makes us ask at once, and that is
 * all: it is the servers themselves that are believed.
 */
import type { Clock } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import type { Position } from '../core/position.ts';
import { parseReplicationInfo } from '../redis/replication-info.ts';
import type { ReplicationInfo } from '../redis/replication-info.ts';
import { formatAddress } from './address.ts';
import type { Credentials, SourceAddress, TlsSettings } from './address.ts';
import { chooseSource, isAt, isSame } from './choose-source.ts';
import type { Answer, Choice } from './choose-source.ts';
import type { Connect } from './connect.ts';
import { SideConnection } from './side-connection.ts';
import { isUp, readRole } from './source-sample.ts';

export interface SourceChoiceOptions {
  /** At least one, in the order of preference. */
  readonly addresses: readonly SourceAddress[];
  readonly credentials: Credentials;
  readonly tls: TlsSettings;
  readonly connect: Connect;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** The last position of the journal. */
  readonly held: () => Position | undefined;
  /** Whether a server that says that `primary` is its primary is fed by us. */
  readonly isOurs: (address: SourceAddress, primary: Pick<SourceAddress, 'host' | 'port'>) => boolean;
  readonly events: SourceChoiceEvents;
}

export interface SourceChoiceEvents {
  /** Several call themselves the primary; told when it begins to be so, or others do. */
  rivals(chosen: SourceAddress, rivals: readonly SourceAddress[]): void;
}

const answerTimeoutMs = 2_000;
const surveyTimeoutMs = 4_000;
/** With as much again at random. */
const watchMs = 5_000;
/** However many hints come, no more is asked than this allows. */
const leastMs = 1_000;

export class SourceChoice {
  readonly #options: SourceChoiceOptions;
  #current: SourceAddress | undefined;
  #rivals = '';
  #isHinted = false;
  #hinted = new AbortController();

  constructor(options: SourceChoiceOptions) {
    this.#options = options;
  }

  /** The address chosen last. */
  get current(): SourceAddress | undefined {
    return this.#current;
  }

  /** Whom to follow now; LinkError when it is nobody. */
  async choose(signal: AbortSignal): Promise<SourceAddress> {
    const [first] = this.#options.addresses;
    if (first === undefined) throw new RangeError('no address');
    if (this.#options.addresses.length === 1) return (this.#current = first);
    const answers = await this.#survey(signal);
    const choice = this.#decide(answers);
    if (choice === undefined) throw nobody(answers);
    return (this.#current = choice.address);
  }

  /** The primary is said to be there now. */
  hint(address: Pick<SourceAddress, 'host' | 'port'>): void {
    if (!isAt(address, this.#current)) this.lookAgain();
  }

  /** Somebody may be another now than before. */
  lookAgain(): void {
    if (this.#options.addresses.length === 1) return;
    this.#isHinted = true;
    this.#hinted.abort();
  }

  /** A pause that a hint ends. */
  async rest(ms: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(Math.min(ms, leastMs), signal);
    if (ms > leastMs && !this.#isHinted) {
      this.#hinted = new AbortController();
      await clock.sleep(ms - leastMs, AbortSignal.any([signal, this.#hinted.signal])).catch(() => undefined);
      signal.throwIfAborted();
    }
    this.#isHinted = false;
  }

  /** Resolves with whom to move over to, when the source followed is no primary and another is, or is fed by us; else not before the end. */
  async watch(signal: AbortSignal): Promise<SourceAddress | undefined> {
    const { addresses, random } = this.#options;
    while (addresses.length > 1) {
      await this.rest(watchMs * (1 + random()), signal);
      const answers = await this.#survey(signal);
      const choice = this.#decide(answers);
      if (choice === undefined || isSame(choice.address, this.#current)) continue;
      if (this.#isOnOwnReplica(answers) || (choice.isPrimary && !this.#isOnPrimary(answers))) return choice.address;
    }
    return undefined;
  }

  /** A primary that became a replica of ours keeps its link to us. */
  #isOnOwnReplica(answers: readonly Answer[]): boolean {
    return answers.some((answer) => 'isOurs' in answer && answer.isOurs && isSame(answer.address, this.#current));
  }

  #isOnPrimary(answers: readonly Answer[]): boolean {
    const answer = answers.find(({ address }) => isSame(address, this.#current));
    // A primary that is busy does not answer, and is still the one that we follow.
    return answer === undefined || 'error' in answer || answer.role.role === 'master';
  }

  #decide(answers: readonly Answer[]): Choice | undefined {
    const choice = chooseSource(answers, { current: this.#current, held: this.#options.held() });
    const rivals = choice?.rivals ?? [];
    const named = rivals.map(formatAddress).join(', ');
    if (choice !== undefined && named !== '' && named !== this.#rivals) {
      this.#options.events.rivals(choice.address, rivals);
    }
    this.#rivals = named;
    return choice;
  }

  async #survey(signal: AbortSignal): Promise<readonly Answer[]> {
    const { addresses, clock } = this.#options;
    const late = new AbortController();
    const cancel = clock.after(surveyTimeoutMs, () => {
      late.abort(new LinkError('side-silent', `no answer within ${surveyTimeoutMs / 1000} s`, 'soon'));
    });
    try {
      const both = AbortSignal.any([signal, late.signal]);
      return await Promise.all(addresses.map((address) => this.#ask(address, both)));
    } finally {
      cancel();
      signal.throwIfAborted();
    }
  }

  async #ask(address: SourceAddress, signal: AbortSignal): Promise<Answer> {
    try {
      using side = await SideConnection.open({ ...this.#options, address, timeoutMs: answerTimeoutMs }, signal);
      const told = readRole(await side.command('ROLE'));
      const primary = told.role === 'slave' ? { ...told.primary, isUp: isUp(told.primary) } : undefined;
      const isOurs = primary !== undefined && this.#options.isOurs(address, primary);
      return { address, role: { role: told.role, primary }, info: await askInfo(side), isOurs };
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      return { address, error };
    }
  }
}

/** Which of two primaries goes on from us cannot be told without it; all else can. */
async function askInfo(side: SideConnection): Promise<ReplicationInfo | undefined> {
  try {
    const reply = await side.command('INFO', 'replication');
    return reply.kind === 'bulk' ? parseReplicationInfo(reply.value.toString()) : undefined;
  } catch (error) {
    if (error instanceof LinkError && error.code === 'no-permission') return undefined;
    throw error;
  }
}

/** All reasons in one line; hopeless only when each of them is. */
function nobody(answers: readonly Answer[]): LinkError {
  const errors = answers.flatMap((answer) => ('error' in answer ? [answer.error] : []));
  const reasons = answers.map((answer) => ('error' in answer ? answer.error.message : whyNot(answer)));
  const [first] = errors;
  const isHopeless = errors.length === answers.length && errors.every(({ retry }) => retry === 'never');
  return new LinkError(
    'no-primary',
    `none of the sources can be followed: ${reasons.join('; ')}`,
    isHopeless ? 'never' : 'soon',
    {
      hint: first?.hint,
      ...(isHopeless && first !== undefined && { exitCode: first.exitCode }),
    },
  );
}

function whyNot({ address, role, isOurs }: Exclude<Answer, { error: LinkError }>): string {
  const source = formatAddress(address);
  if (isOurs) return `${source} is a replica of this journal`;
  return `${source} is ${role.primary?.isUp === true ? 'a replica that is behind us' : 'a replica without its primary'}`;
}
