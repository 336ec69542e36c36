/**
 * One client of ours until it becomes a replica (pure): requests in, replies out. It answers what replicas, Sentinel,
 * redis-cli and exporters ask of a replica, and refuses everything else: there are no keys to ask for.
 *
 *   stranger ─ AUTH ─→ known ─ PSYNC ─→ replica                     a stranger learns nothing
 *
 * A primary that hands its role over (FAILOVER) may choose us, since our acknowledgements are as good as a replica's: it is
 * told no, whereupon it resumes. Sentinel's SLAVEOF is taken as news of which of the sources is the primary; of anything
 * else it is refused, for who may read from us may not say what is journaled.
 */
import {
  arrayReply,
  bulkReply,
  errorReply,
  integerReply,
  mapReply,
  nullReply,
  okReply,
  pushReply,
  statusReply,
} from '../redis/replies-out.ts';
import { defaultUser } from './accounts.ts';
import type { Accounts } from './accounts.ts';
import { parseOffset } from '../core/position.ts';
import { linkOffer, linkVersion } from '../redis/link-frame.ts';
import type { PsyncRequest, ReplicaSkills } from './answer-psync.ts';
import { infoText, roleReply, serverOf, timeReply } from './info.ts';
import type { About } from './info.ts';

export interface ConversationOptions {
  readonly accounts: Accounts;
  readonly about: () => About;
  /** Journals may have more than the plain protocol. */
  readonly offersLink: boolean;
  readonly clientId: number;
}

export interface Turn {
  /** latin-1. */
  readonly send: string;
  readonly event?: ConversationEvent;
}

export type ConversationEvent =
  /** It wants the stream: what is sent from here on is not ours to say. */
  | { readonly kind: 'psync'; readonly request: PsyncRequest }
  | { readonly kind: 'close' }
  | { readonly kind: 'known'; readonly user: string }
  | { readonly kind: 'wrong-password' }
  /** One wrong password too many. */
  | { readonly kind: 'locked-out' }
  /** The primary is there, says Sentinel. */
  | { readonly kind: 'moved'; readonly host: string; readonly port: number }
  /** Somebody wants us to follow what is none of the sources. */
  | { readonly kind: 'misled'; readonly address: string };

/** What a replica told of itself. */
export interface ReplicaClaims extends ReplicaSkills {
  readonly port: number;
  /** Undefined: where it connects from. */
  readonly host: string | undefined;
}

type Command = (args: readonly string[]) => Turn;

/** So many wrong passwords are one too many. */
const passwordsMax = 3;
const transactionMax = 64;
/** What changes who is spoken to, or what is heard. */
const notInTransactions: ReadonlySet<string> = new Set(['AUTH', 'HELLO', 'PSYNC', 'SUBSCRIBE', 'PSUBSCRIBE']);
const channelsMax = 64;
const noLink = `ERR this journal has no link of that version here, but ${linkVersion} where it serves a whole history`;
const protocols: ReadonlyMap<string, 2 | 3> = new Map([
  ['2', 2],
  ['3', 3],
]);

export class Conversation {
  readonly #options: ConversationOptions;
  #user: string | undefined;
  #resp: 2 | 3 = 2;
  #wrongPasswords = 0;
  #name = '';
  #channels = new Set<string>();
  #transaction: (readonly string[])[] | undefined;
  #claims: ReplicaClaims = { port: 0, host: undefined, valkey: undefined };

  constructor(options: ConversationOptions) {
    this.#options = options;
  }

  get isKnown(): boolean {
    return this.#user !== undefined;
  }

  get claims(): ReplicaClaims {
    return this.#claims;
  }

  take(request: readonly Buffer[]): Turn {
    const [name = '', ...args] = request.map((argument) => argument.toString('latin1'));
    const upper = name.toUpperCase();
    if (this.#user === undefined) return this.#meet(upper, args);
    if (this.#transaction !== undefined && !['EXEC', 'DISCARD', 'MULTI', 'QUIT'].includes(upper)) {
      return this.#queue(this.#transaction, [upper, ...args]);
    }
    return this.#answer(upper, args);
  }

  #meet(name: string, args: readonly string[]): Turn {
    switch (name) {
      case 'AUTH':
        return this.#authenticate(args);
      case 'HELLO':
        return this.#hello(args);
      case 'QUIT':
        return { send: okReply, event: { kind: 'close' } };
      default:
        return { send: errorReply('NOAUTH Authentication required.') };
    }
  }

