// Servers for tests: they start ready, come back with their data, and never outlive the test process.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeServers } from '../support/describe-servers.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { RedisServer } from '../support/redis-server.ts';
import { RespClient } from '../support/resp-client.ts';
import { availableServers, pickServer } from '../support/servers.ts';

describeServers('a server', (binary) => {
  test('starts ready, keeps its data over a kill, and leaves nothing behind', async () => {
    let home: string;
    {
      await using server = await RedisServer.start(binary, {
        unixSocket: true,
        config: { appendonly: 'yes', appendfsync: 'always' },
      });
      home = path.dirname(server.socketPath);
      await using client = await server.connect();
      expect(await client.text('INFO', 'server')).toContain(binary.version);
      await client.call('SET', 'key', 'value');
      await server.kill9();
      await client.closed;
      await server.restart();
      await using again = await RespClient.connect({ path: server.socketPath });
      expect(await again.text('GET', 'key')).toBe('value');
      expect(server.logs()).toContain('Ready to accept connections');
    }
    expect(existsSync(home)).toBe(false);
  });

  test('with a password lets in who knows it, and its replicas', async () => {
    const password = 'a "quoted" pass word\\';
    await using server = await RedisServer.start(binary, { password });
    await using replica = await RedisServer.start(binary, {
      password,
      config: { replicaof: `127.0.0.1 ${server.port}` },
    });
    await using stranger = await RespClient.connect({ port: server.port });
    await expect(stranger.call('GET', 'key')).rejects.toThrow('NOAUTH');
    await using client = await replica.connect();
    await eventually('the link', async () => (await client.text('INFO', 'replication')).includes('link_status:up'));
  });

  test('speaks TLS', async ({ skip }) => {
    const tls = makeCertificate();
    if (tls === undefined) skip('no openssl to make a certificate with');
    else {
      await using server = await RedisServer.start(binary, { tls });
      await using client = await server.connect();
      expect(await client.text('PING')).toBe('PONG');
    }
  });
});

describe('servers', () => {
  test('are one for each release, in order', () => {
    const releases = availableServers().map(({ kind, major, minor }) => `${kind} ${major}.${minor}`);
    expect(new Set(releases).size).toBe(releases.length);
    expect(releases).toEqual([...releases].sort());
  });

  test('end with the process that started them, even if that is killed', async () => {
    const support = path.resolve(import.meta.dirname, '../support');
    const program = `
      import { RedisServer } from ${JSON.stringify(path.join(support, 'redis-server.ts'))};
      import { pickServer } from ${JSON.stringify(path.join(support, 'servers.ts'))};
      const server = await RedisServer.start(pickServer());
      console.log(JSON.stringify({ pid: server.pid, dir: server.dir }));
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { pid, dir } = JSON.parse(line.toString()) as { pid: number; dir: string };
    expect(isRunning(pid)).toBe(true);
    child.kill('SIGKILL');
    await eventually('the server to end', () => !isRunning(pid) && !existsSync(dir));
  });

  test('say why they did not start', async () => {
    const start = RedisServer.start(pickServer(), { config: { 'no-such-setting': 'yes' } });
    await expect(start).rejects.toThrow('no-such-setting');
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function makeCertificate(): { certFile: string; keyFile: string; caFile: string } | undefined {
  const dir = temporaryDirectory('tls');
  const [certFile, keyFile] = [path.join(dir, 'cert.pem'), path.join(dir, 'key.pem')];
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
  try {
    execFileSync('openssl', [...request, '-out', certFile, '-keyout', keyFile], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  return { certFile, keyFile, caFile: certFile };
}
