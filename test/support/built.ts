// Built: whether dist/ was compiled from the sources as they are. `npm test` builds before it tests; a test of what is
// built is skipped when somebody runs it alone after a change.
import { globSync, statSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/** The path of a compiled file, by the path of its source; undefined when it is older than some source. */
export function builtFile(source: string): string | undefined {
  const compiled = path.join(root, 'dist', source.replace(/\.ts$/, '.js'));
  const built = statSync(compiled, { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined) return undefined;
  const sources = globSync(['src/**/*.ts', 'journal-format/*.ts'], { cwd: root });
  return sources.every((file) => statSync(path.join(root, file)).mtimeMs <= built) ? compiled : undefined;
}
