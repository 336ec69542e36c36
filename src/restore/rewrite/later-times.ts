/**
 * A stream in which what expires ends later, and every byte keeps its number: in the place of each time goes another one with
 * as many digits. For replicas, whose offsets count bytes; other-times.ts is for who counts none. By whole seconds, so that
 * times in seconds stay such.
 *
 * A time that would take one digit more stays: such ones are over since 2001, or not before 2286. So do those that cannot be
 * told (a serialised hash, whose fields have times in it), and relative ones, which count from when they come anyway.
 */
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { mayHaveTime, timeOf } from '../../redis/command-times.ts';
import { givenTime } from '../../redis/ttl-rule.ts';
import { isEdited, isTimed, keepBytes } from './other-times.ts';
import { mayBegin, StreamRewriter, withArguments } from './stream-rewriter.ts';
import type { Rewrite } from './stream-rewriter.ts';

/** `state` is the boundary that the first bytes follow; `laterByMs` is of whole seconds. */
export function laterTimes(state: ScannerState, laterByMs: number): StreamRewriter {
  return new StreamRewriter(state, {
    ...{ keepBytes, isMatch: mayHaveTime },
    edit: (command) => isEdited(command, { laterByMs }),
    others: 'pass',
    decide: (command) => laterTime(command, laterByMs),
    holds: (start) => mayBegin(start, isTimed),
  });
}

function laterTime(command: StreamCommand, laterByMs: number): Rewrite | undefined {
  const time = timeOf(command);
  if (time === 'none' || time === 'untold') return undefined;
  const { index, of, atMs, inSeconds } = time;
  const toMs = givenTime({ laterByMs }, of, atMs);
  const text = String(inSeconds === undefined ? toMs : toMs / 1000);
  return text.length === command.args[index]?.length ? withArguments(command, [[index, text]]) : undefined;
}
