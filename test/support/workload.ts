// Workload: seeded random commands of every kind against a live server, for tests that ask whether a journal brings
// back whatever happened.
// Neighbours: workload-data.ts and workload-keyspace.ts hold the operations, workload-vocabulary.ts names and values;
// transfers.ts is the other workload, with an invariant to check at every instant.
// Invariant: commands follow from the seed alone (a few absolute times apart), and an error reply that isn't expected
// ends the run with the seed, the step and the command.
import { Random } from './random.ts';
import { type Command, type Reply, ReplyError, type RespClient } from './resp-client.ts';
import { isAtLeast, type ServerVersion } from './servers.ts';
import { dataOperations } from './workload-data.ts';
import { hashFieldTtlOperations, keyspaceOperations } from './workload-keyspace.ts';
import { type Operation, Vocabulary } from './workload-vocabulary.ts';

export interface WorkloadOptions {
  /** Names per type and db; few names mean much interaction. */
  readonly keysPerType?: number;
  /** Now and then a value of 1 MB. */
  readonly largeValues?: boolean;
  /** Expiry of hash fields, where the server has it. */
  readonly hashFieldTtl?: boolean;
  /** Leaves out operations by name, for example flushall. */
  readonly without?: readonly string[];
}

const groupChance = 0.12;

/** What a correct server answers to a workload that doesn't look before it writes. */
const expectedErrors: readonly RegExp[] = [
  /no such key/,
  /index out of range/,
  /source and destination objects are the same/,
  /^NOGROUP/,
  /^BUSYGROUP/,
  /equal or smaller than the target stream top item/,
  /smaller than the target stream top item/,
  /requires the key to exist/,
  /deliberate failure/,
  /Function not found/,
  /Library not found/,
];

export class Workload {
  readonly seed: number;
  readonly #random: Random;
  readonly #words: Vocabulary;
  readonly #operations: readonly Operation[];
  readonly #totalWeight: number;
  #steps = 0;

  constructor(seed: number, server: ServerVersion, options: WorkloadOptions = {}) {
    const { keysPerType = 20, largeValues = true, hashFieldTtl = false, without = [] } = options;
    this.seed = seed;
    this.#random = new Random(seed);
    this.#words = new Vocabulary(this.#random, keysPerType, largeValues);
    this.#operations = [
      ...dataOperations,
      ...keyspaceOperations,
      ...(hashFieldTtl ? hashFieldTtlOperations : []),
    ].filter(({ since, name }) => (since === undefined || isAtLeast(server, since)) && !without.includes(name));
    this.#totalWeight = this.#operations.reduce((sum, { weight }) => sum + weight, 0);
  }

  /** The commands of the next step: one operation, or several in MULTI … EXEC. */
  next(): readonly Command[] {
    this.#steps++;
    if (!this.#random.chance(groupChance)) return this.#choose().make(this.#words);
    const grouped: Command[] = [];
    for (let left = this.#random.between(1, 6); left > 0; left--) {
      const operation = this.#choose();
      if (operation.isAlone !== true) grouped.push(...operation.make(this.#words));
    }
    return [['MULTI'], ...grouped, ['EXEC']];
  }

  async step(client: RespClient): Promise<void> {
    const commands = this.next();
    const replies = await client.callMany(commands);
    const error = replies.flatMap(errorsOf).find(({ message }) => !expectedErrors.some((known) => known.test(message)));
    if (error === undefined) return;
    const shown = commands.map((command) => command.map(String).join(' ').slice(0, 300)).join('\n  ');
    throw new Error(`seed ${this.seed}, step ${this.#steps}: ${error.message}, to\n  ${shown}`, { cause: error });
  }

  async run(client: RespClient, steps: number): Promise<void> {
    for (let left = steps; left > 0; left--) await this.step(client);
  }

  #choose(): Operation {
    let roll = this.#random.next() * this.#totalWeight;
    for (const operation of this.#operations) {
      roll -= operation.weight;
      if (roll < 0) return operation;
    }
    throw new Error('the workload has no operations');
  }
}

/** Errors of a reply; those of EXEC stand in its array. */
function errorsOf(reply: Reply): ReplyError[] {
  if (reply instanceof ReplyError) return [reply];
  return Array.isArray(reply) ? reply.flatMap(errorsOf) : [];
}
