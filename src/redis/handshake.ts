/**
 * How we become a replica: PING, AUTH, INFO twice, REPLCONFs, PSYNC, as a machine without a socket. Bytes of the server go
 * in, bytes for it come out, at the end an outcome or a LinkError that says how to go on.
 *
 * One command is under way at a time: a primary refuses PSYNC while replies to the same client are pending. A
 * listening-port is sent only where somebody answers there who is not to be promoted: without one, Sentinel knows us as a
 * replica that it can never reach. `dual-channel` and `rdb-channel-repl` are not announced: they would ask for a second
 * connection.
 *
 * What each kind of reply means in each state is the table `transitions`; nothing else decides it.
 */
import { LinkError } from '../core/errors.ts';
import { isReplicationId, offsetMax, parseOffset } from '../core/position.ts';
import type { Offset, Position, ReplicationId } from '../core/position.ts';
import { encodeCommand } from './commands-out.ts';
import { linkOffer, linkVersion } from './link-frame.ts';
import { printable, refusalOf, refused } from './refusals.ts';
import type { Refusal } from './refusals.ts';
import { parseReplicationInfo } from './replication-info.ts';
import type { ReplicationInfo } from './replication-info.ts';
import { ReplyReader } from './replies.ts';
import type { Reply } from './replies.ts';
import { serverVersionFromInfo } from './server-version.ts';
import type { ServerVersion } from './server-version.ts';

export interface HandshakeOptions {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** The last byte that we hold: the stream is asked for from the next one on. Without it, a full sync is asked for. */
  readonly resume?: Position | undefined;
  readonly announce?: AnnouncedAddress | undefined;
  /** Whether a journal is asked for its link. */
  readonly asksLink?: boolean | undefined;
  /** The beginning of a base that a journal is asked to go on with. */
  readonly heldBase?: HeldBase | undefined;
}

/** As redis/link-state.ts names a base, and how much of it is there. */
export interface HeldBase {
  readonly identity: string;
  readonly bytes: number;
}

/** Where we listen, as the primary is to tell others. */
export interface AnnouncedAddress {
  /** Undefined: where we connect from. */
  readonly host: string | undefined;
  readonly port: number;
}

export type HandshakeOutcome =
  | { readonly kind: 'full-resync'; readonly id: ReplicationId; readonly offset: Offset }
  /** `id` is the history's name from here on: after a failover another than the one asked for. */
  | { readonly kind: 'continue'; readonly id: ReplicationId };

/** Each state waits for the reply to the command it is named after. */
export type HandshakeState =
  'ping' | 'auth' | 'info' | 'lineage' | 'announce' | 'capa' | 'version' | 'link' | 'base' | 'psync';

/** Kinds of reply that are told apart. */
export type HandshakeEvent =
  'pong' | 'ok' | 'full-resync' | 'continue' | 'other-status' | 'bulk' | 'other-reply' | Refusal;

/** go on · go on, with a note of the error · done · the server refused · it answered what no server answers */
export type HandshakeAction = 'advance' | 'note' | 'done' | 'refuse' | 'unexpected' | 'authenticate';

/**
 * Valkey 9 sends a replica that reports less than 9.0.0 RDB version 11, which cannot hold TTLs of hash fields: with one
 * in the dataset every full sync would fail. Other servers answer with an error, or ignore it.
 */
const announcedVersion = '9.1.0';

/** Errors that end the handshake wherever they come; rows below take exceptions. */
const refusedEverywhere = {
  'no-auth': 'refuse',
  'wrong-password': 'refuse',
  'password-not-wanted': 'refuse',
  'user-not-wanted': 'refuse',
  'no-permission': 'refuse',
  denied: 'refuse',
  loading: 'refuse',
  busy: 'refuse',
  'no-master-link': 'refuse',
  'master-down': 'refuse',
  'bgsave-failed': 'refuse',
  'too-many-clients': 'refuse',
  'unknown-command': 'refuse',
  'other-error': 'refuse',
} as const;

const unexpectedEverywhere = {
  pong: 'unexpected',
  ok: 'unexpected',
  'full-resync': 'unexpected',
  continue: 'unexpected',
  'other-status': 'unexpected',
  bulk: 'unexpected',
  'other-reply': 'unexpected',
} as const;

const otherwise = { ...refusedEverywhere, ...unexpectedEverywhere } as const;

