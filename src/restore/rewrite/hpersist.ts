/**
 * Redis 7.4 to 8.x lets HPERSIST pass over fields that have elapsed, over a replication link too, where every other command
 * finds them (measured on 8.0.2; Valkey 9.1.2 has no such exception). Replayed later than it was written, it would leave
 * the fields with the time that they had. So they are given a later one first:
 *
 *   HPERSIST k FIELDS n f…      HPEXPIREAT k <far ahead> FIELDS n f… · HPERSIST k FIELDS n f…
 *
 * All else goes through byte for byte.
 */
import type { ScannerState } from '../../redis/boundary-scanner.ts';
import { nameOf } from '../../redis/command-reader.ts';
import type { StreamCommand } from '../../redis/command-reader.ts';
import { hashFieldExpiryMsMax } from '../../redis/server-version.ts';
import { argumentStart, head, mayBegin, StreamRewriter, takeArgument } from './stream-rewriter.ts';
import type { Rewrite } from './stream-rewriter.ts';

const keepBytes = 64;
const hpersist = 'HPERSIST';
const farAhead = `$14\r\n${hashFieldExpiryMsMax}\r\n`;

/** `state` is the boundary that the first bytes follow. */
export function replayedHpersist(state: ScannerState): StreamRewriter {
  return new StreamRewriter(state, {
    keepBytes,
    isWanted: (_bytes, _at, length) => length === hpersist.length,
    others: 'pass',
    decide: (command) => (isHpersist(command) ? laterTimeFirst(command) : undefined),
    holds: (start) => mayBegin(start, (name) => name === hpersist),
  });
}

function isHpersist(command: StreamCommand): boolean {
  return command.args[0]?.length === hpersist.length && nameOf(command) === hpersist;
}

function laterTimeFirst(command: StreamCommand): Rewrite {
  return (held, out) => {
    out.text(`${head(command.argumentCount + 1)}$10\r\nHPEXPIREAT\r\n`);
    takeArgument(command, 1, held, out);
    out.text(farAhead);
    for (const bytes of held.slice(argumentStart(command, 2), command.end)) out.bytes(bytes);
    for (const bytes of held.slice(command.start, command.end)) out.bytes(bytes);
  };
}
