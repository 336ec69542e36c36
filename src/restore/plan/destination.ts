/**
 * Where a restored dataset goes, as `--to` says it (pure). A word without a prefix is a directory; one that looks like a
 * prefix is written with ./ in front.
 */
import { UsageError } from '../../core/errors.ts';
import { quote } from '../locate/instant.ts';

/** `path` is as the user wrote it. */
export type Destination =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'rdb'; readonly path: string }
  | { readonly kind: 'resp' }
  /** A running server, by its URL. */
  | { readonly kind: 'server'; readonly url: string };

export function parseDestination(text: string): Destination {
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]+):(.*)$/s.exec(text) ?? [];
  switch (scheme) {
    case undefined:
      return { kind: 'directory', path: text };
    case 'rdb':
      if (rest === '' || rest.endsWith('/')) throw malformed(text, 'write rdb:FILE, the file to be made');
      return { kind: 'rdb', path: rest };
    case 'resp':
      if (rest !== '-') throw malformed(text, 'write resp:- for standard output');
      return { kind: 'resp' };
    case 'redis':
    case 'rediss':
      return { kind: 'server', url: text };
    default:
      throw malformed(text, `write a directory (./${scheme}:… if it is one), rdb:FILE, resp:- or redis://HOST:PORT`);
  }
}

function malformed(text: string, hint: string): UsageError {
  return new UsageError('bad-destination', `not a destination: ${quote(text)}`, { hint });
}
