import { describe, expect, it } from 'vitest';
import { answerPsync } from '../../src/downstream/answer-psync.ts';
import type { OfferedHistory, PsyncAnswer } from '../../src/downstream/answer-psync.ts';

const a = 'a'.repeat(40);
const b = 'b'.repeat(40);
const c = 'c'.repeat(40);
const stranger = 'e'.repeat(40);

/** A base at 100; `b` since byte 201, `c` since byte 301; durable up to 400. */
const history: OfferedHistory = {
  ids: [
    { id: a, offset: 101 },
    { id: b, offset: 201 },
    { id: c, offset: 301 },
  ],
  base: { offset: 100, rdb: { magic: 'REDIS', version: 10 } },
  durable: 400,
};

const unknown = { valkey: undefined } as const;

function ask(id: string, offset: number | string, of = history): PsyncAnswer {
  return answerPsync(of, { id, offset: String(offset) }, unknown);
}

const full = { kind: 'full', id: c, offset: 100 };

describe('the answer to PSYNC', () => {
  it('goes on with the newest name of the history, from the byte that is wanted', () => {
    expect(ask(c, 350)).toEqual({ kind: 'continue', id: c, from: 350 });
    expect(ask(b, 250)).toEqual({ kind: 'continue', id: c, from: 250 });
    expect(ask(a, 150)).toEqual({ kind: 'continue', id: c, from: 150 });
  });

  it('goes on from any byte behind the base, and from the one that is still to come', () => {
    expect(ask(a, 101)).toMatchObject({ kind: 'continue', from: 101 });
    expect(ask(c, 101)).toMatchObject({ kind: 'continue', from: 101 });
    expect(ask(c, 401)).toMatchObject({ kind: 'continue', from: 401 });
  });

  it('is all of it for who lacks bytes that are before the base', () => {
    expect(ask(a, 100)).toEqual(full);
    expect(ask(c, 1)).toEqual(full);
    expect(ask(c, 0)).toEqual(full);
  });

  it('follows a former name up to where the next one began, and not a byte further', () => {
    expect(ask(a, 201)).toMatchObject({ kind: 'continue', from: 201 });
    expect(ask(a, 202)).toEqual(full);
    expect(ask(b, 301)).toMatchObject({ kind: 'continue', from: 301 });
    expect(ask(b, 302)).toEqual(full);
  });

  it('is all of it for a history that is not this one, and for nobody’s', () => {
    expect(ask(stranger, 250)).toEqual(full);
    expect(ask('?', -1)).toEqual(full);
    expect(ask('', '')).toEqual(full);
    expect(ask(c, '9'.repeat(30))).toEqual(full);
    expect(ask(c, '0x12')).toEqual(full);
    expect(ask(c.toUpperCase(), 350)).toEqual(full);
  });

  it('waits for bytes that a replica has and that are not durable here', () => {
    expect(ask(c, 402)).toEqual({ kind: 'ahead', until: 401 });
    expect(ask(c, 100_000)).toEqual({ kind: 'ahead', until: 99_999 });
  });

  it('is for the last stretch of a name that a history has had twice', () => {
    const back: OfferedHistory = { ...history, ids: [...history.ids, { id: a, offset: 380 }] };
    expect(ask(a, 390, back)).toEqual({ kind: 'continue', id: a, from: 390 });
  });

  it('refuses an RDB to who says that it cannot load it', () => {
    const of = (magic: 'REDIS' | 'VALKEY', version: number): OfferedHistory => ({
      ...history,
      base: { offset: 100, rdb: { magic, version } },
    });
    const asked = (
      offered: OfferedHistory,
      valkey: readonly [number, number] | undefined,
    ): 'full' | 'continue' | 'refuse' | 'ahead' => answerPsync(offered, { id: '?', offset: '-1' }, { valkey }).kind;
    expect(asked(of('VALKEY', 80), [9, 1])).toBe('full');
    expect(asked(of('VALKEY', 80), [8, 1])).toBe('refuse');
    expect(asked(of('VALKEY', 80), undefined)).toBe('refuse');
    expect(asked(of('REDIS', 12), undefined)).toBe('full');
    expect(asked(of('REDIS', 12), [9, 1])).toBe('refuse');
    expect(asked(of('REDIS', 11), [8, 0])).toBe('full');
  });

  it('refuses none to a journal, which loads nothing, whatever it says to be', () => {
    for (const rdb of [
      { magic: 'VALKEY', version: 80 },
      { magic: 'REDIS', version: 12 },
    ] as const) {
      const offered = { ...history, base: { offset: 100, rdb } };
      for (const valkey of [undefined, [9, 1]] as const) {
        expect(answerPsync(offered, { id: '?', offset: '-1' }, { valkey, isJournal: true })).toEqual(full);
      }
    }
  });

  it('does not ask what a replica can load that needs no RDB', () => {
    const offered: OfferedHistory = { ...history, base: { offset: 100, rdb: { magic: 'VALKEY', version: 80 } } };
    expect(ask(c, 350, offered)).toMatchObject({ kind: 'continue' });
  });
});
