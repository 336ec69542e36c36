// FakePrimary: a primary without a socket, for tests of the upstream room: it implements Connect (src/upstream) and
// answers the handshake from a script; what else it sends, and where its reads are cut, is for the test to say.
// Neighbours: tap.ts and redis-server.ts are the real thing; turning-clock.ts in test/upstream is the time that goes with this.
// Invariant: as with a socket, bytes come in order, in a later turn than what asked for them, none while paused or
// after the end; and the memory of a read is overwritten as soon as nobody retains it.
import { LinkError } from '../../src/core/errors.ts';
import type { SlabPool } from '../../src/core/slabs.ts';
import type { Connect, Connection, ConnectionEvents } from '../../src/upstream/connect.ts';
import { encodeCommand } from './resp-client.ts';

export interface FakeScript {
  /** Replies by the command's name in capitals, REPLCONF's by its option as well; others are answered as usual. */
  readonly replies?: Readonly<Record<string, string>>;
  /** What PSYNC is answered with, and what follows at once. */
  readonly psync: (id: string, offset: number) => Buffer;
  /** Reads end at these counts of bytes from the beginning of the connection. */
  readonly cuts?: readonly number[];
  /** No read is longer. */
  readonly readBytesMax?: number;
}

export const fakeId: string = 'a'.repeat(40);
const info = '# Server\r\nredis_version:7.0.15\r\n';

const usualReplies: Readonly<Record<string, string>> = {
  PING: '+PONG\r\n',
  AUTH: '+OK\r\n',
  INFO: `$${info.length}\r\n${info}\r\n`,
  'REPLCONF CAPA': '+OK\r\n',
  'REPLCONF VERSION': '-ERR Unrecognized REPLCONF option: version\r\n',
};

export class FakePrimary {
  /** Every connection there has been. */
  readonly links: FakeLink[] = [];
  script: FakeScript;
  /** When set, connecting fails with it. */
  refusal: LinkError | undefined;
  attempts = 0;

  constructor(script: FakeScript) {
    this.script = script;
  }

  readonly connect: Connect = async ({ pool, signal }, events) => {
    this.attempts += 1;
    signal.throwIfAborted();
    if (this.refusal !== undefined) throw this.refusal;
    const link = new FakeLink(this.script, pool, events);
    this.links.push(link);
    return link;
  };

  /** The connection that was made last. */
  get link(): FakeLink {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error('nobody has connected');
    return link;
  }
}

export class FakeLink implements Connection {
  readonly #script: FakeScript;
  readonly #pool: SlabPool;
  readonly #events: ConnectionEvents;
  readonly isBehind = false;
  readonly #outgoing: Buffer[] = [];
  #pumping = false;
  #delivered = 0;
  #unparsed = '';
  /** What the follower sent, newlines left out, each command as its words; `\n` for a newline alone. */
  readonly received: string[] = [];
  isPaused = false;
  isClosed = false;
  /** How often reading was stopped. */
  pauses = 0;

  constructor(script: FakeScript, pool: SlabPool, events: ConnectionEvents) {
    this.#script = script;
    this.#pool = pool;
    this.#events = events;
  }

  /** The offsets of REPLCONF ACK so far. */
  get acks(): number[] {
    return this.received.flatMap((line) => {
      const [, ack, fack] = /^REPLCONF ACK (\d+) FACK (\d+)$/.exec(line) ?? [];
      if (ack !== fack) throw new Error(`ACK and FACK differ: ${line}`);
      return ack === undefined ? [] : [Number(ack)];
    });
  }

  /** The primary sends: it arrives in later turns, in reads as the script cuts them. */
  say(bytes: Buffer | string): void {
    this.#outgoing.push(Buffer.from(bytes as string));
    this.#pump();
  }

  /** One read, at once, even when paused: it was under way. */
  read(bytes: Buffer | string): void {
    if (this.isClosed) return;
    const slab = this.#pool.take();
    const count = slab.bytes.write(bytes.toString('latin1'), 'latin1');
    if (count < bytes.length) throw new RangeError('a read is longer than a slab');
    this.#delivered += count;
    this.#events.bytes(slab.bytes.subarray(0, count), slab);
    slab.release();
    poison(this.#pool);
  }

  /** The connection breaks. */
  lose(error: LinkError = new LinkError('link-lost', 'the link was lost', 'soon')): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#events.closed(error);
  }

