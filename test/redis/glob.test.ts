// Our globs against those of real servers: KEYS of random patterns, over random names, text and binary.
import { expect, test } from 'vitest';
import { glob } from '../../src/redis/glob.ts';
import { describeServers } from '../support/describe-servers.ts';
import { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { replyBytes, replyList } from '../support/resp-client.ts';

const patterns = 3000;
const names = 400;

describeServers('globs', (binary) => {
  test('match what KEYS tells, for patterns and names of any bytes', async () => {
    const seed = Date.now() >>> 0;
    const random = new Random(seed);
    const alphabet = Buffer.concat([Buffer.from('aab*?[]^-\\'), Buffer.from([0, 0x0a, 0x7f, 0x80, 0xc3, 0xff])]);
    const word = (max: number): Buffer =>
      Buffer.from(Array.from({ length: random.below(max + 1) }, () => random.pick([...alphabet])));
    await using server = await RedisServer.start(binary);
    await using client = await server.connect();
    const keys = [
      ...new Map(Array.from({ length: names }, () => word(6)).map((name) => [name.toString('latin1'), name])),
    ];
    await client.call('MSET', ...keys.flatMap(([, name]) => [name, '']));
    const asked = ['*', '**', '', 'a*', '*a', ...Array.from({ length: patterns }, () => word(8))];
    const replies = await client.callMany(asked.map((pattern) => ['KEYS', pattern]));
    for (const [i, pattern] of asked.entries()) {
      const told = replyList(replies[i]).map((reply) => replyBytes(reply).toString('latin1'));
      const { matches } = glob(pattern);
      const ours = keys.filter(([, name]) => matches(name)).map(([name]) => name);
      expect([Buffer.from(pattern as string), ours.sort()], `seed ${seed}`).toEqual([
        Buffer.from(pattern as string),
        told.sort(),
      ]);
    }
  });
});
