/**
 * What searches of the history have in common: the range that they are asked for, how they print what they find as it is
 * found, and what they exit with.
 */
import { UsageError } from '../core/errors.ts';
import type { ExitCode } from '../core/errors.ts';
import { printedArgumentBytesMax } from '../core/limits.ts';
import type { Layers } from '../daemon/layers.ts';
import { readWriter } from '../daemon/status.ts';
import type { FindEvent } from '../inspect/find.ts';
import type { DestructionEvent } from '../inspect/find-destruction.ts';
import type { ValueEvent } from '../inspect/key-history.ts';
import { reachOf } from '../inspect/reach.ts';
import type { Reach } from '../inspect/reach.ts';
import { withCatalog } from '../log/catalog.ts';
import { exitCodeOf } from '../log/damaged.ts';
import { chooseSource } from '../log/source-tree.ts';
import { parseZone } from '../restore/locate/instant.ts';
import { parseTarget } from '../restore/locate/target.ts';
import type { Target } from '../restore/locate/target.ts';
import { elided } from './command-text.ts';
import type { Elision } from './command-text.ts';
import { destructionJson, destructionText } from './destruction-print.ts';
import { heading, jsonLine, noticeText, textLine } from './find-print.ts';
import { RawCommands } from './raw-commands.ts';
import { TextSender } from './text-sender.ts';
import type { VerbContext } from './verb.ts';

const whole: Elision = { argumentsMost: Infinity, bytesMost: printedArgumentBytesMax };

/** Of each argument; undefined: what is kept where nothing is said. */
export function keepBytesOf({ values }: Layers): number | undefined {
  return values.values ? printedArgumentBytesMax : undefined;
}

/** Prints them up to the limit, or until nobody reads any more. */
export async function tellFound(
  all: AsyncIterable<readonly (FindEvent | DestructionEvent)[]>,
  reach: Reach,
  context: VerbContext,
): Promise<ExitCode> {
  const { io, layers } = context;
  const words = layers.values.destructive ? (await readWriter(io.disk, reach.tree)).words : undefined;
  const server = words && `${words.isTls ? 'rediss' : 'redis'}://${words.source}`;
  return tellBy(printerFor(context, reach, server), all, reach, context, limitOf(layers));
}

/** The same in a form of its own. */
export async function tellBy<T extends Told>(
  printer: Printer<T>,
  all: AsyncIterable<readonly T[]>,
  reach: Reach,
  { output }: VerbContext,
  limit = Infinity,
): Promise<ExitCode> {
  let found = 0;
  let isCut = false;
  for await (const events of all) {
    for (const event of events) {
      isCut ||= event.kind === 'removed';
      if (event.kind === 'command' || event.kind === 'destruction') found += 1;
      if (!(await printer.print(event))) return 0;
      if (found < limit) continue;
      await printer.flush();
      return 0;
    }
    if (!(await printer.flush())) return 0;
  }
  if (found === 0) output.note('nothing was found');
  return exitCode(found, reach, isCut);
}

/** `isCut`: something was removed, be it while it was searched. */
function exitCode(found: number, { legs }: Reach, isCut: boolean): ExitCode {
  const damaged = legs.flatMap((leg) => (leg.kind === 'damaged' ? [leg.damaged] : []));
  if (damaged.length > 0) return exitCodeOf(damaged);
  if (found > 0) return 0;
  return legs.every(({ kind }) => kind === 'stretch') && !isCut ? 1 : 4;
}

/** Of --from and --to. */
export function reachFor(context: VerbContext): Promise<Reach> {
  const { from, to } = context.layers.values;
  return reachBetween(context, from, to);
}

export async function reachBetween(
  { io, layers }: VerbContext,
  from: string | undefined,
  to: string | undefined,
): Promise<Reach> {
  const { dir, name, timezone } = layers.values;
  if (timezone !== undefined) parseZone(timezone);
  const context = { now: io.clock.wall(), zone: timezone };
  const parse = (text: string | undefined): Target | undefined =>
    text === undefined ? undefined : parseTarget(text, context);
  const range = { from: parse(from), to: parse(to) };
  const tree = await chooseSource(io.disk, dir, name);
  return withCatalog(io.disk, tree, (catalog) => reachOf(io.disk, catalog, range));
}

export function limitOf({ values: { limit }, origin }: Layers): number {
  if (limit === undefined) return Infinity;
  if (/^[1-9]\d{0,14}$/.test(limit)) return Number(limit);
  throw new UsageError('bad-setting', `${origin('limit')} is not a number of rows`, { hint: 'a number from 1 on' });
}

/** What there is to print. */
export type Told = FindEvent | DestructionEvent | ValueEvent;

export interface Printer<T extends Told = FindEvent | DestructionEvent> {
  /** False: nobody reads any more. */
  print(event: T): Promise<boolean>;
  /** What was printed is with the reader. */
  flush(): Promise<boolean>;
}

/** Small lines go together. */
const textsTogether = 64 * 1024;

function printerFor({ io, layers, output }: VerbContext, reach: Reach, server: string | undefined): Printer {
  const { values } = layers;
  const sender = new TextSender(io.stdout);
  if (values.raw) {
    const raw = new RawCommands(io.disk, reach.tree, sender, (notice) => output.note(noticeText(notice)));
    return { print: async (event) => event.kind === 'destruction' || raw.print(event), flush: async () => true };
  }
  const elision = values.values ? whole : elided;
  let held = '';
  let isBegun = values.json || values.destructive;
  const words = { dir: values.dir, name: values.name, server };
  const flush = async (): Promise<boolean> => {
    const text = held;
    held = '';
    return text === '' || sender.send(text);
  };
  return {
    print: async (event) => {
      if (!isBegun) held += `${output.style('bold', heading())}\n`;
      isBegun = true;
      if (event.kind === 'destruction') {
        held += values.json ? destructionJson(event, words) : destructionText(event, words);
      } else held += values.json ? jsonLine(event, elision) : textLine(event, elision);
      return held.length < textsTogether || flush();
    },
    flush,
  };
}