  send(bytes: Uint8Array): void {
    if (this.isClosed) return;
    this.#unparsed += Buffer.from(bytes).toString('latin1');
    for (let words = this.#takeCommand(); words !== undefined; words = this.#takeCommand()) {
      this.received.push(words.join(' '));
      const answer = this.#answer(words);
      if (answer !== undefined) this.say(answer);
    }
  }

  pause(): void {
    this.isPaused = true;
    this.pauses += 1;
  }

  resume(): void {
    this.isPaused = false;
    this.#pump();
  }

  close(): void {
    this.isClosed = true;
  }

  async closeAfter(bytes: Uint8Array): Promise<void> {
    this.send(bytes);
    this.close();
  }

  #answer(words: readonly string[]): Buffer | string | undefined {
    const [name = '', first = '', second = ''] = words.map((word) => word.toUpperCase());
    const { replies = {}, psync } = this.#script;
    if (name === 'PSYNC') return replies.PSYNC ?? psync(words[1] ?? '', Number(second));
    const key = name === 'REPLCONF' ? `${name} ${first}` : name;
    return replies[key] ?? usualReplies[key];
  }

  #takeCommand(): readonly string[] | undefined {
    if (this.#unparsed.startsWith('\n')) {
      this.#unparsed = this.#unparsed.slice(1);
      return ['\n'];
    }
    const count = Number(/^\*(\d+)\r\n/.exec(this.#unparsed)?.[1]);
    const words: string[] = [];
    let at = this.#unparsed.indexOf('\n') + 1;
    for (let left = count; left > 0; left--) {
      const head = /^\$(\d+)\r\n/.exec(this.#unparsed.slice(at, at + 16));
      if (head === null) return undefined;
      const start = at + head[0].length;
      const end = start + Number(head[1]);
      if (end + 2 > this.#unparsed.length) return undefined;
      words.push(this.#unparsed.slice(start, end));
      at = end + 2;
    }
    if (words.length === 0) return undefined;
    this.#unparsed = this.#unparsed.slice(at);
    return words;
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      if (this.isPaused || this.isClosed) return;
      const bytes = this.#outgoing.shift();
      if (bytes === undefined) return;
      const length = this.#readLength(bytes.length);
      if (length < bytes.length) this.#outgoing.unshift(bytes.subarray(length));
      this.read(bytes.subarray(0, length));
      this.#pump();
    });
  }

  #readLength(available: number): number {
    const { cuts = [], readBytesMax = Infinity } = this.#script;
    const toCuts = cuts.map((cut) => cut - this.#delivered).filter((length) => length > 0);
    return Math.min(available, readBytesMax, ...toCuts);
  }
}

/** A stream command as a primary writes it. */
export function streamCommand(...words: string[]): Buffer {
  return encodeCommand(words);
}

export const getAck: Buffer = streamCommand('REPLCONF', 'GETACK', '*');

/** The smallest RDB that says what it is the state of; its checksum is not looked at where no disk is. */
export function smallRdb(id: string, offset: number, aux: Readonly<Record<string, string>> = {}): Buffer {
  const fields = { 'redis-ver': '7.0.15', 'repl-stream-db': '0', 'repl-id': id, 'repl-offset': String(offset), ...aux };
  const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const pairs = Object.entries(fields).map(([name, value]) =>
    Buffer.concat([Buffer.from([0xfa]), text(name), text(value)]),
  );
  return Buffer.concat([Buffer.from('REDIS0010'), ...pairs, Buffer.from([0xff]), Buffer.alloc(8)]);
}

/** +FULLRESYNC and the RDB, in either form of the transfer. */
export function fullSync(id: string, offset: number, form: 'length' | 'mark', rdb = smallRdb(id, offset)): Buffer {
  const mark = 'e'.repeat(20) + 'f'.repeat(20);
  const [head, tail] = form === 'length' ? [`$${rdb.length}\r\n`, ''] : [`$EOF:${mark}\r\n`, mark];
  return Buffer.concat([
    Buffer.from(`+FULLRESYNC ${id} ${offset}\r\n${form === 'length' ? '\n\n' : ''}${head}`),
    rdb,
    Buffer.from(tail),
  ]);
}

/** Slabs that are back in the pool hold nothing any more that anybody may still look at. */
function poison(pool: SlabPool): void {
  const slab = pool.take();
  slab.bytes.fill(0xee);
  slab.release();
}
