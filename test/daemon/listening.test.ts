// What a listener tells the log: who is turned away again and again is told of once a minute, and never what it said.
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { openListener } from '../../src/daemon/listening.ts';
import { createSilentLogger } from '../../src/daemon/logger.ts';
import type { LogLine } from '../../src/daemon/logger.ts';
import type { History } from '../../src/downstream/history.ts';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { localDisk } from '../../src/storage/local-disk.ts';

const upstream = { host: 'h', port: 1, isUp: true, since: 0, server: undefined, sources: [] };
const history: History = { now: () => undefined, upstream: () => upstream, watch: () => () => undefined };

test('passwords that are guessed are told of once a minute, and not what they were', async () => {
  const lines: LogLine[] = [];
  const accounts = [{ user: 'default', password: 'sesame' }] as const;
  const config = {
    address: { host: '127.0.0.1', port: 0 },
    accounts,
    tls: undefined,
    announce: undefined,
    rates: { stream: undefined, base: undefined },
  };
  const logger = createSilentLogger((line) => void lines.push(line));
  await using listener = await openListener(config, history, localDisk, logger);
  for (let round = 0; round < 20; round += 1) {
    const socket = connect(listener.port, '127.0.0.1');
    for (let guess = 0; guess < 3; guess += 1) socket.write(encodeCommand('AUTH', `canary-${round}`));
    socket.resume();
    await once(socket, 'close');
  }
  expect(lines.map(({ event }) => event)).toEqual(['listening', 'client-refused']);
  expect(lines[1]).toMatchObject({ level: 'warn', code: 'wrong-password', before: 0 });
  expect(JSON.stringify(lines)).not.toContain('canary');
});
