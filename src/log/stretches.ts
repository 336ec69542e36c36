/**
 * Where in a sealed segment to look for commands (pure): what its filters do not exclude (SPEC.md 7, "Filters"). Reading
 * each stretch from its beginning to its end finds every command that is looked for; one that begins before a stretch, or
 * goes on behind it, is none of them.
 */
import type { BlockFilter, Filters } from '../../journal-format/filters.ts';
import type { BlockEntry, Footer } from '../../journal-format/footer.ts';
import { mayHold } from '../../journal-format/key-filter.ts';
import type { KeyHash } from '../../journal-format/key-hash.ts';
import type { Offset } from '../core/position.ts';

/** Commands that touch one of the keys, and have one of the names; undefined: whichever. */
export interface Wanted {
  readonly keys?: readonly KeyHash[] | undefined;
  /** In upper case, a character for each byte. */
  readonly names?: readonly string[] | undefined;
}

export interface Stretch {
  /** Behind it a command begins. */
  readonly from: {
    readonly offset: Offset;
    readonly db: number;
    /** Inside MULTI: the db that was selected before it. */
    readonly multiDb: number | undefined;
  };
  /** The last byte, where a command may be cut. */
  readonly to: Offset;
  /** How many blocks it takes. */
  readonly blocks: number;
}

/** Only rules up to this one are trusted, and known (see Filters). */
const ruleTrusted = 1;

export function stretchesOf(footer: Footer, filters: Filters | undefined, wanted: Wanted): Stretch[] {
  if (filters === undefined) return [wholeOf(footer)];
  const names = wanted.names && new Set(wanted.names.map((name) => filters.names.indexOf(name)));
  const keys = filters.rule === ruleTrusted ? wanted.keys : undefined;
  const stretches: Stretch[] = [];
  let isInside = false;
  for (const [i, block] of footer.blocks.entries()) {
    // Without stream bytes: nothing is in it, and it comes between nothing.
    if (block.end < block.start) continue;
    const filter = filters.blocks[i];
    const isWanted = filter !== undefined && holdsName(filter, names) && holdsKey(filter, keys);
    const last = stretches.at(-1);
    // A stretch does not begin where no command does: what is cut there began in a block that holds nothing.
    if (isWanted && isInside && last !== undefined) {
      stretches[stretches.length - 1] = { ...last, to: block.end, blocks: last.blocks + 1 };
    } else if (isWanted && filter.first <= block.end) {
      stretches.push({ from: beginningOf(filter, block), to: block.end, blocks: 1 });
    }
    isInside = isWanted && (isInside || filter.first <= block.end);
  }
  return stretches;
}

function wholeOf({ start, end, blocks }: Footer): Stretch {
  return { from: { offset: start - 1, db: blocks[0]?.db ?? 0, multiDb: undefined }, to: end, blocks: blocks.length };
}

/** Inside a group, the last boundary before the block is also the last one before its first command. */
function beginningOf({ first, db, inMulti }: BlockFilter, block: BlockEntry): Stretch['from'] {
  return { offset: first - 1, db, multiDb: inMulti ? block.db : undefined };
}

function holdsName(filter: BlockFilter, names: ReadonlySet<number> | undefined): boolean {
  return names === undefined || filter.names === undefined || filter.names.some((index) => names.has(index));
}

function holdsKey({ keys: filter }: BlockFilter, keys: readonly KeyHash[] | undefined): boolean {
  return keys === undefined || filter === undefined || keys.some((key) => mayHold(filter, key));
}
