/**
 * Who may talk to us: users and their passwords, of which only digests are held. There is always at least one, so that no
 * listener is open to everybody.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

export interface Account {
  /** `default` is who gives a password only. */
  readonly user: string;
  readonly password: string;
}

export const defaultUser = 'default';

export class Accounts {
  readonly #digests: ReadonlyMap<string, Buffer>;

  constructor(accounts: readonly [Account, ...Account[]]) {
    this.#digests = new Map(accounts.map(({ user, password }) => [user, digest(password)]));
  }

  /** Takes as long for a wrong password, and for nobody's, as for the right one. */
  knows(user: string, password: Buffer): boolean {
    const given = digest(password);
    const expected = this.#digests.get(user);
    return timingSafeEqual(given, expected ?? digest('')) && expected !== undefined;
  }
}

function digest(text: string | Buffer): Buffer {
  return createHash('sha256').update(text).digest();
}
