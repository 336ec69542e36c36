/**
 * What a restore leaves out, in print (pure): for programs, and for people.
 */
import { formatInstant } from '../../core/instant.ts';
import { formatPosition } from '../../core/position.ts';
import { formatInstantShort, quote } from '../locate/instant.ts';
import type { ToldCommand, UndoPlan } from './undo.ts';

interface ToldJson {
  readonly position: string;
  readonly time: string;
  readonly command: string;
  readonly db: number;
  readonly key: string | null;
}

export interface UndoJson {
  /** As they were asked for. */
  readonly without: readonly string[];
  readonly withoutCommand: readonly string[];
  readonly leftOut: { readonly commands: number; readonly bytes: number; readonly first: readonly ToldJson[] };
  readonly mayDiffer: {
    /** `any`: what is left out could have touched every key; `same`: those that it wrote. */
    readonly keys: 'any' | 'same';
    readonly commands: number;
    readonly first: readonly ToldJson[];
  };
}

export function undoToJson({ request, commands, bytes, told, later }: UndoPlan): UndoJson {
  return {
    without: request.positions.map(({ text }) => text),
    withoutCommand: request.names,
    leftOut: { commands, bytes, first: told.map(toldJson) },
    mayDiffer: {
      keys: later.isAnyKey ? 'any' : 'same',
      commands: later.commands,
      first: later.told.map(toldJson),
    },
  };
}

/** Lines of a name and a value each; those without a name go on from the one before. */
export function undoLines(undo: UndoPlan | undefined): (readonly [string, string])[] {
  if (undo === undefined) return [];
  const { commands, bytes, told, later } = undo;
  return [
    ['left out', `${count(commands)}, ${bytes} B of the stream; all others are replayed as they were`],
    ...told.map(toldLine),
    ...rest(commands - told.length),
    ['may differ', mayDiffer(later)],
    ...later.told.map(toldLine),
    ...rest(later.commands - later.told.length),
  ];
}

function mayDiffer({ isAnyKey, commands }: UndoPlan['later']): string {
  if (commands === 0) return 'nothing: no later command wrote a key that was touched by what is left out';
  if (isAnyKey) {
    return (
      `${count(commands)}, every later one that may write: what is left out could have touched any key. Where a key ` +
      'had existed before, they now find it; where it had not, they come to the same'
    );
  }
  return `${count(commands)} that came later and touched the same keys, or keys made of these`;
}

function toldLine({ position, stamp, name, db, key }: ToldCommand): readonly [string, string] {
  const where = key === undefined ? '' : ` ${quote(key)}`;
  return [
    '',
    `${formatInstantShort(stamp)}  ${formatPosition(position)}  db ${db}  ${quote(name).slice(1, -1)}${where}`,
  ];
}

function rest(more: number): (readonly [string, string])[] {
  return more > 0 ? [['', `and ${more} more`]] : [];
}

function toldJson({ position, stamp, name, db, key }: ToldCommand): ToldJson {
  return { position: formatPosition(position), time: formatInstant(stamp), command: name, db, key: key ?? null };
}

function count(commands: number): string {
  return `${commands} command${commands === 1 ? '' : 's'}`;
}
