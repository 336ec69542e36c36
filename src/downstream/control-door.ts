/**
 * A Unix socket at which this machine's operator talks to a process that serves: one line of JSON asks, one answers, and the
 * connection ends. Who may is who may open the socket: it is made 0600.
 *
 * Invariant: whoever comes and whatever they send costs a bounded amount of memory and time, and nobody else anything. A
 * socket that somebody listens at is never taken away; one that is left of a process that is gone is.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { LinkError, StorageError, UsageError } from '../core/errors.ts';
import { controlClientsMax, controlLineBytesMax } from '../core/limits.ts';
import type { Disk } from '../storage/disk.ts';

/** Answers a request; both are JSON values. It does not reject. */
export type ControlHandler = (request: unknown) => Promise<unknown>;

/** For a line to come, and for one to be taken. */
const patienceMs = 10_000;
/** What the kernel takes for a path, with its end. */
const pathBytesMax = 107;

export class ControlDoor implements AsyncDisposable {
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #answer: ControlHandler;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, clock: Clock, answer: ControlHandler) {
    this.#server = server;
    this.#clock = clock;
    this.#answer = answer;
  }

  /** StorageError `locked`: somebody listens there. UsageError: nobody can. */
  static async open(path: string, disk: Disk, clock: Clock, answer: ControlHandler): Promise<ControlDoor> {
    requireShort(path);
    await removeLeft(path, disk);
    // A client may end its side once it has asked.
    const server = createServer({ allowHalfOpen: true });
    const door = new ControlDoor(server, clock, answer);
    server.maxConnections = controlClientsMax;
    server.on('connection', (socket) => {
      door.#receive(socket);
    });
    await listen(server, path);
    return door;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #receive(socket: Socket): void {
    this.#sockets.add(socket);
    let late = this.#clock.after(patienceMs, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      late();
      this.#sockets.delete(socket);
    });
    takeLine(socket, (line) => {
      late();
      void this.#answer(parsed(line)).then((answer) => {
        late = this.#clock.after(patienceMs, () => socket.destroy());
        socket.end(`${JSON.stringify(answer)}\n`);
      });
    });
  }
}

/** Asks who listens there. LinkError `nobody-serves`: nobody does. */
export async function askAtDoor(path: string, request: unknown, signal: AbortSignal): Promise<unknown> {
  requireShort(path);
  const socket = connect({ path, signal });
  try {
    await once(socket, 'connect');
    const answer = new Promise<string>((resolve, reject) => {
      takeLine(socket, resolve);
      socket.on('error', reject);
      socket.on('close', () => {
        reject(new Error('it closed the connection without an answer'));
      });
    });
    socket.write(`${JSON.stringify(request)}\n`);
    return parsed(await answer);
  } catch (cause) {
    signal.throwIfAborted();
    throw nobodyServes(path, cause);
  } finally {
    socket.destroy();
  }
}

/** Calls back once, with the first line; a longer one than is allowed ends the connection. */
function takeLine(socket: Socket, take: (line: string) => void): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  let isTaken = false;
  socket.on('data', (part: Buffer) => {
    if (isTaken) return;
    parts.push(part);
    bytes += part.length;
    if (part.includes(0x0a)) {
      isTaken = true;
      take(Buffer.concat(parts).toString('utf8').split('\n', 1)[0] ?? '');
    } else if (bytes > controlLineBytesMax) socket.destroy();
  });
}

/** Undefined: it is no JSON. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function listen(server: Server, path: string): Promise<void> {
  const mask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new UsageError('cannot-control', `cannot make the control socket ${path}: ${reasonOf(cause)}`, {
      hint: 'name a place where this process may write: --control PATH',
      cause,
    });
  }
}

async function removeLeft(path: string, disk: Disk): Promise<void> {
  if ((await disk.size(path)) === undefined) return;
  await requireSocket(path, disk);
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (cause) {
    if (codeOf(cause) === 'ECONNREFUSED') await disk.remove(path);
    else throw new UsageError('cannot-control', `${path} cannot be a control socket: ${reasonOf(cause)}`, { cause });
    return;
  } finally {
    socket.destroy();
  }
  throw new StorageError('locked', `another process serves a delayed copy with the control socket ${path}`, {
    hint: 'each copy needs a socket of its own: --control PATH',
    exitCode: 8,
  });
}

/** A file refuses connections as a socket does that was left; but it can be opened, and is somebody's. */
async function requireSocket(path: string, disk: Disk): Promise<void> {
  const file = await disk.open(path, 'read').catch(() => undefined);
  if (file === undefined) return;
  await file.close();
  throw new UsageError('cannot-control', `${path} cannot be a control socket: there is a file`, {
    hint: 'name another place: --control PATH',
  });
}

function requireShort(path: string): void {
  if (Buffer.byteLength(path) <= pathBytesMax) return;
  throw new UsageError(
    'control-too-long',
    `the path of the control socket is longer than ${pathBytesMax} bytes: ${path}`,
    {
      hint: 'name a shorter one: --control PATH, when serving and when asking',
    },
  );
}

function nobodyServes(path: string, cause: unknown): LinkError {
  if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ECONNREFUSED') {
    return new LinkError('nobody-serves', `no delayed copy is served here: nobody listens at ${path}`, 'never', {
      hint: 'start it with journal serve --delay; where it has a --control of its own, name that',
      cause,
    });
  }
  return new LinkError('no-answer', `no answer from the delayed copy at ${path}: ${reasonOf(cause)}`, 'never', {
    cause,
  });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
