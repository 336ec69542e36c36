/**
 * A stream in which keys and hash fields end at other times. A server that loads commands from a file does not judge what
 * has elapsed, so with each time moved by as much, what it comes to is the same, moved by as much; and with no times at
 * all, the same without. (That a command was replicated says that it took effect, whatever its NX, XX, GT or LT.)
 *
 *   later     PEXPIREAT k t+d      SET k v PXAT t+d      RESTORE k t+d payload ABSTTL      …
 *   never     (nothing)            SET k v               RESTORE k 0 payload ABSTTL        …
 *
 * Which commands have times, and which cannot be rewritten, is in redis/command-times.ts: a plan with one of these goes
 * another way.
 */
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import type { CommandGlance } from '../../redis/command-glance.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { commonTimeIndex, mayHaveTime, numberAt, timeOf } from '../../redis/command-times.ts';
import type { CommandTime } from '../../redis/command-times.ts';
import { givenTime, NEVER } from '../../redis/ttl-rule.ts';
import type { TtlRule } from '../../redis/ttl-rule.ts';
import { mayBegin, StreamRewriter, withArguments } from './stream-rewriter.ts';
import type { Rewrite } from './stream-rewriter.ts';

/** Names, options and times are short. */
export const keepBytes = 64;

/** `state` is the boundary that the first bytes follow. */
export function otherTimes(state: ScannerState, others: TtlRule['others']): StreamRewriter {
  return new StreamRewriter(state, {
    ...{ keepBytes, isMatch: mayHaveTime },
    edit: (command) => isEdited(command, others),
    others: 'pass',
    decide: (command) => {
      const time = timeOf(command);
      if (time === 'untold') throw new RangeError(`the time in the command at offset ${command.end} cannot be told`);
      return time === 'none' ? undefined : otherTime(command, time, givenTime(others, time.of, time.atMs));
    },
    holds: (start) => mayBegin(start, isTimed),
  });
}

/** In the place of most times another one fits. */
export function isEdited(command: CommandGlance, others: TtlRule['others']): boolean {
  const index = commonTimeIndex(command);
  const atMs = index < 0 ? -1 : numberAt(command, index);
  if (atMs < 0) return false;
  const toMs = givenTime(others, 'keys', atMs);
  const text = toMs === NEVER ? '' : String(toMs);
  if (text.length !== command.length[index]) return false;
  command.bytes.write(text, command.at[index] ?? 0, 'latin1');
  return true;
}

function otherTime(command: StreamCommand, time: CommandTime, toMs: number): Rewrite | undefined {
  if (toMs === time.atMs) return undefined;
  const { index, inSeconds, without } = time;
  if (toMs !== NEVER) {
    const word = inSeconds === undefined ? [] : [[inSeconds.index, inSeconds.msWord] as const];
    return withArguments(command, [...word, [index, String(toMs)]]);
  }
  switch (without) {
    case 'nothing':
      return () => undefined;
    case 'zero':
      return withArguments(command, [[index, '0']]);
    case 'shorter':
      return withArguments(command, [
        [index - 1, undefined],
        [index, undefined],
      ]);
  }
}

/** Of a command that has that name. */
export function isTimed(name: string, argumentCount: number): boolean {
  return (
    /^(H?P?EXPIREAT|SET|H?GETEX|HSETEX|MSETEX|RESTORE(-ASKING)?)$/.test(name) &&
    !(name === 'SET' && argumentCount === 3)
  );
}