const transitions: Readonly<Record<HandshakeState, Readonly<Record<HandshakeEvent, HandshakeAction>>>> = {
  // A user who may replicate need not have PING.
  ping: { ...otherwise, pong: 'advance', 'no-auth': 'authenticate', 'no-permission': 'advance' },
  auth: { ...otherwise, ok: 'advance' },
  // The version is good to know, no more.
  info: { ...otherwise, bulk: 'advance', 'no-permission': 'note', 'unknown-command': 'note', 'other-error': 'note' },
  // So is the history, and asked before PSYNC, since that may make the server forget it. Its absence has been noted.
  lineage: {
    ...otherwise,
    bulk: 'advance',
    'no-permission': 'advance',
    'unknown-command': 'advance',
    'other-error': 'advance',
  },
  // Who is not told of us cannot come to us: no reason not to follow.
  announce: { ...otherwise, ok: 'advance', 'other-error': 'note' },
  // An option that the server does not know does no harm; REPLCONF forbidden would stop our acknowledgements.
  capa: { ...otherwise, ok: 'advance', 'other-error': 'note' },
  // Only Valkey 8.0 and later know this option.
  version: { ...otherwise, ok: 'advance', 'other-error': 'advance' },
  // Only journals do this one, and say so.
  link: { ...otherwise, ok: 'advance', 'other-status': 'advance', 'other-error': 'advance' },
  // A journal that cannot go on with it begins anew.
  base: { ...otherwise, ok: 'advance', 'other-error': 'advance' },
  psync: { ...otherwise, 'full-resync': 'done', continue: 'done' },
};

const stateOrder: readonly HandshakeState[] = [
  'ping',
  'auth',
  'info',
  'lineage',
  'announce',
  'capa',
  'version',
  'link',
  'base',
  'psync',
];

export interface HandshakeStep {
  /** To be sent now. */
  readonly send: Buffer | undefined;
  /** Set once, when the handshake is over; take `rest` then. */
  readonly outcome: HandshakeOutcome | undefined;
}

