// ByteReader: the primitives of the RDB encoding (lengths, strings, LZF, listpacks) for the oracle's rdb-reader.ts.
// Invariant: it never reads past the end of its buffer: that is an error naming the position.
export class ByteReader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  take(count: number): Buffer {
    if (count > this.remaining) throw new Error(`the file ended at ${this.#bytes.length}, inside a value`);
    const start = this.#position;
    this.#position += count;
    return this.#bytes.subarray(start, this.#position);
  }

  byte(): number {
    return this.take(1).readUInt8();
  }

  int64(): number {
    return toSafeNumber(this.take(8).readBigInt64LE());
  }

  length(): number {
    return toSafeNumber(this.unsigned64());
  }

  /** A length, or another number written as one, in full. */
  unsigned64(): bigint {
    const { value, encoded } = this.#lengthOrEncoding();
    if (encoded) throw new Error(`a string encoding where a length belongs, before ${this.#position}`);
    return value;
  }

  string(): Buffer {
    const { value, encoded } = this.#lengthOrEncoding();
    if (!encoded) return this.take(toSafeNumber(value));
    switch (Number(value)) {
      case 0:
        return Buffer.from(String(this.take(1).readInt8()));
      case 1:
        return Buffer.from(String(this.take(2).readInt16LE()));
      case 2:
        return Buffer.from(String(this.take(4).readInt32LE()));
      case 3: {
        const [compressed, plain] = [this.length(), this.length()];
        return decompressLzf(this.take(compressed), plain);
      }
      default:
        throw new Error(`string encoding ${value} is unknown`);
    }
  }

  skipStrings(count: number): void {
    for (let index = 0; index < count; index++) this.string();
  }

  skipLengths(count: number): void {
    for (let index = 0; index < count; index++) this.length();
  }

  /** The two top bits of the first byte choose the form; the last form says "not a length at all". */
  #lengthOrEncoding(): { value: bigint; encoded: boolean } {
    const first = this.byte();
    const low = first & 0x3f;
    if (first >= 0xc0) return { value: BigInt(low), encoded: true };
    if (first === 0x81) return { value: this.take(8).readBigUInt64BE(), encoded: false };
    if (first >= 0x80) return { value: BigInt(this.take(4).readUInt32BE()), encoded: false };
    if (first >= 0x40) return { value: BigInt((low << 8) | this.byte()), encoded: false };
    return { value: BigInt(low), encoded: false };
  }

  /** All entries of a listpack, integers as decimal text. */
  listpack(): Buffer[] {
    this.take(6);
    const entries: Buffer[] = [];
    for (;;) {
      const before = this.#position;
      const first = this.byte();
      if (first === 0xff) return entries;
      entries.push(this.#listpackEntry(first));
      this.take(backLengthSize(this.#position - before));
    }
  }

  #listpackEntry(first: number): Buffer {
    if (first < 0x80) return number(first);
    if (first < 0xc0) return this.take(first & 0x3f);
    if (first < 0xe0) return number(((((first & 0x1f) << 8) | this.byte()) << 19) >> 19);
    if (first < 0xf0) return this.take(((first & 0x0f) << 8) | this.byte());
    switch (first) {
      case 0xf0:
        return this.take(this.take(4).readUInt32LE());
      case 0xf1:
        return number(this.take(2).readInt16LE());
      case 0xf2:
        return number(this.take(3).readIntLE(0, 3));
      case 0xf3:
        return number(this.take(4).readInt32LE());
      case 0xf4:
        return number(this.take(8).readBigInt64LE());
      default:
        throw new Error(`listpack entry encoding ${first} is unknown`);
    }
  }
}

function number(value: number | bigint): Buffer {
  return Buffer.from(String(value));
}

/** Behind each listpack entry stands its length, seven bits to a byte. */
function backLengthSize(entryLength: number): number {
  let size = 1;
  for (let rest = entryLength; rest > 127; rest = Math.floor(rest / 128)) size++;
  return size;
}

function toSafeNumber(value: bigint): number {
  const asNumber = Number(value);
  if (!Number.isSafeInteger(asNumber)) throw new Error(`${value} is beyond what a number holds exactly`);
  return asNumber;
}

/** LZF: a control byte below 32 precedes literals; any other is a length and a distance back. */
function decompressLzf(input: Buffer, plainLength: number): Buffer {
  const output = Buffer.alloc(plainLength);
  const reader = new ByteReader(input);
  let at = 0;
  while (reader.remaining > 0) {
    const control = reader.byte();
    if (control < 32) {
      at += reader.take(control + 1).copy(output, at);
      continue;
    }
    let length = control >> 5;
    if (length === 7) length += reader.byte();
    const distance = ((control & 0x1f) << 8) + reader.byte() + 1;
    // Byte by byte: source and destination may overlap, which is how runs are written.
    for (let left = length + 2; left > 0; left--, at++) output[at] = output[at - distance] ?? 0;
  }
  if (at !== plainLength) throw new Error(`LZF gave ${at} bytes where ${plainLength} were promised`);
  return output;
}
