// A value of 512 MB and a command of two million arguments, from a primary without a dataset, to a real `journal run`: its
// memory stays what it is with small ones. The primary is a socket of this test, since no real one sends such things soon.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { loadCatalog } from '../../src/log/catalog.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { eventually } from '../support/eventually.ts';
import { fakeId, fullSync } from '../support/fake-primary.ts';
import { JournalProcess } from '../support/journal-process.ts';
import { temporaryDirectory } from '../support/leash.ts';

const baseOffset = 1000;
const info = '# Server\r\nredis_version:7.0.15\r\n';
const memoryBytesMax = 200 * 1024 * 1024;
const valueBytes = 512 * 1024 * 1024;
const argumentCount = 2_000_000;

/** Answers the handshake, whatever comes with it; then `send` is on its own. */
function serve(socket: Socket, send: (socket: Socket) => Promise<void>): void {
  socket.on('error', () => undefined);
  socket.on('data', (bytes: Buffer) => {
    const text = bytes.toString('latin1');
    if (text.includes('PING')) socket.write('+PONG\r\n');
    else if (text.includes('INFO')) socket.write(`$${info.length}\r\n${info}\r\n`);
    else if (text.includes('journal-link')) socket.write('-ERR Unrecognized REPLCONF option\r\n');
    else if (/capa|version/.test(text)) socket.write('+OK\r\n');
    else if (text.includes('PSYNC')) {
      socket.write(fullSync(fakeId, baseOffset, 'length'));
      void send(socket);
    }
  });
}

async function write(socket: Socket, bytes: Buffer): Promise<void> {
  if (!socket.write(bytes)) await once(socket, 'drain');
}

/** The most that the process ever held in memory. */
function peakBytes(pid: number): number {
  const [, kilobytes = ''] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

test.skipIf(process.platform !== 'linux')(
  'a value of 512 MB and two million arguments take no more memory than small ones',
  { timeout: 120_000 },
  async () => {
    let end = baseOffset;
    const say = async (socket: Socket, bytes: Buffer): Promise<void> => {
      end += bytes.length;
      await write(socket, bytes);
    };
    const server = createServer((socket) => {
      serve(socket, async () => {
        await say(socket, Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${valueBytes}\r\n`));
        const piece = Buffer.alloc(1024 * 1024, 'v');
        for (let sent = 0; sent < valueBytes; sent += piece.length) await say(socket, piece);
        await say(socket, Buffer.from(`\r\n*${argumentCount}\r\n`));
        const some = Buffer.from('$1\r\nx\r\n'.repeat(10_000));
        for (let sent = 0; sent < argumentCount; sent += 10_000) await say(socket, some);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const dir = path.join(temporaryDirectory('hostile'), 'journal-data');
    await using journal = JournalProcess.start({ source: `redis://127.0.0.1:${port}`, dir });
    const expected = baseOffset + valueBytes + 14_000_000;
    const boundary = await eventually(
      'all of it to be durable',
      async () => {
        if (journal.of('base-published').length === 0) return undefined;
        const [timeline] = (await loadCatalog(localDisk, journal.tree)).timelines;
        return timeline !== undefined && timeline.end > expected && timeline.end === end
          ? timeline.boundary
          : undefined;
      },
      { timeoutMs: 90_000 },
    );
    expect(boundary).toBe(end);
    expect(journal.of('link-interrupted')).toEqual([]);
    expect(peakBytes(journal.pid)).toBeLessThan(memoryBytesMax);
    expect(await journal.stop()).toBe(0);
    server.close();
  },
);