export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #replies = new ReplyReader();
  readonly #notes: string[] = [];
  #state: HandshakeState = 'ping';
  #server: ServerVersion | undefined;
  #lineage: ReplicationInfo | undefined;
  #isLinked = false;

  constructor(options: HandshakeOptions = {}) {
    this.#options = options;
  }

  get state(): HandshakeState {
    return this.#state;
  }

  /** Known after INFO, if the server let us ask. */
  get server(): ServerVersion | undefined {
    return this.#server;
  }

  /** The server's history and its place in it before PSYNC, if it let us ask. */
  get lineage(): ReplicationInfo | undefined {
    return this.#lineage;
  }

  /** Behind the answer to PSYNC come link frames. */
  get isLinked(): boolean {
    return this.#isLinked;
  }

  /** Errors that were passed over, for the log. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /** The first command. */
  start(): Buffer {
    return this.#command();
  }

  /** Takes bytes of the server. Throws a LinkError when it is over in failure. */
  push(bytes: Uint8Array): HandshakeStep {
    this.#replies.push(bytes);
    const reply = this.#replies.next();
    if (reply === undefined) return { send: undefined, outcome: undefined };
    const action = transitions[this.#state][eventOf(reply)];
    switch (action) {
      case 'done':
        return { send: undefined, outcome: this.#outcome(textOf(reply)) };
      case 'authenticate':
        if (this.#options.password === undefined) throw this.#refused(reply);
        return this.#advance();
      case 'advance':
        if (this.#state === 'info') this.#server = serverVersionFromInfo(textOf(reply));
        if (this.#state === 'lineage') this.#lineage = parseReplicationInfo(textOf(reply));
        if (this.#state === 'link') this.#isLinked = textOf(reply) === linkOffer;
        return this.#advance();
      case 'note':
        this.#notes.push(`${commandNames[this.#state]} answered: ${printable(textOf(reply))}`);
        return this.#advance();
      case 'refuse':
        throw this.#refused(reply);
      case 'unexpected':
        throw this.#unexpected(reply);
    }
  }

  /** The bytes behind the reply to PSYNC: of the full sync, or of the stream. */
  rest(): Buffer {
    return this.#replies.rest();
  }

  #advance(): HandshakeStep {
    this.#state = this.#next();
    // Only while PSYNC is pending does a primary send newlines, to say that it is still there.
    this.#replies.skipNewlines = this.#state === 'psync';
    return { send: this.#command(), outcome: undefined };
  }

  #next(): HandshakeState {
    const { password, announce, asksLink, heldBase } = this.#options;
    const left = new Set<HandshakeState>();
    if (password === undefined) left.add('auth');
    if (announce === undefined) left.add('announce');
    if (asksLink !== true) left.add('link');
    if (heldBase === undefined || !this.#isLinked) left.add('base');
    const order = stateOrder.filter((state) => !left.has(state));
    return order[order.indexOf(this.#state) + 1] ?? 'psync';
  }

  #command(): Buffer {
    const { user, password = '', resume, announce, heldBase } = this.#options;
    switch (this.#state) {
      case 'ping':
        return encodeCommand('PING');
      case 'auth':
        return user === undefined ? encodeCommand('AUTH', password) : encodeCommand('AUTH', user, password);
      case 'info':
        return encodeCommand('INFO', 'server');
      case 'lineage':
        return encodeCommand('INFO', 'replication');
      case 'announce': {
        const host = announce?.host === undefined ? [] : ['ip-address', announce.host];
        return encodeCommand('REPLCONF', 'listening-port', String(announce?.port ?? 0), ...host);
      }
      case 'capa':
        return encodeCommand('REPLCONF', 'capa', 'eof', 'capa', 'psync2');
      case 'version':
        return encodeCommand('REPLCONF', 'version', announcedVersion);
      case 'link':
        return encodeCommand('REPLCONF', 'journal-link', String(linkVersion));
      case 'base':
        return encodeCommand('REPLCONF', 'journal-base', heldBase?.identity ?? '', String(heldBase?.bytes));
      case 'psync':
        return resume === undefined
          ? encodeCommand('PSYNC', '?', '-1')
          : encodeCommand('PSYNC', resume.id, String(resume.offset + 1));
    }
  }

  #outcome(text: string): HandshakeOutcome {
    const [word, id, offset, ...more] = text.split(' ');
    if (id !== undefined && !isReplicationId(id)) throw this.#malformed(text);
    if (word === 'CONTINUE') {
      const { resume } = this.#options;
      if (resume === undefined || offset !== undefined) throw this.#malformed(text);
      return { kind: 'continue', id: id ?? resume.id };
    }
    const at = parseOffset(offset ?? '');
    // Behind the last offset that can be journaled there is no room for a stream.
    if (id === undefined || at === undefined || at === offsetMax || more.length > 0) throw this.#malformed(text);
    return { kind: 'full-resync', id, offset: at };
  }

  #refused(reply: Reply): LinkError {
    return refused(commandNames[this.#state], textOf(reply), this.#state === 'auth');
  }

  #unexpected(reply: Reply): LinkError {
    const shown = this.#state === 'auth' ? reply.kind : printable(textOf(reply));
    const message = `the server answered ${commandNames[this.#state]} with something no Redis or Valkey sends: ${shown}`;
    return new LinkError('unexpected-reply', message, 'later', {
      hint: 'a newer kind of replication, or a proxy in between: connect to the server itself',
    });
  }

  #malformed(text: string): LinkError {
    return new LinkError('protocol-broken', `the server answered PSYNC with '${printable(text)}'`, 'later');
  }
}

const commandNames: Readonly<Record<HandshakeState, string>> = {
  ping: 'PING',
  auth: 'AUTH',
  info: 'INFO',
  lineage: 'INFO replication',
  announce: 'REPLCONF listening-port',
  capa: 'REPLCONF capa',
  version: 'REPLCONF version',
  link: 'REPLCONF journal-link',
  base: 'REPLCONF journal-base',
  psync: 'PSYNC',
};

function eventOf(reply: Reply): HandshakeEvent {
  switch (reply.kind) {
    case 'error':
      return refusalOf(reply.value);
    case 'bulk':
      return 'bulk';
    case 'status':
      return statusEvents.get(reply.value.split(' ', 1)[0]!) ?? 'other-status';
    case 'integer':
    case 'array':
    case 'null':
      return 'other-reply';
  }
}

const statusEvents: ReadonlyMap<string, HandshakeEvent> = new Map([
  ['PONG', 'pong'],
  ['OK', 'ok'],
  ['FULLRESYNC', 'full-resync'],
  ['CONTINUE', 'continue'],
]);

function textOf(reply: Reply): string {
  if (reply.kind === 'array') return 'an array';
  return reply.kind === 'bulk' ? reply.value.toString() : String(reply.value);
}
