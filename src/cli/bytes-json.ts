/** Keys, arguments and values as JSON has them everywhere, exact whatever they are (pure). */
import { isUtf8 } from 'node:buffer';

export type BytesJson = string | { readonly base64: string };

export function bytesJson(bytes: Buffer): BytesJson {
  return isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') };
}
