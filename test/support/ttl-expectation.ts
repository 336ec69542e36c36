// What --ttl should make of a dataset, by the rule of each mode.
// Neighbour: fed-replica.ts, whose dataset it starts from.
// Invariant: it is computed from bytes and digests of a real server alone; no code that restores has a say in it.
import { createHash } from 'node:crypto';
import type { TtlMode } from '../../src/restore/plan/ttl-mode.ts';
import type { Physical } from './fed-replica.ts';
import { type Fingerprint, type KeyFacts, sha256 } from './fingerprint.ts';
import { printable } from './rdb-stream.ts';
import { replyText, type RespClient } from './resp-client.ts';

/** What a mode should come to; `plain` is asked for the digest of a hash none of whose fields expires any more. */
export async function expectedTtl(
  { physical, entries }: Physical,
  mode: TtlMode,
  asOfMs: number,
  laterByMs: number,
  plain: RespClient,
): Promise<Fingerprint> {
  if (mode === 'keep') return { ...physical, digest: '' };
  const after = (atMs: number): number | undefined => {
    if (mode === 'persist') return undefined;
    return Number.isSafeInteger(atMs + laterByMs) ? atMs + laterByMs : atMs;
  };
  const keys = new Map<string, KeyFacts>();
  for (const { db, key, expireMs, fields } of entries) {
    const name = `db${db}:${printable(key)}`;
    const facts = physical.keys.get(name);
    if (facts === undefined) throw new Error(`${name} is missing`);
    if (expireMs !== undefined && expireMs < asOfMs) continue;
    const expiry = expireMs === undefined ? undefined : after(expireMs);
    const isPersisted = expireMs !== undefined && expiry === undefined;
    const valueDigest = isPersisted ? otherExpiryMark(facts.valueDigest) : facts.valueDigest;
    const common = { ...facts, valueDigest, expireMs: expiry ?? null };
    if (fields === undefined || facts.fieldExpiries === undefined) {
      keys.set(name, common);
      continue;
    }
    const left = fields
      .filter((field) => field.expireMs === undefined || field.expireMs >= asOfMs)
      .map(({ field, value, expireMs: atMs }) => ({
        field,
        value,
        atMs: atMs === undefined ? undefined : after(atMs),
      }));
    if (left.length === 0) continue;
    const { fieldExpiries: _none, ...rest } = common;
    const expiring = left.filter(({ atMs }) => atMs !== undefined);
    if (expiring.length > 0) {
      const pairs = left.map(({ field, value }) => `${printable(field)} ${sha256(value)}`);
      const fieldExpiries = new Map(expiring.map(({ field, atMs = 0 }) => [printable(field), atMs]));
      keys.set(name, { ...rest, valueDigest: `fields:${sha256(pairs.sort().join('\n'))}`, fieldExpiries });
    } else {
      await plain.call('DEL', 'plain');
      await plain.call('HSET', 'plain', ...left.flatMap(({ field, value }) => [field, value]));
      const [digest] = (await plain.call('DEBUG', 'DIGEST-VALUE', 'plain')) as Buffer[];
      const told = replyText(digest);
      keys.set(name, { ...rest, valueDigest: expiry === undefined ? told : otherExpiryMark(told) });
    }
  }
  return { ...physical, digest: '', keys };
}

/** A digest of a value has the mark of a key that expires in it: with it or, if it is there already, without it. */
export function otherExpiryMark(digest: string): string {
  const mark = createHash('sha1').update('!!expire!!').digest();
  const bytes = Buffer.from(digest, 'hex').map((byte, i) => byte ^ (mark[i] ?? 0));
  return Buffer.from(bytes).toString('hex');
}
