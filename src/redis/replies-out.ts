/**
 * Replies as a server sends them, for whoever takes us for one. Texts are latin-1, a character a byte: what came from a
 * client goes back as it was.
 */

export const okReply = '+OK\r\n';
export const nullReply = '$-1\r\n';

export function statusReply(text: string): string {
  return `+${text}\r\n`;
}

/** `text` begins with a word in capitals that says of which kind it is. */
export function errorReply(text: string): string {
  return `-${text.replace(/[\r\n]/g, ' ')}\r\n`;
}

export function integerReply(value: number): string {
  return `:${value}\r\n`;
}

export function bulkReply(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

/** Of replies. */
export function arrayReply(replies: readonly string[]): string {
  return `*${replies.length}\r\n${replies.join('')}`;
}

/** Names and replies: a map to those who speak RESP3, else an array. */
export function mapReply(entries: readonly (readonly [name: string, reply: string])[], resp: 2 | 3): string {
  const parts = entries.map(([name, reply]) => bulkReply(name) + reply).join('');
  return resp === 3 ? `%${entries.length}\r\n${parts}` : `*${entries.length * 2}\r\n${parts}`;
}

/** What is sent unasked: RESP3 tells it from replies. */
export function pushReply(replies: readonly string[], resp: 2 | 3): string {
  return resp === 3 ? `>${replies.length}\r\n${replies.join('')}` : arrayReply(replies);
}
