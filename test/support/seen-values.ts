// Values as clients see them, and as rows tell them: both in one form, to be compared. What has no order is sorted.
import { isUtf8 } from 'node:buffer';
import { replyBytes, replyList, replyText, type Command, type RespClient } from './resp-client.ts';

export type Text = string | { readonly base64: string };

export interface ValueRow {
  readonly type: string;
  readonly when: string;
  readonly position: string;
  readonly db: number;
  readonly state: 'present' | 'elapsed' | 'absent';
  readonly valueType: string | null;
  readonly expires: string | null;
  readonly value: unknown;
}

export interface Seen {
  readonly type: string;
  readonly value: unknown;
  readonly endsMs: number;
}

export const absent: Seen = { type: 'none', value: null, endsMs: 0 };

/** Longer text stands as base64, too. */
const textBytesMax = 1024 * 1024;

export function text(bytes: Buffer): Text {
  const isText = bytes.length <= textBytesMax && isUtf8(bytes);
  return isText ? bytes.toString() : { base64: bytes.toString('base64') };
}

async function listOf(client: RespClient, ...command: Command): Promise<Buffer[]> {
  return replyList(await client.call(...command)).map(replyBytes);
}

function sorted(list: readonly unknown[]): unknown[] {
  return [...list].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** As a client sees it, in the form of the rows, but sorted where there is no order. */
export async function seenBy(client: RespClient, key: string | Buffer): Promise<Seen> {
  const type = replyText(await client.call('TYPE', key));
  const left = Number(await client.call('PTTL', key));
  const endsMs = left < 0 ? 0 : Date.now() + left;
  switch (type) {
    case 'string':
      return { type, endsMs, value: text(replyBytes(await client.call('GET', key))) };
    case 'list':
      return { type, endsMs, value: (await listOf(client, 'LRANGE', key, 0, -1)).map(text) };
    case 'set':
      return { type, endsMs, value: sorted((await listOf(client, 'SMEMBERS', key)).map(text)) };
    case 'zset': {
      const flat = await listOf(client, 'ZRANGE', key, 0, -1, 'WITHSCORES');
      const members = flat.flatMap((member, i) =>
        i % 2 === 0 ? [{ member: text(member), score: scoreOf(flat[i + 1]!.toString()) }] : [],
      );
      return { type, endsMs, value: members };
    }
    case 'hash': {
      const flat = await listOf(client, 'HGETALL', key);
      const pairs = flat.flatMap((field, i) => (i % 2 === 0 ? [[text(field), text(flat[i + 1]!)]] : []));
      return { type, endsMs, value: sorted(pairs) };
    }
    case 'stream': {
      const entries = replyList(await client.call('XRANGE', key, '-', '+')).map((entry) => {
        const [id, fields] = replyList(entry);
        return { id: replyText(id), fields: replyList(fields).map((one) => text(replyBytes(one))) };
      });
      return { type, endsMs, value: entries };
    }
    default:
      return absent;
  }
}

function scoreOf(score: string): unknown {
  return score.includes('inf') ? score : Number(score);
}

/** The same of a row. */
export function told({ state, valueType, expires, value }: ValueRow): Seen {
  if (state === 'absent') return absent;
  const endsMs = expires === null ? 0 : Date.parse(expires);
  const type = valueType ?? '?';
  if (type === 'set') return { type, endsMs, value: sorted(value as unknown[]) };
  if (type === 'stream') return { type, endsMs, value: (value as { entries: unknown }).entries };
  if (type !== 'hash') return { type, endsMs, value };
  return { type, endsMs, value: sorted(Array.isArray(value) ? value : Object.entries(value as object)) };
}
