/**
 * What destroyed much at once, in print, each with the command that brings back the moment before it.
 */
import { formatInstant } from '../core/instant.ts';
import { formatPosition } from '../core/position.ts';
import type { Position } from '../core/position.ts';
import type { FoundDestruction } from '../inspect/find-destruction.ts';
import type { Extent, Place } from '../inspect/extent.ts';
import { idAt } from '../log/catalog.ts';
import { keyText } from './command-text.ts';
import { bytesJson } from './bytes-json.ts';
import { shortPosition } from './find-print.ts';
import { shellQuoted } from './shell.ts';
import { formatCount, formatSeconds, formatTime } from './units.ts';

/** What the user said of the journal, to be repeated. */
export interface JournalWords {
  readonly dir: string;
  readonly name: string | undefined;
  /** URL of the server that the journal followed last, where that is known. */
  readonly server: string | undefined;
}

/** What rows of commands have as well is named as it is there. */
export function destructionJson(found: FoundDestruction, words: JournalWords): string {
  const { what, timeline, extent, isOne, ends, sources, isOrphan } = found;
  const { first, last, commands, keys, names, prefix, examples } = extent;
  const dbs = dbsOf(found);
  const isOfKeys = !isWhole(what);
  const document = {
    type: 'destruction',
    kind: what,
    timeline: timeline.number,
    position: formatPosition(positionOf(found, first)),
    time: formatInstant(first.stamp),
    last: { position: formatPosition(positionOf(found, last)), time: formatInstant(last.stamp) },
    command: names[0],
    commands: names,
    commandCount: commands,
    ...(dbs !== undefined && { dbs }),
    ...(isOfKeys && { keyCount: keys, prefix: bytesJson(prefix), examples: examples.map(bytesJson) }),
    ...(ends !== undefined && { ends: formatInstant(Math.max(0, ends)) }),
    ...(sources && { sources: { prefix: bytesJson(sources.prefix), examples: sources.examples.map(bytesJson) } }),
    atOnce: isOne,
    ...(isOrphan && { orphan: true }),
    restore: restoreLine(found, words),
    ...(isMissingNamed(found) && { restoreMissing: missingLine(found, words) }),
  };
  return `${JSON.stringify(document)}\n`;
}

export function destructionText(found: FoundDestruction, words: JournalWords): string {
  const { extent, sources, isOrphan } = found;
  const { first, keys } = extent;
  const examples = extent.examples.map((key, i) => {
    const source = sources?.examples[i];
    return source === undefined ? keyText(key) : `${keyText(source)} → ${keyText(key)}`;
  });
  const lines = [
    `${formatTime(formatInstant(first.stamp))}  ${inWords(found)}${isOrphan ? '  (orphan)' : ''}`,
    ...(keys > 1 ? [`    such as ${examples.join('  ')}`] : []),
    `    ${restoreLine(found, words)}`,
    ...(isMissingNamed(found) ? [`    ${missingLine(found, words)}`] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function inWords(found: FoundDestruction): string {
  const { what, extent, isOne, ends, sources } = found;
  const { first, last, keys, commands, names } = extent;
  const dbs = dbsOf(found)?.join(' and ');
  const [at, to] = [first, last].map((place) => shortPosition(positionOf(found, place)));
  if (isWhole(what)) return `${names.join()}${dbs === undefined ? '' : ` of db ${dbs}`} at ${at ?? ''}`;
  const which = namesText(extent);
  const seconds = (last.stamp - first.stamp) / 1_000_000;
  const how = isOne ? (commands === 1 ? 'by one command' : 'in one MULTI') : `in ${formatSeconds(seconds)}`;
  const where = `db ${extent.dbs.join(', ')}, ${commands === 1 ? `at ${at ?? ''}` : `${at ?? ''} to ${to ?? ''}`}`;
  const count = `${formatCount(keys)} ${keys === 1 ? 'key' : 'keys'}`;
  if (sources !== undefined) {
    const source = sources.prefix.length === 0 ? '' : ` of ${namesText(sources)}`;
    return `RENAME${source} to ${count} ${which}, which it replaced where they were there, ${how}, ${where}`;
  }
  const then = ends === undefined ? '' : `, to end by ${formatTime(formatInstant(Math.max(0, ends)))}`;
  return `${names.join(' and ')} of ${count} ${which} ${how}${then}, ${where}`;
}

function namesText({ prefix, keys }: Extent): string {
  if (prefix.length === 0) return 'of many names';
  return keys > 1 ? `${keyText(prefix)}*` : keyText(prefix);
}

function restoreLine(found: FoundDestruction, words: JournalWords): string {
  return `${restoreWords(found, words)} --to ./restored`;
}

/** Keys that are gone, all or with something in common by which they can be named. */
function isMissingNamed({ what, extent: { prefix, dbs } }: FoundDestruction): boolean {
  return what === 'flush' || ((what === 'removal' || what === 'expiry') && prefix.length > 0 && dbs.length === 1);
}

function isWhole(what: FoundDestruction['what']): boolean {
  return what === 'flush' || what === 'swap';
}

/** Undefined: all. */
function dbsOf({ what, extent, dbs }: FoundDestruction): readonly number[] | undefined {
  return isWhole(what) ? dbs : extent.dbs;
}

/** Into the running server, what it has not any more. */
function missingLine(found: FoundDestruction, words: JournalWords): string {
  const { prefix, keys } = found.extent;
  const literal = keyText(prefix).replace(/[*?[\]^-]/g, '\\$&');
  const which = keys === 0 ? '' : ` --keys ${shellQuoted(keys > 1 ? `${literal}*` : literal)}`;
  const db = dbsOf(found)?.map((one) => ` --db ${one}`) ?? [];
  const to = shellQuoted(words.server ?? 'redis://HOST:PORT');
  return `${restoreWords(found, words)}${which}${db.join('')} --only-missing --to ${to}`;
}

function restoreWords(found: FoundDestruction, { dir, name }: JournalWords): string {
  const before = formatPosition(positionOf(found, found.extent.first));
  const source = name === undefined ? '' : ` --name ${shellQuoted(name)}`;
  return `journal restore --dir ${shellQuoted(dir)}${source} --before ${before}`;
}

function positionOf({ timeline }: FoundDestruction, { offset }: Place): Position {
  return { id: idAt(timeline, offset), offset };
}
