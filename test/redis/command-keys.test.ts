// The keys of commands, as each server tells them (COMMAND GETKEYS): every command that it has, with arguments of all
// sorts. A server of which the table does not know a command makes this fail: run support/generate-command-table.ts.
import { expect, test } from 'vitest';
import { isKnownCommand, keysOf } from '../../src/redis/command-keys.ts';
import { describeServers } from '../support/describe-servers.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type Reply, ReplyError, replyList, replyText } from '../support/resp-client.ts';

/** Where words among the arguments matter. */
const samples = [
  'SORT key',
  'SORT key BY store GET x LIMIT 0 1 STORE to',
  'SORT key STORE one STORE two',
  'SORT key LIMIT store 2 GET store STORE to',
  'COPY from to DB 3 REPLACE',
  'MIGRATE host 1 key 0 10 COPY',
  'MIGRATE host 1 key 0 10 AUTH keys',
  'MIGRATE host 1  0 10 REPLACE KEYS a b c',
  'XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0',
  'XREADGROUP GROUP g c COUNT 1 NOACK STREAMS a b c 0 0 0',
  'GEORADIUS key 1 2 3 km COUNT 1 STORE to',
  'GEORADIUSBYMEMBER key m 3 km STOREDIST to',
  'ZINTERSTORE to 2 a b WEIGHTS 1 2 AGGREGATE SUM',
  'ZDIFF 2 a b WITHSCORES',
  'EVAL script 2 a b c',
  'BLMPOP 0 2 a b LEFT COUNT 3',
  'LCS a b IDX',
  'MSET a 1 b 2',
  'XGROUP CREATE key g $ MKSTREAM',
  'XGROUP SETID key g $',
  'XINFO STREAM key FULL',
  'OBJECT FREQ key',
  'MEMORY USAGE key',
].map((line) => line.split(' '));

/**
 * Those that ask for the keys of others, or are no commands; before Redis 7.0 also subcommands that do not exist, which
 * were not told from others then, and PFDEBUG, of which the key was not told.
 */
const passedOver = /^(COMMAND|HOST:|POST)/;
const passedOverBefore7 = /^(XINFO|OBJECT|XGROUP|MEMORY) \d|^PFDEBUG/;

describeServers('the keys of a command', (binary) => {
  test('are what the server says, for every command it has', { timeout: 60_000 }, async () => {
    await using server = await RedisServer.start(binary);
    await using client = await server.connect();
    const names = replyList(await client.call('COMMAND')).flatMap(namesOf);
    expect(names.filter(([name = '']) => !isKnownCommand(name))).toEqual([]);
    const own = samples.filter(([name]) => names.some(([known]) => known === name));
    const isOld = binary.kind === 'redis' && binary.major < 7;
    const isAsked = (text: string): boolean => !passedOver.test(text) && !(isOld && passedOverBefore7.test(text));
    const lines = [...names.flatMap(calls), ...own].filter((line) => isAsked(line.join(' ')));
    const replies = await client.callMany(lines.map((line) => ['COMMAND', 'GETKEYS', ...line]));
    const wrong = lines.flatMap((line, index) => {
      const theirs = keysTold(replies[index]);
      const ours = ourKeys(line);
      return theirs === undefined || theirs === ours ? [] : [`${line.join(' ')}: ${ours}, not ${theirs}`];
    });
    expect(wrong).toEqual([]);
    expect(replies.filter((reply) => Array.isArray(reply)).length).toBeGreaterThan(600);
  });
});

/** In upper case, a subcommand behind its container. */
function namesOf(told: Reply): (readonly string[])[] {
  const [name, , , , , , , , , subcommands] = replyList(told);
  const words = replyText(name).toUpperCase().split('|');
  return [words, ...replyList(subcommands ?? []).flatMap(namesOf)];
}

/** Arguments are numbers, each another one, so that those that count keys can be such, and each can be told. */
function calls(words: readonly string[]): string[][] {
  return Array.from({ length: 10 }, (_, extra) => {
    const numbers = Array.from({ length: extra }, (_, i) => String(words.length + i));
    return [...words, ...numbers];
  });
}

/** Undefined where the command is not valid. */
function keysTold(reply: Reply | undefined): string | undefined {
  if (!(reply instanceof ReplyError)) return replyList(reply).map(replyText).sort().join(' ');
  return reply.message.includes('no key arguments') ? '' : undefined;
}

function ourKeys(line: readonly string[]): string {
  const args = line.map((word) => Buffer.from(word));
  const { keys } = keysOf({ args, argumentCount: args.length, shortened: undefined, db: 0 });
  const byIndex = new Map(keys.map(({ index, key }) => [index, key.toString()]));
  return [...byIndex.values()].sort().join(' ');
}
