/**
 * The exit codes and what they mean, for the help texts. The numbers themselves are chosen where errors are made
 * (core/errors.ts).
 */
import type { ExitCode } from '../core/errors.ts';

export const exitCodeMeanings: readonly (readonly [ExitCode, string])[] = [
  [0, 'done'],
  [1, 'unexpected error'],
  [2, 'the command line or the configuration is wrong'],
  [3, 'done, with warnings'],
  [4, 'the journal does not cover the target, or an object is missing'],
  [5, 'the target has more than one meaning'],
  [6, 'damage: bytes are not what they must be'],
  [7, 'the destination is not empty'],
  [8, 'another journal writes there'],
  [9, 'the disk failed or is full'],
  [10, 'refused: password, permission or certificate'],
  [11, 'the primary cannot be reached or cannot be followed'],
  [130, 'interrupted'],
];

export function meaningOf(code: ExitCode): string {
  return exitCodeMeanings.find(([known]) => known === code)?.[1] ?? 'error';
}
