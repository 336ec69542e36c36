// A primary as a replica sees it: handshake, PSYNC with a backlog of limited size and a second id, full syncs in both
// forms, a command stream with SELECTs, MULTI groups, PINGs and GETACKs, output buffers that overflow, time-outs; and
// as a sampler sees it: a clock of its own, with an offset that goes with it.
// What it holds and what it sent is a History; servers come and go, histories are kept by the world.
// Invariant: bytes that it sends behind +CONTINUE or behind an RDB are those of its history, from there on, in order.
import type { Offset, ReplicationId } from '../../src/core/position.ts';
import type { Random } from '../support/random.ts';
import { copyOf, encodeRdb } from './dataset.ts';
import type { Command } from './dataset.ts';
import type { History } from './history.ts';
import type { SimulatedTime, WallClock } from './time.ts';

/** The server's end of a link. */
export interface ServerLink {
  send(bytes: Buffer): void;
  close(why: string): void;
  /** Sent, and not yet taken by the other side. */
  readonly unsent: number;
}

export interface PrimaryOptions {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly note: (text: string) => void;
  /** Of the machine that it runs on. */
  readonly clock: WallClock;
  /** Whether MULTI, TIME and ROLE are allowed. */
  readonly tellsTime: boolean;
  readonly id: ReplicationId;
  readonly history: History;
  /** The id before, and the last offset that it is good for. */
  readonly before?: { readonly id: ReplicationId; readonly last: Offset } | undefined;
  /** Behind this offset the backlog begins. */
  readonly backlogFrom: Offset;
  readonly backlogBytes: number;
  readonly outputBytesMax: number;
  /** An id was made up by the server itself. */
  readonly renamed: (id: ReplicationId, history: History) => void;
}

interface Replica {
  readonly link: ServerLink;
  input: string;
  state: 'handshake' | 'waiting' | 'saving' | 'sending' | 'unopened' | 'online';
  /** Of the stream, while the RDB is under way. */
  readonly held: Buffer[];
  heardAt: number;
}

const pingSeconds = 10;
const timeoutSeconds = 60;

export class ModelPrimary {
  id: ReplicationId;
  readonly history: History;
  #before: PrimaryOptions['before'];
  #backlogFrom: Offset;
  readonly #options: PrimaryOptions;
  readonly #replicas = new Map<ServerLink, Replica>();
  /** As the stream has it; −1: the next write says. */
  #db = -1;
  #isAlive = true;
  #seconds = 0;
  /** Answers PSYNC with an error until then. */
  #loadingUntil = 0;
  /** The highest offset that was acknowledged to this server. */
  acknowledged: Offset = 0;

  constructor(options: PrimaryOptions) {
    this.#options = options;
    this.id = options.id;
    this.history = options.history;
    this.#before = options.before;
    this.#backlogFrom = options.backlogFrom;
    options.time.after(1000, () => {
      this.#cron();
    });
  }

