/**
 * What became of keys, in print: a line each, as they come, and how many there were. With --json a document a line.
 */
import type { DiffRow } from '../inspect/diff.ts';
import { bytesJson } from './bytes-json.ts';
import { quoted } from './command-text.ts';
import type { Output } from './output.ts';
import type { TextSender } from './text-sender.ts';
import { formatCount } from './units.ts';

const rowsTogether = 1000;

export class DiffPrinter {
  readonly #output: Output;
  readonly #sender: TextSender;
  readonly #count: Record<DiffRow['change'], number> = { added: 0, removed: 0, changed: 0 };

  constructor(output: Output, sender: TextSender) {
    this.#output = output;
    this.#sender = sender;
  }

  /** False: nobody reads any more. */
  async rows(rows: readonly DiffRow[]): Promise<boolean> {
    for (let from = 0; from < rows.length; from += rowsTogether) {
      const some = rows.slice(from, from + rowsTogether);
      for (const { change } of some) this.#count[change] += 1;
      const lines = some.map(this.#output.isJson ? jsonRow : textRow);
      if (!(await this.#sender.send(`${lines.join('\n')}\n`))) return false;
    }
    return true;
  }

  async end(): Promise<void> {
    const { added, removed, changed } = this.#count;
    const text = `${formatCount(added)} added, ${formatCount(removed)} removed, ${formatCount(changed)} changed`;
    await this.#sender.send(`${this.#output.isJson ? JSON.stringify({ type: 'summary', ...this.#count }) : text}\n`);
  }
}

function jsonRow({ change, db, key, differs, endedMs, endsMs }: DiffRow): string {
  return JSON.stringify({
    type: 'key',
    change,
    db,
    key: bytesJson(key),
    ...(differs.length > 0 && { differs }),
    ...(differs.includes('expiry') && { expiresBefore: instantOf(endedMs), expires: instantOf(endsMs) }),
  });
}

function textRow({ change, db, key, differs, endedMs, endsMs }: DiffRow): string {
  const expiry = `expiry: ${instantOf(endedMs) ?? 'never'} → ${instantOf(endsMs) ?? 'never'}`;
  const notes = differs.map((difference) => (difference === 'expiry' ? expiry : difference));
  return [change.padEnd(7), `db ${db}`, quoted(key), ...(notes.length > 0 ? [`(${notes.join(', ')})`] : [])].join('  ');
}

/** Null: never. */
function instantOf(ms: number | undefined): string | null {
  return ms === undefined || ms === 0 ? null : new Date(ms).toISOString();
}
