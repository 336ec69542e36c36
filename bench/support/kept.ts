// Whether what was kept is what was sent: a contestant that drops or alters bytes has not won anything.

/** Throws at the first difference; returns how many bytes are the same. */
export async function requireSame(kept: AsyncIterable<Buffer>, sent: AsyncIterable<Buffer>): Promise<number> {
  const others = new Reader(sent);
  let position = 0;
  for await (const chunk of kept) {
    for (let at = 0; at < chunk.length;) {
      const other = await others.next(chunk.length - at);
      if (other === undefined) throw new Error(`more than the ${position} bytes that were sent was kept`);
      if (!chunk.subarray(at, at + other.length).equals(other)) {
        throw new Error(`what was kept differs from what was sent behind byte ${position}`);
      }
      at += other.length;
      position += other.length;
    }
  }
  if ((await others.next(1)) !== undefined) throw new Error(`only ${position} bytes of what was sent were kept`);
  return position;
}

/** Chunks, cut to what is asked for. */
class Reader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next bytes, at most `room`; undefined at the end. */
  async next(room: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const chunk = await this.#chunks.next();
      if (chunk.done === true) return undefined;
      this.#rest = chunk.value;
    }
    const taken = this.#rest.subarray(0, room);
    this.#rest = this.#rest.subarray(taken.length);
    return taken;
  }
}
