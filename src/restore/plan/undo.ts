/**
 * What is to be left out, as the user says it, single commands by position or all of a name; and what that comes to, which
 * plan-undo.ts finds. SELECT, MULTI and EXEC are what holds the stream together, and stay.
 */
import type { Micros } from '../../core/clock.ts';
import { UsageError } from '../../core/errors.ts';
import type { Offset, Position } from '../../core/position.ts';
import { controlCommandAt, ORDINARY, REPLCONF } from '../../redis/control-commands.ts';
import { quote } from '../locate/instant.ts';
import type { Stretch } from '../rewrite/left-out.ts';
import { parseTarget } from '../locate/target.ts';

export interface WantedPosition {
  /** As it was written. */
  readonly text: string;
  readonly idPrefix: string;
  readonly offset: Offset;
}

export interface UndoRequest {
  readonly positions: readonly WantedPosition[];
  /** Names in upper case. */
  readonly names: readonly string[];
}

/** A command to be told of. */
export interface ToldCommand {
  /** Of its last byte; as such it can be given to --without, --at and --before. */
  readonly position: Position;
  readonly stamp: Micros;
  readonly name: string;
  readonly db: number;
  /** The first of its keys, or what is shown of it; undefined where it has none. */
  readonly key: string | undefined;
}

export interface UndoPlan {
  readonly request: UndoRequest;
  readonly stretches: readonly Stretch[];
  readonly commands: number;
  readonly bytes: number;
  /** The first of those left out. */
  readonly told: readonly ToldCommand[];
  readonly later: {
    /** Any key: what is left out could have touched every one. */
    readonly isAnyKey: boolean;
    /** How many may come to something else, and the first of them. */
    readonly commands: number;
    readonly told: readonly ToldCommand[];
  };
  readonly warnings: readonly string[];
}

/** Undefined: nothing. */
export function parseUndo(positions: readonly string[], names: readonly string[]): UndoRequest | undefined {
  if (positions.length + names.length === 0) return undefined;
  return { positions: positions.map(parsePosition), names: [...new Set(names.map(parseName))] };
}

function parsePosition(text: string): WantedPosition {
  const target = parseTarget(text, { now: 0, zone: undefined });
  if (target.kind === 'position') return { text, idPrefix: target.idPrefix, offset: target.offset };
  throw new UsageError('bad-undo', `--without takes a position, not ${quote(text)}`, {
    hint: '<replication id>:<offset>, of any byte of the command: restore --dry-run prints positions',
  });
}

function parseName(text: string): string {
  if (!/^[\w.:-]{1,64}$/.test(text)) {
    throw new UsageError('bad-undo', `--without-command takes the name of a command, not ${quote(text)}`, {
      hint: 'its name alone, such as FLUSHALL; a single command is left out by its position, with --without',
    });
  }
  if (isFixed(Buffer.from(text))) throw fixed(text.toUpperCase());
  return text.toUpperCase();
}

/** Whether a command has to stay whatever is left out. */
export function isFixed(name: Buffer): boolean {
  const control = controlCommandAt(name, 0, name.length);
  return control !== ORDINARY && control !== REPLCONF;
}

export function fixed(name: string, where = ''): UsageError {
  return new UsageError('bad-undo', `${name}${where} cannot be left out: other commands depend on it`, {
    hint: 'SELECT, MULTI, EXEC and DISCARD say where and how those around them run, and change nothing themselves',
  });
}
