// What a listener tells and does whoever comes.
import { test } from 'vitest';
import { ListenerRig } from './listener-rig.ts';

test('a server that has not been reached yet is told as the one that wrote the base', async () => {
  await using rig = await ListenerRig.start();
  const { base } = rig.served;
  rig.move({ base: { ...base, record: { ...base.record, aux: { 'valkey-ver': '9.1.2', 'redis-ver': '7.2.4' } } } });
  const client = await rig.known();
  client.say('INFO', 'server');
  await client.hears('valkey_version:9.1.2\r\n');
});
