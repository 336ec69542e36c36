/**
 * Tables for people: columns as wide as their widest cell, two blanks between them, nothing behind the last. Pure.
 */

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

/** Lines without line ends; a table without rows is no lines. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const widths = columns.map(({ title }, i) => Math.max(width(title), ...rows.map((row) => width(row[i] ?? ''))));
  const titles = columns.map(({ title }) => title);
  return [titles, ...rows].map((row) =>
    columns
      .map(({ align }, i) => pad(row[i] ?? '', widths[i] ?? 0, align))
      .join('  ')
      .trimEnd(),
  );
}

/** One line of a table of which nobody knows how it goes on: a cell that is wider than its column moves the others. */
export function formatRow(columns: readonly (Column & { readonly width: number })[], row: readonly string[]): string {
  return columns
    .map(({ align, width: to }, i) => pad(row[i] ?? '', to, align))
    .join('  ')
    .trimEnd();
}

/** Names and values in two columns, indented. */
export function formatFacts(facts: readonly (readonly [name: string, value: string])[]): string[] {
  const nameWidth = Math.max(0, ...facts.map(([name]) => width(name)));
  return facts.map(([name, value]) => `  ${pad(name, nameWidth, undefined)}  ${value}`.trimEnd());
}

function pad(text: string, to: number, align: 'right' | undefined): string {
  const blanks = ' '.repeat(Math.max(0, to - width(text)));
  return align === 'right' ? blanks + text : text + blanks;
}

/** Characters, not UTF-16 units. */
function width(text: string): number {
  return Array.from(text).length;
}
