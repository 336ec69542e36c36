/**
 * What a server's error replies mean to a replica: each becomes a LinkError that says what happened, how long to wait
 * before trying again, and what to do. Shared by the handshake, the full-sync transfer and the side connection.
 *
 * The server's own words are repeated except in answer to AUTH: a server that does not know the command quotes its
 * arguments.
 */
import { LinkError } from '../core/errors.ts';

/** Kinds of error reply that call for different reactions. */
export type Refusal =
  | 'no-auth'
  | 'wrong-password'
  | 'password-not-wanted'
  | 'user-not-wanted'
  | 'no-permission'
  | 'denied'
  | 'loading'
  | 'busy'
  | 'no-master-link'
  | 'master-down'
  | 'bgsave-failed'
  | 'too-many-clients'
  | 'unknown-command'
  | 'other-error';

/** `text` is an error reply without its leading '-'. */
export function refusalOf(text: string): Refusal {
  return refusals.find(([pattern]) => pattern.test(text))?.[1] ?? 'other-error';
}

const refusals: readonly (readonly [RegExp, Refusal])[] = [
  [/^NOAUTH\b/, 'no-auth'],
  [/^WRONGPASS\b/, 'wrong-password'],
  [/^NOPERM\b/, 'no-permission'],
  [/^DENIED\b/, 'denied'],
  [/^LOADING\b/, 'loading'],
  [/^BUSY\b/, 'busy'],
  [/^NOMASTERLINK\b/, 'no-master-link'],
  [/^MASTERDOWN\b/, 'master-down'],
  // Before 2.6, for NOAUTH; a real replica still knows it.
  [/^ERR operation not permitted/, 'no-auth'],
  // Redis 5.
  [/^ERR invalid password/, 'wrong-password'],
  [/^ERR wrong number of arguments for 'auth'/i, 'user-not-wanted'],
  // Redis 5; 6 and later.
  [/^ERR (?:Client sent AUTH, but no password|AUTH <password> called without)/, 'password-not-wanted'],
  [/^ERR BGSAVE failed/, 'bgsave-failed'],
  [/^ERR max number of clients/, 'too-many-clients'],
  [/^ERR unknown command/i, 'unknown-command'],
];

/** The error for a refusal of `command`. `text` is the server's reply, `isSecret` when it may quote a password. */
export function refused(command: string, text: string, isSecret = false): LinkError {
  const kind = refusalOf(text);
  const answer = `the server refused ${command}: ${isSecret ? kind : printable(text)}`;
  switch (kind) {
    case 'no-auth':
      return new LinkError('password-needed', answer, 'never', {
        hint: 'give a password: --password-file FILE, of a server to restore to --target-password-file FILE; a user stands in the URL',
        exitCode: 10,
      });
    case 'wrong-password':
      return new LinkError('wrong-password', answer, 'never', {
        hint: 'check the user and the password; a user may also be switched off (ACL SETUSER name on)',
        exitCode: 10,
      });
    case 'password-not-wanted':
      return new LinkError('password-not-wanted', answer, 'never', {
        hint: 'the server has no password for the default user: leave the password out, or name the user',
        exitCode: 10,
      });
    case 'user-not-wanted':
      return new LinkError('user-not-wanted', answer, 'never', {
        hint: 'the server is older than 6.0 and knows no users: give the password only',
        exitCode: 10,
      });
    case 'no-permission':
      return new LinkError('no-permission', answer, 'never', { hint: permissionHint, exitCode: 10 });
    case 'denied':
      return new LinkError('protected-mode', answer, 'later', {
        hint: 'the server is in protected mode: give it a password or a bind address',
      });
    case 'loading':
      return new LinkError('loading', answer, 'soon', { hint: 'the server is loading its dataset; wait' });
    case 'busy':
      return new LinkError('busy', answer, 'soon', { hint: 'a script or function is running on the server' });
    case 'no-master-link':
    case 'master-down':
      return new LinkError('source-has-no-primary', answer, 'soon', {
        hint: 'the source is itself a replica without its primary, or a failover is under way',
      });
    case 'bgsave-failed':
      return new LinkError('snapshot-failed', answer, 'later', {
        hint: 'the server could not make an RDB: see its log; often memory (vm.overcommit_memory) or a full disk',
      });
    case 'too-many-clients':
      return new LinkError('too-many-clients', answer, 'later', { hint: 'raise maxclients on the server' });
    case 'unknown-command':
      return new LinkError('command-missing', answer, 'never', {
        hint: `${command} was renamed or removed, as managed services do: replication from outside is not possible there`,
      });
    case 'other-error':
      return new LinkError('refused', answer, 'later');
  }
}

/** Sufficient on Redis 7.0 and Valkey 9.1; no key or channel patterns are needed. */
const permissionHint =
  'let the user replicate: ACL SETUSER name +psync +replconf +ping (and for times: +time +role +multi +exec, +info for the version)';

/** One line of plain characters, short enough for a log. */
export function printable(text: string): string {
  const plain = text.replace(/[^\x20-\x7e]/g, '?');
  return plain.length > 200 ? `${plain.slice(0, 200)}…` : plain;
}
