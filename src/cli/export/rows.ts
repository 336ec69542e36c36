/**
 * What an export writes of the stream, command by command: a contract with one implementation a format. Nothing is cut short
 * in any of them: an argument that is too large to be held comes in parts, each written as it comes.
 */
import type { FoundCommand } from '../../inspect/find.ts';
import type { Notice } from '../../inspect/notices.ts';
import type { ArgumentPart } from '../../redis/argument-parts.ts';

export type Piece = string | Buffer;

export interface CommandRows {
  /** Comes first, also where there is no command. */
  readonly heading: string;
  /** What is written so far may end here: behind its last command one can go on. */
  readonly isWhole: boolean;
  /** What stands before the arguments; undefined: it is no row of its own. */
  before(found: FoundCommand): Piece[] | undefined;
  /** Of an argument behind the name, which is argument 0. */
  argument(part: ArgumentPart): Piece[];
  behind(found: FoundCommand): Piece[];
  /** Undefined: it has no place in the format. */
  notice(notice: Notice): Piece | undefined;
}
