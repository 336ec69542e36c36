/**
 * Requests of a replica to its primary, as we get them when we feed one: small RESP arrays, one at a time, with bare
 * newlines between them as signs of life. Far larger ones than any replica sends are a LinkError.
 */
import { LinkError } from '../core/errors.ts';
import { requestArgumentsMax, requestBytesMax } from '../core/limits.ts';

const LF = 10;

export class RequestReader {
  #bytes: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** The arguments of the next complete request; undefined when more bytes are needed. */
  next(): Buffer[] | undefined {
    let at = 0;
    while (this.#bytes[at] === LF) at += 1;
    this.#bytes = this.#bytes.subarray(at);
    if (this.#bytes.length === 0) return undefined;
    return this.#read();
  }

  #read(): Buffer[] | undefined {
    const head = this.#number('*', 0, requestArgumentsMax);
    if (head === undefined) return undefined;
    const args: Buffer[] = [];
    let at = head.end;
    for (let i = 0; i < head.value; i += 1) {
      const length = this.#number('$', at, requestBytesMax);
      if (length === undefined) return undefined;
      const end = length.end + length.value;
      if (end > requestBytesMax) throw broken('a request is too long');
      if (this.#bytes.length < end + 2) return undefined;
      args.push(this.#bytes.subarray(length.end, end));
      at = end + 2;
    }
    this.#bytes = this.#bytes.subarray(at);
    return args;
  }

  #number(mark: string, at: number, max: number): { readonly value: number; readonly end: number } | undefined {
    const lineMax = 16;
    const feed = this.#bytes.subarray(at, at + lineMax).indexOf(LF);
    if (feed < 0 && this.#bytes.length < at + lineMax) return undefined;
    const line = this.#bytes.toString('latin1', at, at + feed + 1);
    const digits = /^(.)(\d{1,9})\r\n$/.exec(line);
    if (digits?.[1] !== mark || Number(digits[2]) > max) throw broken('what came is no request of a replica');
    return { value: Number(digits[2]), end: at + feed + 1 };
  }
}

function broken(what: string): LinkError {
  return new LinkError('protocol-broken', `the replica broke the protocol: ${what}`, 'never');
}
