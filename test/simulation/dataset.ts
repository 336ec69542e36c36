// What a model primary holds, and the smallest engine that executes its commands: enough to tell whether a restore is
// the state that it claims to be. RDBs are written and read here without the code under test.
// Invariant: text(dataset) is equal exactly when the datasets are.
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { Crc64 } from '../../src/redis/crc64.ts';

export type Command = readonly string[];

/** Keys and values by db; a db without keys is not there. */
export type Dataset = Map<number, Map<string, string>>;

export function copyOf(dataset: Dataset): Dataset {
  return new Map([...dataset].map(([db, keys]) => [db, new Map(keys)]));
}

export function text(dataset: Dataset): string {
  const keys = [...dataset].flatMap(([db, entries]) => [...entries].map(([key, value]) => `${db} ${key}=${value}`));
  return keys.sort().join('\n');
}

/** Executes commands as a replica does, or a server that loads a file. */
export class Engine {
  readonly dataset: Dataset;
  db: number;
  #group: Command[] | undefined;

  constructor(dataset: Dataset, db = 0) {
    this.dataset = dataset;
    this.db = db;
  }

  /** Whether a MULTI is open. */
  get inGroup(): boolean {
    return this.#group !== undefined;
  }

  execute(command: Command): void {
    const [name] = command;
    if (name === 'MULTI') this.#group = [];
    else if (name === 'EXEC') {
      const group = this.#group ?? [];
      this.#group = undefined;
      for (const one of group) this.#apply(one);
    } else if (this.#group !== undefined) this.#group.push(command);
    else this.#apply(command);
  }

  #apply([name = '', key = '', value = '']: Command): void {
    switch (name) {
      case 'SELECT':
        this.db = Number(key);
        break;
      case 'SET':
        this.#keys().set(key, value);
        break;
      case 'INCRBY':
        this.#keys().set(key, String(Number(this.#keys().get(key) ?? '0') + Number(value)));
        break;
      case 'DEL':
        this.#keys().delete(key);
        if (this.#keys().size === 0) this.dataset.delete(this.db);
        break;
      case 'PING':
      case 'REPLCONF':
        break;
      default:
        throw new Error(`the model does not know the command ${JSON.stringify(name)}`);
    }
  }

  #keys(): Map<string, string> {
    let keys = this.dataset.get(this.db);
    if (keys === undefined) {
      keys = new Map();
      this.dataset.set(this.db, keys);
    }
    return keys;
  }
}

export function encode(command: Command): Buffer {
  return encodeCommand(...command);
}

/** Whole commands only; throws where the bytes are anything else. */
export function decodeCommands(bytes: Buffer): Command[] {
  const commands: Command[] = [];
  let at = 0;
  const line = (mark: string): number => {
    const end = bytes.indexOf('\r\n', at, 'latin1');
    const head = bytes.toString('latin1', at, end === -1 ? at : end);
    if (!new RegExp(`^\\${mark}\\d+$`).test(head)) throw new Error(`not a command at byte ${at}: ${head}`);
    at = end + 2;
    return Number(head.slice(1));
  };
  while (at < bytes.length) {
    const words: string[] = [];
    for (let left = line('*'); left > 0; left -= 1) {
      const length = line('$');
      if (bytes.toString('latin1', at + length, at + length + 2) !== '\r\n') throw new Error(`no end at byte ${at}`);
      words.push(bytes.toString('latin1', at, at + length));
      at += length + 2;
    }
    commands.push(words);
  }
  return commands;
}

export function encodeRdb(dataset: Dataset, aux: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = [Buffer.from('REDIS0011')];
  for (const [name, value] of Object.entries(aux)) parts.push(Buffer.of(0xfa), rdbString(name), rdbString(value));
  for (const [db, keys] of dataset) {
    parts.push(Buffer.of(0xfe, db));
    for (const [key, value] of keys) parts.push(Buffer.of(0), rdbString(key), rdbString(value));
  }
  parts.push(Buffer.of(0xff));
  const body = Buffer.concat(parts);
  const crc = new Crc64();
  crc.update(body);
  return Buffer.concat([body, Buffer.from(crc.hex(), 'hex').reverse()]);
}

export function decodeRdb(bytes: Buffer): Dataset {
  const dataset: Dataset = new Map();
  let at = 9;
  let db = 0;
  const next = (): number => bytes.readUInt8(at++);
  const string = (): string => {
    const first = next();
    const length = first < 0x40 ? first : ((first & 0x3f) << 8) | next();
    at += length;
    return bytes.toString('latin1', at - length, at);
  };
  for (let code = next(); code !== 0xff; code = next()) {
    if (code === 0xfa) {
      string();
      string();
    } else if (code === 0xfe) {
      db = next();
    } else if (code === 0) {
      const keys = dataset.get(db) ?? new Map<string, string>();
      keys.set(string(), string());
      dataset.set(db, keys);
    } else throw new Error(`the RDB holds opcode ${code} before byte ${at}`);
  }
  if (at + 8 !== bytes.length) throw new Error(`the RDB has ${bytes.length} bytes and ends at ${at}`);
  return dataset;
}

/** Up to 16 KiB. */
function rdbString(value: string): Buffer {
  const content = Buffer.from(value, 'latin1');
  const { length } = content;
  const head = length < 64 ? Buffer.of(length) : Buffer.of(0x40 | (length >> 8), length & 255);
  return Buffer.concat([head, content]);
}
