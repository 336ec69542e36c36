/**
 * The primary's side of a replica's handshake (pure): requests in, replies out, until PSYNC, which is always answered with
 * a full sync of a history of our own. Whoever does not know the password gets nowhere.
 *
 * Real replicas send PING, AUTH, several REPLCONFs, PSYNC. `rdb-channel-repl` and `dual-channel`, which they may offer, are
 * not taken up: the RDB goes over this one connection.
 */
import { LinkError } from '../core/errors.ts';
import type { Position } from '../core/position.ts';
import { Accounts, defaultUser } from '../downstream/accounts.ts';

export interface FeedReply {
  readonly send: string;
  /** PSYNC was answered: what follows is the RDB. */
  readonly isDone: boolean;
}

/** More than any replica sends. */
const requestsMax = 32;

export class FeedHandshake {
  readonly #accounts: Accounts;
  readonly #start: Position;
  #isKnown = false;
  #requests = 0;

  /** `start` is where the stream behind the RDB begins. */
  constructor(password: string, start: Position) {
    this.#accounts = new Accounts([{ user: defaultUser, password }]);
    this.#start = start;
  }

  /** Throws a LinkError at what no replica of ours sends. */
  take(request: readonly Buffer[]): FeedReply {
    this.#requests += 1;
    const name = request[0]?.toString('latin1').toUpperCase() ?? '';
    if (this.#requests > requestsMax) throw refused('too many requests before PSYNC');
    if (name === 'AUTH') return this.#authenticate(request.at(-1) ?? Buffer.alloc(0));
    // A replica with a password takes this answer to its PING for an invitation.
    if (!this.#isKnown && name === 'PING') return reply('-NOAUTH Authentication required.');
    if (!this.#isKnown) throw refused(`${printable(name)} without a password`);
    switch (name) {
      case 'PING':
        return reply('+PONG');
      case 'REPLCONF':
        return reply('+OK');
      case 'PSYNC':
        return { ...reply(`+FULLRESYNC ${this.#start.id} ${this.#start.offset}`), isDone: true };
      default:
        throw refused(`a replica does not send ${printable(name)}`);
    }
  }

  #authenticate(password: Buffer): FeedReply {
    if (!this.#accounts.knows(defaultUser, password)) throw refused('wrong password');
    this.#isKnown = true;
    return reply('+OK');
  }
}

function reply(line: string): FeedReply {
  return { send: `${line}\r\n`, isDone: false };
}

function refused(what: string): LinkError {
  return new LinkError('feed-refused', `a connection to the feed was refused: ${what}`, 'never');
}

function printable(name: string): string {
  return name.slice(0, 20).replace(/[^\x20-\x7e]/g, '?');
}
