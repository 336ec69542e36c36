// A process that holds a scratch server until it is killed: for tests of what is left then. Its arguments are the server
// program, its kind and version, and the directory in which the private one is made; it prints the private one's path.
import { systemClock } from '../../src/core/clock.ts';
import { PrivateDirectory } from '../../src/scratch/private-directory.ts';
import { ScratchServer } from '../../src/scratch/server.ts';

const [path = '', kind, version = '', parent = ''] = process.argv.slice(2);
const [major = 0, minor = 0] = version.split('.').map(Number);
const directory = await PrivateDirectory.create(parent, systemClock);
await ScratchServer.start({
  program: { path, kind: kind === 'valkey' ? 'valkey' : 'redis', version, major, minor },
  directory: directory.path,
  removesDirectory: true,
  clock: systemClock,
  signal: new AbortController().signal,
  readyTimeoutMs: 30_000,
});
process.stdout.write(`${directory.path}\n`);
setInterval(() => undefined, 1000);
