// Replicas that only take: so many connections to a port, each asking for the base and all of the stream, one after the
// other within a while, as a process of its own. Told to end, it prints what each has got.
//
//   node receivers.ts PORT COUNT WITHIN_MS PASSWORD
import { connect } from 'node:net';
import { encodeCommand } from '../../src/redis/commands-out.ts';

const [port = 0, count = 0, withinMs = 0] = process.argv.slice(2, 5).map(Number);
const password = process.argv[5] ?? '';
const retryMs = 20;
const hello = Buffer.concat([
  encodeCommand('AUTH', password),
  encodeCommand('REPLCONF', 'capa', 'eof', 'capa', 'psync2'),
  encodeCommand('PSYNC', '?', '-1'),
]);
const got: number[] = Array.from({ length: count }, () => 0);

for (let i = 0; i < count; i += 1) setTimeout(attach, (withinMs * i) / count, i);

/** Again and again until the port is open. */
function attach(i: number): void {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.write(hello);
  socket.on('data', (bytes: Buffer) => {
    got[i] = (got[i] ?? 0) + bytes.length;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ECONNREFUSED') throw error;
    setTimeout(attach, retryMs, i);
  });
}

process.on('SIGTERM', () => {
  console.log(JSON.stringify(got));
  process.exit(0);
});