  #answer(name: string, args: readonly string[]): Turn {
    const command = this.#commands[name];
    if (command !== undefined) return command(args);
    return { send: errorReply(`ERR unknown command '${shown(name)}': this is a journal, which answers as a replica`) };
  }

  /** What each command is, once the client is known. */
  readonly #commands: Readonly<Record<string, Command>> = {
    AUTH: (args) => this.#authenticate(args),
    HELLO: (args) => this.#hello(args),
    QUIT: () => ({ send: okReply, event: { kind: 'close' } }),
    PING: ([text]) => this.#ping(text),
    ECHO: ([text = '']) => ({ send: bulkReply(text) }),
    SELECT: () => ({ send: okReply }),
    INFO: (args) => ({ send: bulkReply(infoText(this.#options.about(), args)) }),
    ROLE: () => ({ send: roleReply(this.#options.about()) }),
    TIME: () => ({ send: timeReply(this.#options.about()) }),
    CLIENT: (args) => ({ send: this.#client(args) }),
    COMMAND: ([sub]) => ({ send: sub?.toUpperCase() === 'COUNT' ? integerReply(0) : arrayReply([]) }),
    CONFIG: ([sub]) => ({ send: sub?.toUpperCase() === 'GET' ? mapReply([], this.#resp) : okReply }),
    SCRIPT: () => ({ send: errorReply('NOTBUSY No scripts in execution right now.') }),
    PUBLISH: () => ({ send: integerReply(0) }),
    SUBSCRIBE: (args) => ({ send: this.#subscribe('subscribe', args) }),
    PSUBSCRIBE: (args) => ({ send: this.#subscribe('psubscribe', args) }),
    UNSUBSCRIBE: (args) => ({ send: this.#unsubscribe('unsubscribe', args) }),
    PUNSUBSCRIBE: (args) => ({ send: this.#unsubscribe('punsubscribe', args) }),
    MULTI: () => this.#multi(),
    EXEC: () => this.#exec(),
    DISCARD: () => this.#discard(),
    SLAVEOF: (args) => this.#slaveOf(args),
    REPLICAOF: (args) => this.#slaveOf(args),
    REPLCONF: (args) => ({ send: this.#replconf(args) }),
    PSYNC: (args) => this.#psync(args),
    SYNC: () => ({ send: errorReply('ERR SYNC is not served: use PSYNC (Redis 2.8 and later)') }),
  };

  #authenticate(args: readonly string[]): Turn {
    const [first, second] = args;
    if (first === undefined || args.length > 2) return { send: wrongNumber('auth') };
    return second === undefined ? this.#login(defaultUser, first, okReply) : this.#login(first, second, okReply);
  }

  #login(user: string, password: string, reply: string): Turn {
    if (this.#options.accounts.knows(user, Buffer.from(password, 'latin1'))) {
      this.#user = user;
      return { send: reply, event: { kind: 'known', user } };
    }
    this.#wrongPasswords += 1;
    const send = errorReply('WRONGPASS invalid username-password pair or user is disabled.');
    return { send, event: { kind: this.#wrongPasswords < passwordsMax ? 'wrong-password' : 'locked-out' } };
  }

  /** HELLO [version [AUTH user password] [SETNAME name]] */
  #hello(args: readonly string[]): Turn {
    const [version, ...options] = args;
    const resp = version === undefined ? this.#resp : protocols.get(version);
    if (resp === undefined) return { send: errorReply('NOPROTO unsupported protocol version') };
    const at = options.findIndex((option) => option.toUpperCase() === 'AUTH');
    const [user, password] = at === -1 ? [] : options.slice(at + 1);
    if (user !== undefined && password !== undefined) {
      const turn = this.#login(user, password, '');
      if (turn.event?.kind !== 'known') return turn;
      this.#resp = resp;
      return { ...turn, send: this.#greeting() };
    }
    if (this.#user === undefined) {
      return {
        send: errorReply(
          'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
        ),
      };
    }
    this.#resp = resp;
    return { send: this.#greeting() };
  }

  #greeting(): string {
    const { kind, version } = serverOf(this.#options.about().upstream);
    return mapReply(
      [
        ['server', bulkReply(kind)],
        ['version', bulkReply(version)],
        ['proto', integerReply(this.#resp)],
        ['id', integerReply(this.#options.clientId)],
        ['mode', bulkReply('standalone')],
        ['role', bulkReply('replica')],
        ['modules', arrayReply([])],
      ],
      this.#resp,
    );
  }

  #ping(text: string | undefined): Turn {
    if (this.#channels.size > 0 && this.#resp === 2) {
      return { send: arrayReply([bulkReply('pong'), bulkReply(text ?? '')]) };
    }
    return { send: text === undefined ? statusReply('PONG') : bulkReply(text) };
  }

  #client([sub = '', name = '']: readonly string[]): string {
    switch (sub.toUpperCase()) {
      case 'ID':
        return integerReply(this.#options.clientId);
      case 'GETNAME':
        return this.#name === '' ? nullReply : bulkReply(this.#name);
      case 'SETNAME':
        this.#name = name;
        return okReply;
      // Sentinel closes the clients of a replica that it gives another primary: we have none that should notice.
      case 'KILL':
        return integerReply(0);
      default:
        return okReply;
    }
  }

  #subscribe(kind: string, channels: readonly string[]): string {
    if (this.#channels.size + channels.length > channelsMax) return errorReply('ERR too many channels');
    return channels
      .map((channel) => {
        this.#channels.add(`${kind}:${channel}`);
        return pushReply([bulkReply(kind), bulkReply(channel), integerReply(this.#channels.size)], this.#resp);
      })
      .join('');
  }

  #unsubscribe(kind: string, channels: readonly string[]): string {
    const of = `${kind.replace('unsubscribe', 'subscribe')}:`;
    const left = channels.length > 0 ? channels : [...this.#channels].map((channel) => channel.slice(of.length));
    if (left.length === 0) return pushReply([bulkReply(kind), nullReply, integerReply(0)], this.#resp);
    return left
      .map((channel) => {
        this.#channels.delete(of + channel);
        return pushReply([bulkReply(kind), bulkReply(channel), integerReply(this.#channels.size)], this.#resp);
      })
      .join('');
  }

  #multi(): Turn {
    if (this.#transaction !== undefined) return { send: errorReply('ERR MULTI calls can not be nested') };
    this.#transaction = [];
    return { send: okReply };
  }

  #queue(transaction: (readonly string[])[], request: readonly string[]): Turn {
    const [name = ''] = request;
    if (transaction.length >= transactionMax || notInTransactions.has(name)) {
      this.#transaction = undefined;
      return { send: errorReply(`EXECABORT ${shown(name)} cannot be part of a transaction here`) };
    }
    transaction.push(request);
    return { send: statusReply('QUEUED') };
  }

  #exec(): Turn {
    const requests = this.#transaction;
    this.#transaction = undefined;
    if (requests === undefined) return { send: errorReply('ERR EXEC without MULTI') };
    const turns = requests.map(([name = '', ...args]) => this.#answer(name, args));
    const event = turns.find((turn) => turn.event !== undefined)?.event;
    const send = arrayReply(turns.map((turn) => turn.send));
    return event === undefined ? { send } : { send, event };
  }

  #discard(): Turn {
    if (this.#transaction === undefined) return { send: errorReply('ERR DISCARD without MULTI') };
    this.#transaction = undefined;
    return { send: okReply };
  }

  #slaveOf([host = '', port = '']: readonly string[]): Turn {
    if (host.toUpperCase() === 'NO') {
      return { send: errorReply('ERR this is a journal: it cannot be made a primary') };
    }
    if (host === '' || !/^\d{1,5}$/.test(port)) return { send: errorReply('ERR Invalid master port') };
    const { sources } = this.#options.about().upstream;
    const source = sources.find((one) => String(one.port) === port && one.host.toLowerCase() === host.toLowerCase());
    if (source !== undefined) return { send: okReply, event: { kind: 'moved', ...source } };
    const send = errorReply('ERR this is a journal: it follows its own sources only, and that is none of them');
    return { send, event: { kind: 'misled', address: shown(`${host}:${port}`) } };
  }

  #replconf(args: readonly string[]): string {
    if (args[0]?.toLowerCase() === 'journal-base') return this.#journalBase(args.slice(1));
    if (args.length % 2 !== 0) return errorReply('ERR syntax error');
    for (let i = 0; i < args.length; i += 2) {
      const [option = '', value = ''] = args.slice(i, i + 2);
      switch (option.toLowerCase()) {
        case 'listening-port':
          this.#claims = { ...this.#claims, port: Number(/^\d{1,5}$/.exec(value)?.[0] ?? 0) };
          break;
        case 'ip-address':
          this.#claims = { ...this.#claims, host: value.slice(0, 255).replace(/[^\w.:-]/g, '?') };
          break;
        case 'version':
          this.#claims = { ...this.#claims, valkey: versionOf(value) };
          break;
        case 'capa':
          break;
        case 'journal-link':
          // Only a journal asks for it, and is one without it, too.
          this.#claims = { ...this.#claims, isJournal: true };
          if (!this.#options.offersLink || Number(value) !== linkVersion) return errorReply(noLink);
          this.#claims = { ...this.#claims, link: true };
          return statusReply(linkOffer);
        // Neither is ever answered.
        case 'ack':
        case 'getack':
          return '';
        default:
          return errorReply(`ERR Unrecognized REPLCONF option: ${shown(option)}`);
      }
    }
    return okReply;
  }

  /** How much of which base a journal holds. */
  #journalBase([identity = '', text = '']: readonly string[]): string {
    const bytes = parseOffset(text);
    if (this.#claims.link === undefined || !/^[0-9a-f]{64}$/.test(identity) || bytes === undefined) {
      return errorReply('ERR journal-base takes an identity and a number of bytes, behind journal-link');
    }
    this.#claims = { ...this.#claims, heldBase: { identity, bytes } };
    return okReply;
  }

  #psync([id = '', offset = '', ...more]: readonly string[]): Turn {
    if (more.length > 0)
      return { send: errorReply('ERR PSYNC FAILOVER refused: this is a journal, not to be promoted') };
    return { send: '', event: { kind: 'psync', request: { id, offset } } };
  }
}

function versionOf(text: string): readonly [number, number] | undefined {
  const found = /^(\d{1,5})\.(\d{1,5})\./.exec(text);
  return found === null ? undefined : [Number(found[1]), Number(found[2])];
}

function wrongNumber(command: string): string {
  return errorReply(`ERR wrong number of arguments for '${command}' command`);
}

function shown(name: string): string {
  return name.slice(0, 64).replace(/[^\x20-\x7e]/g, '?');
}
