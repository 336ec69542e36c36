// CSV and what stands in its fields, read by the rules that its readers go by.

/** By RFC 4180, and nothing else. */
export function csvFields(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (let at = 0; at < text.length;) {
    let field = '';
    const isQuoted = text[at] === '"';
    for (let start = at + 1; isQuoted && text[at] === '"'; start = at + 1) {
      const quote = text.indexOf('"', start);
      field += text.slice(start, quote);
      at = quote + 1;
      if (text[at] === '"') field += '"';
    }
    const end = isQuoted ? at : /[,\r]/.exec(text.slice(at, at + 200))!.index + at;
    row.push(isQuoted ? field : text.slice(at, end));
    at = end + 1;
    if (text[end] === ',') continue;
    if (text[at] !== '\n')
      throw new Error(`a line of CSV ends with CR LF, not as ${JSON.stringify(text.slice(at - 9, at + 9))}`);
    at += 1;
    rows.push(row);
    row = [];
  }
  return rows;
}

/** As redis-cli reads its line. */
export function wordsIn(line: string): Buffer[] {
  return Array.from(line.matchAll(/"([^"\\]*(?:\\[^][^"\\]*)*)"|[^ ]+/g), ([word, quoted]) => {
    if (quoted === undefined) return Buffer.from(word);
    const bytes = Buffer.from(quoted).toString('latin1');
    const plain = bytes.replace(/\\x([0-9a-f]{2})|\\(.)/g, (_, hex: string | undefined, other: string) =>
      hex === undefined ? other : String.fromCharCode(Number.parseInt(hex, 16)),
    );
    return Buffer.from(plain, 'latin1');
  });
}
