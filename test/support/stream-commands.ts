// The commands of a plan's stream, found by a reader of a few lines that has nothing in common with ours.
// Neighbour: fed-replica.ts feeds a server what is left of them.
// Invariant: `from` and `to` are where the command's bytes begin and end in the stream.
import { plannedStream } from '../../src/restore/plan/planned-stream.ts';
import type { Plan } from '../../src/restore/plan/plan.ts';
import { localDisk } from '../../src/storage/local-disk.ts';

export interface SeenCommand {
  readonly from: number;
  readonly to: number;
  /** In capitals. */
  readonly name: string;
}

export async function streamOf(plan: Plan): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const { bytes } of plannedStream(localDisk, plan)) parts.push(Buffer.from(bytes));
  return Buffer.concat(parts);
}

export function commandsIn(stream: Buffer): SeenCommand[] {
  const seen: SeenCommand[] = [];
  for (let at = 0; at < stream.length;) {
    const from = at;
    let name = '';
    const number = (): number => {
      const end = stream.indexOf('\r\n', at);
      const value = Number(stream.toString('latin1', at + 1, end));
      at = end + 2;
      return value;
    };
    for (let left = number(), isFirst = true; left > 0; left -= 1, isFirst = false) {
      const length = number();
      if (isFirst) name = stream.toString('latin1', at, at + length).toUpperCase();
      at += length + 2;
    }
    seen.push({ from, to: at, name });
  }
  return seen;
}

/** Those that can be left out alone. */
export function isOrdinary({ name }: SeenCommand): boolean {
  return !/^(SELECT|MULTI|EXEC|PING|REPLCONF)$/.test(name);
}
