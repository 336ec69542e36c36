/**
 * Finds the first command of a name in what was journaled: the demo's way to "the moment before".
 */
import { CoverageError } from '../../core/errors.ts';
import type { Micros } from '../../core/clock.ts';
import type { Position } from '../../core/position.ts';
import { decodeReads } from '../../../journal-format/reads.ts';
import { idAt, loadCatalog } from '../../log/catalog.ts';
import { readRange } from '../../log/read-range.ts';
import type { SourceTree } from '../../log/source-tree.ts';
import { CommandReader } from '../../redis/command-reader.ts';
import type { Disk } from '../../storage/disk.ts';

export interface FoundCommand {
  readonly position: Position;
  readonly stamp: Micros;
}

export async function findCommand(disk: Disk, tree: SourceTree, name: string): Promise<FoundCommand> {
  const { timelines } = await loadCatalog(disk, tree);
  for (const timeline of timelines) {
    const { offset, db } = timeline.base.record;
    const commands = new CommandReader({ offset, db });
    for await (const { bytes, frame } of readRange(disk, timeline.segments, offset + 1, timeline.boundary)) {
      commands.push(bytes);
      for (let command = commands.next(); command !== undefined; command = commands.next()) {
        if (command.args[0]?.toString().toUpperCase() !== name) continue;
        const { end } = command;
        const stamp = decodeReads(frame.meta, frame.header).stampAt(end) ?? frame.header.lastStamp;
        return { position: { id: idAt(timeline, end), offset: end }, stamp };
      }
    }
  }
  throw new CoverageError('not-found', `no ${name} was journaled`);
}
