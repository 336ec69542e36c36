// The sender of the benchmarks (firehose.c), from its command line to the events that it prints.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Child, type CommandLine } from './child.ts';

/** What is sent. */
export interface Flow {
  /** Of stream. */
  readonly bytes: number;
  /** SETs a second; by default as fast as the socket takes them. */
  readonly rate?: number;
  /** About so many milliseconds between two GETACKs; only with a rate. */
  readonly probeMs?: number;
  /** Of an RDB sent without its length; by default an empty one is sent. */
  readonly rdbBytes?: number;
}

export interface Listening {
  readonly port: number;
  /** Of the stream up to the last SET: what counts. */
  readonly bytes: number;
  readonly commands: number;
  /** Of all of the stream. */
  readonly streamBytes: number;
  readonly rdbBytes: number;
}

export interface RdbEvent {
  readonly bytes: number;
  readonly secondsFromFirstRdbByte: number;
}

export interface Acknowledged {
  readonly bytes: number;
  readonly commands: number;
  readonly secondsFromFirstByteToFinalAck: number;
  /** Processor time of the sender: what the contestant could not use. */
  readonly senderCpuSeconds: number;
  /** Of each probe: from the write before it to the first acknowledgement of that write. */
  readonly lagMicros: readonly number[];
  /** Of each probe: how late the sender woke up, by no fault of the receiver: the noise of the machine. */
  readonly senderLateMicros: readonly number[];
}

interface Events {
  readonly listening: Listening;
  readonly 'rdb-sent': RdbEvent;
  readonly 'rdb-acknowledged': RdbEvent;
  readonly acknowledged: Acknowledged;
}

export class Firehose implements AsyncDisposable {
  readonly listening: Listening;
  readonly #child: Child;

  private constructor(child: Child, listening: Listening) {
    this.#child = child;
    this.listening = listening;
  }

  static async start(program: string, flow: Flow): Promise<Firehose> {
    const child = new Child('firehose', commandLine(program, flow), { reads: 'lines', endsByItself: true });
    try {
      return new Firehose(child, await readEvent(child, 'listening'));
    } catch (error) {
      await child[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The next event, which must be this one. */
  next<Name extends keyof Events>(name: Name): Promise<Events[Name]> {
    return readEvent(this.#child, name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

async function readEvent<Name extends keyof Events>(child: Child, name: Name): Promise<Events[Name]> {
  const event = JSON.parse(await child.nextLine()) as { readonly event: string } & Events[Name];
  if (event.event !== name) throw new Error(`the firehose said ${event.event} instead of ${name}`);
  return event;
}

/** The bytes that such a flow consists of, made by the same plan. */
export async function* bytesOf(program: string, flow: Flow): AsyncGenerator<Buffer, void, undefined> {
  const [command, ...args] = commandLine(program, flow);
  const printing = spawn(command, ['-o', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(printing, 'close');
  try {
    for await (const chunk of printing.stdout) yield chunk as Buffer;
    const [code] = (await closed) as [number | null];
    if (code !== 0) throw new Error(`firehose -o ended with ${code ?? 'a signal'}`);
  } finally {
    printing.kill('SIGKILL');
  }
}

function commandLine(program: string, { bytes, rate, probeMs, rdbBytes }: Flow): CommandLine {
  const option = (letter: string, value: number | undefined): string[] =>
    value === undefined ? [] : [`-${letter}`, String(value)];
  return [program, ...option('r', rate), ...option('g', probeMs), ...option('d', rdbBytes), String(bytes)];
}