  get offset(): Offset {
    return this.history.end;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Replicas that get the stream. */
  get online(): number {
    return [...this.#replicas.values()].filter(({ state }) => state === 'online').length;
  }

  loading(ms: number): void {
    this.#loadingUntil = this.#options.time.now + ms * 1000;
  }

  die(): void {
    this.#isAlive = false;
    for (const link of [...this.#replicas.keys()]) this.drop(link, 'the server died');
  }

  /** CLIENT KILL, or whatever else makes a server let go of all its replicas. */
  dropAll(why: string): void {
    for (const link of [...this.#replicas.keys()]) this.drop(link, why);
  }

  /** DEBUG CHANGE-REPL-ID: the stream goes on, but nobody can come back to it. */
  changeId(id: ReplicationId): void {
    this.id = id;
    this.#before = undefined;
    this.#options.renamed(id, this.history);
  }

  forgetBacklog(): void {
    this.#backlogFrom = this.offset;
  }

  /** A command, or several as a transaction, in one db. */
  write(db: number, ...commands: Command[]): void {
    if (db !== this.#db) this.#feed(['SELECT', String(db)]);
    this.#db = db;
    if (commands.length === 1) this.#feed(...commands);
    else this.#feed(['MULTI'], ...commands, ['EXEC']);
  }

  /** WAIT: asks the replicas how far they are. */
  ask(): void {
    this.#feed(['REPLCONF', 'GETACK', '*']);
  }

  connected(link: ServerLink): void {
    this.#replicas.set(link, {
      link,
      input: '',
      state: 'handshake',
      held: [],
      heardAt: this.#options.time.now,
    });
  }

  /** The other side is gone. */
  disconnected(link: ServerLink): void {
    this.#replicas.delete(link);
  }

  drop(link: ServerLink, why: string): void {
    this.#replicas.delete(link);
    link.close(why);
  }

  received(link: ServerLink, bytes: Buffer): void {
    const replica = this.#replicas.get(link);
    if (replica === undefined) return;
    replica.heardAt = this.#options.time.now;
    replica.input += bytes.toString('latin1');
    for (let command = takeCommand(replica); command !== undefined; command = takeCommand(replica)) {
      this.#answer(replica, command);
    }
  }

  #answer(replica: Replica, command: Command): void {
    const { link } = replica;
    const { time, random } = this.#options;
    const [name = '', first = '', second = ''] = command;
    if (name === 'MULTI' || name === 'TIME' || name === 'ROLE' || name === 'EXEC') link.send(this.#sample(name));
    else if (name === 'PING') link.send(Buffer.from('+PONG\r\n'));
    else if (name === 'INFO' && first === 'replication') link.send(bulk(this.#lineage()));
    else if (name === 'INFO') link.send(bulk('# Server\r\nredis_version:7.2.5\r\nos:Linux\r\n'));
    else if (name === 'REPLCONF' && first === 'ACK') this.#acknowledge(replica, Number(second));
    else if (name === 'REPLCONF' && first === 'version')
      link.send(Buffer.from('-ERR Unrecognized REPLCONF option\r\n'));
    else if (name === 'REPLCONF') link.send(Buffer.from('+OK\r\n'));
    else if (name === 'PSYNC') {
      if (time.now < this.#loadingUntil) {
        link.send(Buffer.from('-LOADING Redis is loading the dataset in memory\r\n'));
        this.drop(link, 'loading');
      } else if (this.#canContinue(first, Number(second))) this.#goOn(replica, Number(second));
      else {
        replica.state = 'waiting';
        time.after(random.pick([0, 0, 20, 2500]), () => {
          this.#fullSync(replica);
        });
      }
    } else throw new Error(`the journal sent ${JSON.stringify(command)}`);
  }

  /** Its answer to one of the commands with which it is asked for its time and offset at once. */
  #sample(name: string): Buffer {
    if (!this.#options.tellsTime)
      return Buffer.from(`-NOPERM no permissions to run the '${name.toLowerCase()}' command\r\n`);
    if (name === 'MULTI') return Buffer.from('+OK\r\n');
    if (name !== 'EXEC') return Buffer.from('+QUEUED\r\n');
    const now = this.#options.clock.origin + this.#options.time.now;
    const time = [Math.floor(now / 1e6), now % 1e6].map((part) => bulk(String(part)).toString());
    return Buffer.from(`*2\r\n*2\r\n${time.join('')}*3\r\n$6\r\nmaster\r\n:${this.offset}\r\n*0\r\n`);
  }

  #lineage(): string {
    const { id, last } = this.#before ?? { id: '0'.repeat(40), last: -2 };
    return [
      '# Replication',
      'role:master',
      'connected_slaves:0',
      'master_failover_state:no-failover',
      `master_replid:${this.id}`,
      `master_replid2:${id}`,
      `master_repl_offset:${this.offset}`,
      `second_repl_offset:${last + 1}`,
      '',
    ].join('\r\n');
  }

  #acknowledge(replica: Replica, offset: Offset): void {
    if (offset > this.offset) throw new Error(`${offset} was acknowledged, and only ${this.offset} was ever sent`);
    this.acknowledged = Math.max(this.acknowledged, offset);
    if (replica.state === 'unopened') this.#open(replica);
  }

  /** `from` is the first byte that is asked for. */
  #canContinue(id: ReplicationId, from: Offset): boolean {
    const isOurs = id === this.id || (id === this.#before?.id && from <= this.#before.last + 1);
    return isOurs && from > this.#backlogFrom && from <= this.offset + 1;
  }

  #goOn(replica: Replica, from: Offset): void {
    this.#options.note(`primary: +CONTINUE ${this.id.slice(0, 6)} from ${from}, at ${this.offset}`);
    replica.link.send(Buffer.from(`+CONTINUE ${this.id}\r\n`));
    replica.held.push(Buffer.from(this.history.bytes(from, this.offset)));
    this.#open(replica);
  }

  #fullSync(replica: Replica): void {
    if (!this.#isAlive || !this.#replicas.has(replica.link)) return;
    const { time, random, note } = this.#options;
    const aux = {
      'redis-ver': '7.2.5',
      'repl-stream-db': String(Math.max(0, this.#db)),
      'repl-id': this.id,
      'repl-offset': String(this.offset),
    };
    const rdb = encodeRdb(copyOf(this.history.state), aux);
    const hasLength = random.chance(0.5);
    note(`primary: +FULLRESYNC ${this.id.slice(0, 6)} ${this.offset}, ${rdb.length} bytes`);
    replica.link.send(Buffer.from(`+FULLRESYNC ${this.id} ${this.offset}\r\n`));
    replica.state = 'saving';
    this.#db = -1;
    const mark = random.bytes(20).toString('hex');
    const head = Buffer.from(hasLength ? `$${rdb.length}\r\n` : `$EOF:${mark}\r\n`);
    const whole = Buffer.concat([head, rdb, Buffer.from(hasLength ? '' : mark)]);
    const cut = random.between(1, whole.length - 1);
    const slow = random.pick([0, 1, 100, 3000]);
    time.after(random.pick([0, 50, 1500]), () => {
      replica.state = 'sending';
      replica.link.send(whole.subarray(0, cut));
      time.after(slow, () => {
        replica.link.send(whole.subarray(cut));
        if (hasLength) this.#open(replica);
        else replica.state = 'unopened';
      });
    });
  }

  #open(replica: Replica): void {
    if (!this.#replicas.has(replica.link)) return;
    replica.state = 'online';
    for (const bytes of replica.held.splice(0)) if (bytes.length > 0) replica.link.send(bytes);
  }

  #feed(...commands: Command[]): void {
    const bytes = this.history.append(this.#options.time.now, ...commands);
    this.#backlogFrom = Math.max(this.#backlogFrom, this.offset - this.#options.backlogBytes);
    for (const replica of [...this.#replicas.values()]) {
      const { state, link, held } = replica;
      if (state === 'online') link.send(bytes);
      else if (state === 'saving' || state === 'sending' || state === 'unopened') held.push(bytes);
      const waiting = held.reduce((sum, part) => sum + part.length, link.unsent);
      if (waiting > this.#options.outputBytesMax) this.drop(link, `${waiting} bytes in its output buffer`);
    }
  }

  #cron(): void {
    if (!this.#isAlive) return;
    this.#seconds += 1;
    const { time } = this.#options;
    for (const { state, link, heardAt } of [...this.#replicas.values()]) {
      if (state === 'waiting' || state === 'saving') link.send(Buffer.from('\n'));
      if (time.now - heardAt > timeoutSeconds * 1e6) this.drop(link, 'nothing heard for repl-timeout');
    }
    if (this.#seconds % pingSeconds === 0 && [...this.#replicas.values()].some(({ state }) => state !== 'handshake'))
      this.#feed(['PING']);
    time.after(1000, () => {
      this.#cron();
    });
  }
}

function takeCommand(replica: Replica): Command | undefined {
  while (replica.input.startsWith('\n')) replica.input = replica.input.slice(1);
  const count = Number(/^\*(\d+)\r\n/.exec(replica.input)?.[1] ?? 0);
  if (count === 0) return undefined;
  const words: string[] = [];
  let at = replica.input.indexOf('\n') + 1;
  for (let left = count; left > 0; left -= 1) {
    const head = /^\$(\d+)\r\n/.exec(replica.input.slice(at, at + 16));
    if (head === null) return undefined;
    const from = at + head[0].length;
    const to = from + Number(head[1]);
    if (to + 2 > replica.input.length) return undefined;
    words.push(replica.input.slice(from, to));
    at = to + 2;
  }
  replica.input = replica.input.slice(at);
  return words;
}

function bulk(content: string): Buffer {
  return Buffer.from(`$${content.length}\r\n${content}\r\n`);
}
