/**
 * One key at one moment (pure): whether it was there, what it was, and when it was to end.
 */
import type { RdbMagic } from '../redis/server-version.ts';
import { typeOfCode } from '../redis/key-selection.ts';
import { valueContent } from '../redis/value-content.ts';
import type { ValueContent } from '../redis/value-content.ts';
import type { Field } from '../redis/value-elements.ts';

export interface KeyValue {
  readonly db: number;
  /** `elapsed`: its time had passed, and the primary had not removed it yet. */
  readonly state: 'present' | 'elapsed' | 'absent';
  /** Undefined where it is absent, or of a type that is not known. */
  readonly type: string | undefined;
  /** In ms since the epoch, 0: never. */
  readonly endsMs: number;
  /** How large it is as servers write it. */
  readonly bytes: number;
  /** Undefined where it is absent, too large, or of a form that is not known. */
  readonly content: ValueContent | undefined;
  /** Of a hash: fields whose time had passed. They are no part of the content. */
  readonly elapsedFields: number;
}

export function absentValue(db: number): KeyValue {
  return { db, state: 'absent', type: undefined, endsMs: 0, bytes: 0, content: undefined, elapsedFields: 0 };
}

/** As an RDB has it. */
export interface EncodedValue {
  readonly db: number;
  readonly code: number;
  readonly magic: RdbMagic;
  /** Undefined: too large. */
  readonly value: Buffer | undefined;
  readonly bytes: number;
  readonly endsMs: number;
}

/** `atMs`: the moment, by the clock of the primary. */
export function keyValue({ db, code, magic, value, bytes, endsMs }: EncodedValue, atMs: number): KeyValue {
  const whole = value && valueContent(code, magic, value);
  const { content, elapsedFields } =
    whole?.type === 'hash' ? presentFields(whole.fields, atMs) : { content: whole, elapsedFields: 0 };
  const state = endsMs !== 0 && endsMs < atMs ? 'elapsed' : 'present';
  return { db, state, type: typeOfCode(code), endsMs, bytes, content, elapsedFields };
}

function presentFields(fields: readonly Field[], atMs: number): Pick<KeyValue, 'content' | 'elapsedFields'> {
  const present = fields.filter(({ endsMs }) => endsMs <= 0 || endsMs >= atMs);
  return { content: { type: 'hash', fields: present }, elapsedFields: fields.length - present.length };
}
