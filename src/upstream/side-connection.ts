/**
 * A connection beside the replica link, for questions: what the time is, what role, how far. One question at a time, each
 * with a time limit; whatever goes wrong, a late answer too, closes it. For sampler.ts, which keeps one open, and for
 * probe.ts, which asks once. Small on purpose: it lives in the process that must stay within its memory.
 */
import type { Clock } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import { SlabPool } from '../core/slabs.ts';
import { encodeCommand } from '../redis/commands-out.ts';
import { refused } from '../redis/refusals.ts';
import { ReplyReader } from '../redis/replies.ts';
import type { Reply } from '../redis/replies.ts';
import { formatAddress } from './address.ts';
import type { Credentials, SourceAddress, TlsSettings } from './address.ts';
import type { Connect, Connection } from './connect.ts';

export interface SideOptions {
  readonly address: SourceAddress;
  readonly credentials: Credentials;
  readonly tls: TlsSettings;
  readonly connect: Connect;
  readonly clock: Clock;
  /** For each question. */
  readonly timeoutMs: number;
}

const connectTimeoutMs = 5_000;
/** One TLS record; answers are a few hundred bytes. */
const readBytes = 16 * 1024;

interface Question {
  readonly answers: Reply[];
  readonly count: number;
  readonly settle: PromiseWithResolvers<readonly Reply[]>;
}

export class SideConnection implements Disposable {
  readonly #options: SideOptions;
  readonly #replies = new ReplyReader();
  #connection: Connection | undefined;
  #question: Question | undefined;
  /** Why it is closed. */
  #over: unknown;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => {
    this.#fail(this.#signal.reason);
  };

  private constructor(options: SideOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Connects and logs in. `signal` closes it, with its reason for the question under way. */
  static async open(options: SideOptions, signal: AbortSignal): Promise<SideConnection> {
    const side = new SideConnection(options, signal);
    try {
      await side.#connect(signal);
      return side;
    } catch (error) {
      side.close();
      throw error;
    }
  }

  /** The replies of `commands`, run as one transaction. LinkError when any of them was refused. */
  async transaction(commands: readonly (readonly string[])[]): Promise<readonly Reply[]> {
    const replies = await this.#ask([['MULTI'], ...commands, ['EXEC']]);
    for (const [i, reply] of replies.entries()) {
      if (reply.kind === 'error') throw refused(['MULTI', ...commands.map(nameOf), 'EXEC'][i] ?? '', reply.value);
    }
    const results = replies.at(-1);
    if (results?.kind !== 'array' || results.value.length !== commands.length) {
      throw new LinkError(
        'unexpected-reply',
        'the server answered EXEC with something no Redis or Valkey sends',
        'later',
      );
    }
    for (const [i, result] of results.value.entries()) {
      if (result.kind === 'error') throw refused(nameOf(commands[i] ?? []), result.value);
    }
    return results.value;
  }

  /** The reply to one command. LinkError when it was refused. */
  async command(...words: readonly string[]): Promise<Reply> {
    const [reply] = await this.#ask([words]);
    if (reply === undefined) throw new RangeError('a question without an answer');
    if (reply.kind === 'error') throw refused(nameOf(words), reply.value, words[0] === 'AUTH');
    return reply;
  }

  close(): void {
    this.#fail(new LinkError('side-closed', 'the side connection is closed', 'soon'));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { address, tls, clock, connect, credentials } = this.#options;
    const pool = new SlabPool(readBytes, 1);
    this.#connection = await connect(
      { address, tls, pool, clock, signal, timeoutMs: connectTimeoutMs },
      {
        bytes: (bytes) => {
          this.#bytes(bytes);
        },
        closed: (error) => {
          this.#fail(this.#lastWords() ?? error);
        },
      },
    );
    await this.#logIn(credentials);
  }

  async #logIn({ user, password }: Credentials): Promise<void> {
    if (password === undefined) return;
    await this.command('AUTH', ...(user === undefined ? [] : [user]), password);
  }

  async #ask(commands: readonly (readonly string[])[]): Promise<readonly Reply[]> {
    if (this.#over !== undefined) throw this.#over as Error;
    if (this.#question !== undefined) throw new RangeError('one question at a time');
    const { address, clock, timeoutMs } = this.#options;
    const question: Question = { answers: [], count: commands.length, settle: Promise.withResolvers() };
    this.#question = question;
    const cancel = clock.after(timeoutMs, () => {
      this.#fail(
        new LinkError(
          'side-silent',
          `${formatAddress(address)} left a question unanswered for ${timeoutMs / 1000} s`,
          'soon',
          {
            hint: 'a long script or command is running there, or the connection is half-open',
          },
        ),
      );
    });
    this.#connection?.send(Buffer.concat(commands.map((words) => encodeCommand(...words))));
    try {
      return await question.settle.promise;
    } finally {
      cancel();
      this.#question = undefined;
    }
  }

  #bytes(bytes: Buffer): void {
    try {
      this.#replies.push(bytes);
      for (let reply = this.#replies.next(); reply !== undefined; reply = this.#replies.next()) this.#answer(reply);
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      this.#fail(error);
    }
  }

  #answer(reply: Reply): void {
    const question = this.#question;
    if (question === undefined || question.answers.length === question.count) {
      // What a server says when it has no room for us, before any question.
      if (reply.kind === 'error') throw refused('the side connection', reply.value);
      throw new LinkError('unexpected-reply', 'the server answered what nobody had asked', 'later');
    }
    question.answers.push(reply);
    if (question.answers.length === question.count) question.settle.resolve(question.answers);
  }

  /** A server without room for one more client says so and hangs up, whatever it was asked. */
  #lastWords(): LinkError | undefined {
    const reply = this.#question?.answers.find(({ kind }) => kind === 'error');
    return reply?.kind === 'error' ? refused('the side connection', reply.value) : undefined;
  }

  #fail(error: unknown): void {
    this.#over ??= error;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#connection?.close();
    this.#question?.settle.reject(error);
  }
}

function nameOf(words: readonly string[]): string {
  return words[0] ?? '';
}
