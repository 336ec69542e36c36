/**
 * Words for a shell: what we print as a command can be copied and run. Pure.
 */

/** As it is where a shell leaves it alone, else in single quotes. */
export function shellQuoted(text: string): string {
  return /^[\w:.@/,+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
