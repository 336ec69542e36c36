/** Who gives a mark's name for a target, without what says that it is one, is told so. */
import { UsageError } from '../core/errors.ts';
import { readMarks } from '../log/timeline-store.ts';
import { chooseSource } from '../log/source-tree.ts';
import { shellQuoted } from './shell.ts';
import type { VerbContext } from './verb.ts';

/** The error itself, or one that says more. */
export async function withMarkHint(error: unknown, context: VerbContext): Promise<unknown> {
  if (!(error instanceof UsageError) || error.code !== 'bad-target') return error;
  const { at, before, from, to, after } = context.layers.values;
  const name = await markAmong([...at, before, from, to, after], context).catch(() => undefined);
  if (name === undefined) return error;
  const hint = `there is a mark of that name: write ${shellQuoted(`mark:${name}`)}`;
  return new UsageError(error.code, error.message, { hint, cause: error });
}

async function markAmong(
  texts: readonly (string | undefined)[],
  { io, layers: { values } }: VerbContext,
): Promise<string | undefined> {
  const marks = await readMarks(io.disk, await chooseSource(io.disk, values.dir, values.name));
  return marks.find(({ name }) => texts.includes(name))?.name;
}
