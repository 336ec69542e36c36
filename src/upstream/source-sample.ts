/**
 * What a server tells of itself at one moment: its clock, its role, and how far its stream is. `MULTI; TIME; ROLE; EXEC`
 * gives all three at once, so the pair of time and offset is exact: every stream byte up to the offset was made by what
 * ran before, none behind it. 16 µs of the server's time on Redis 7.0; +time +role +multi +exec are the permissions.
 */
import type { Micros } from '../core/clock.ts';
import { LinkError } from '../core/errors.ts';
import type { Offset } from '../core/position.ts';
import type { Reply } from '../redis/replies.ts';

export type SourceSample = Answered & Told;

interface Answered {
  /** On Clock.monotonic(): when we asked, and when the answer was here. A server that was busy answers late. */
  readonly sentAt: Micros;
  readonly receivedAt: Micros;
  /** host:port of who was asked. */
  readonly source: string;
  /** The server's clock, at some moment between the two. */
  readonly time: Micros;
}

type Told =
  | { readonly role: 'master'; readonly offset: Offset }
  | {
      readonly role: 'slave';
      /** How far it has processed its primary's stream; undefined while it has no link to it. */
      readonly offset: Offset | undefined;
      readonly primary: { readonly host: string; readonly port: number; readonly link: string };
    }
  | { readonly role: 'other'; readonly offset: undefined };

export const sampleCommands: readonly (readonly string[])[] = [['TIME'], ['ROLE']];

/** `replies` are those of sampleCommands. */
export function readSample(replies: readonly Reply[], asked: Omit<Answered, 'time'>): SourceSample {
  const [time, role] = replies;
  const [seconds, micros] = elements(time, 'TIME');
  return { ...asked, time: number(seconds, 'TIME') * 1_000_000 + number(micros, 'TIME'), ...readRole(role) };
}

/** The reply to ROLE. */
export function readRole(reply: Reply | undefined): Told {
  const [kind, ...fields] = elements(reply, 'ROLE');
  switch (text(kind, 'ROLE')) {
    case 'master':
      return { role: 'master', offset: number(fields[0], 'ROLE') };
    case 'slave': {
      const [host, port, link, offset] = fields;
      const processed = number(offset, 'ROLE');
      return {
        role: 'slave',
        offset: processed < 0 ? undefined : processed,
        primary: { host: text(host, 'ROLE'), port: number(port, 'ROLE'), link: text(link, 'ROLE') },
      };
    }
    default:
      return { role: 'other', offset: undefined };
  }
}

function elements(reply: Reply | undefined, command: string): readonly Reply[] {
  if (reply?.kind !== 'array') throw unexpected(command);
  return reply.value;
}

function text(reply: Reply | undefined, command: string): string {
  if (reply?.kind !== 'bulk' && reply?.kind !== 'status') throw unexpected(command);
  return reply.value.toString();
}

function number(reply: Reply | undefined, command: string): number {
  const value = reply?.kind === 'bulk' ? Number(reply.value.toString()) : reply?.value;
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw unexpected(command);
  return value;
}

function unexpected(command: string): LinkError {
  return new LinkError(
    'unexpected-reply',
    `the server answered ${command} with something no Redis or Valkey sends`,
    'later',
  );
}

/** Whether a replica hears from its primary, in the words of ROLE. */
export function isUp({ link }: { readonly link: string }): boolean {
  return link === 'connected';
}
