/**
 * What `journal restore` is asked for: which keys, and where to; and what of this goes together. UsageError (exit 2) where it
 * does not.
 */
import { UsageError } from '../core/errors.ts';
import type { Layers } from '../daemon/layers.ts';
import { KeySelection, parseSelection } from '../redis/key-selection.ts';
import { parseDestination } from '../restore/plan/destination.ts';
import type { Destination } from '../restore/plan/destination.ts';
import { readKeyNames } from './keys-from.ts';
import type { VerbContext } from './verb.ts';

/** Which keys; undefined: all, and everything else. */
export async function selectionOf({ io, layers }: VerbContext): Promise<KeySelection | undefined> {
  const { values } = layers;
  const file = values['keys-from'];
  const names = file === undefined ? undefined : await readKeyNames(file, io);
  const selection = parseSelection(values, names);
  if (selection !== undefined || !values['only-missing']) return selection;
  return new KeySelection({ keys: [], exclude: [], db: [], type: [], rename: [] });
}

/** Undefined: none is named, for a look at the plan. */
export function destinationOf({ values }: Layers, selection: KeySelection | undefined): Destination | undefined {
  const to = values.to === undefined ? undefined : parseDestination(values.to);
  if (to?.kind === 'resp' && values.json && !values['dry-run']) {
    throw new UsageError('two-outputs', '--json and --to resp:- both want standard output', {
      hint: 'leave --json out, or look at the plan alone with --dry-run',
    });
  }
  requireMirrorable(to, selection, values);
  requireMissable(to, values);
  if (to !== undefined || values['dry-run']) return to;
  throw new UsageError('no-destination', 'restore to where? --to is missing', {
    hint: 'name a directory that does not exist or is empty, or look at the plan first with --dry-run',
  });
}

function requireMirrorable(
  to: Destination | undefined,
  selection: KeySelection | undefined,
  values: Layers['values'],
): void {
  if (!values['delete-absent']) return;
  if (to?.kind !== 'server' || selection === undefined) {
    throw new UsageError('delete-absent-of-what', '--delete-absent deletes selected keys of a running server', {
      hint: "say which, and of which server: --keys 'user:*' --to redis://HOST:PORT",
    });
  }
  if (values.rename.length === 0) return;
  throw new UsageError('delete-absent-renamed', '--delete-absent cannot tell which keys would have come by --rename', {
    hint: 'leave one of the two out; of keys under their own names it is known which are absent',
  });
}

function requireMissable(to: Destination | undefined, values: Layers['values']): void {
  if (!values['only-missing']) return;
  if (to?.kind !== 'server') {
    throw new UsageError('only-missing-of-what', '--only-missing is about keys that a running server has not', {
      hint: 'name it: --to redis://HOST:PORT',
    });
  }
  if (!values['delete-absent']) return;
  throw new UsageError('missing-and-absent', '--only-missing leaves alone what --delete-absent would delete', {
    hint: 'leave one of the two out',
  });
}
