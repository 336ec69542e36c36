// Journals that mean harm, or what says to be one, against the real listener: nonsense about links and bases, claims to have
// what was never sent, slow reading. Each is answered within bounds or cut off; a replica beside them goes on.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { encodeCommand } from '../../src/redis/commands-out.ts';
import { LinkIntake } from '../../src/redis/link-intake.ts';
import type { LinkEvent } from '../../src/redis/link-intake.ts';
import { baseIdentity } from '../../src/redis/link-state.ts';
import { eventually } from '../support/eventually.ts';
import { fakeId, smallRdb } from '../support/fake-primary.ts';
import { baseOffset, id, ListenerRig } from './listener-rig.ts';
import type { RawClient } from './listener-rig.ts';

const command = encodeCommand('SET', 'key', 'value');
const mebibyte = 1024 * 1024;
/** With two whole chunks and some of a third. */
const rdb = Buffer.concat([smallRdb(fakeId, baseOffset), randomBytes(2.5 * mebibyte)]);
const full = `+FULLRESYNC ${id} ${baseOffset}\r\n`;

/** A client that has asked for the link. */
async function linked(rig: ListenerRig): Promise<RawClient> {
  const client = await rig.known();
  client.say('REPLCONF', 'journal-link', '1');
  await client.hears('+journal-link 1\r\n');
  return client;
}

/** What came behind the answer to PSYNC. */
function eventsOf(client: RawClient, answer: string): LinkEvent[] {
  const at = client.heard.indexOf(answer);
  if (at === -1) return [];
  const base = { id, offset: baseOffset };
  const intake = new LinkIntake({ base, held: { identity: heldIdentity, bytes: mebibyte } });
  intake.push(client.heard.subarray(at + answer.length));
  const events: LinkEvent[] = [];
  for (let event = intake.next(); event !== undefined; event = intake.next()) events.push(event);
  return events;
}

let heldIdentity = '';

/** Where its base begins once it has asked. */
async function beginOf(rig: ListenerRig, client: RawClient): Promise<number> {
  heldIdentity = baseIdentity(rig.served.base.record);
  client.say('PSYNC', '?', '-1');
  return eventually('a base', () => {
    const [base] = eventsOf(client, full);
    return base?.kind === 'base' && { held: base.held };
  }).then(({ held }) => held);
}

test('a link that nobody has is refused, and so is one that a stranger asks for', async () => {
  await using rig = await ListenerRig.start({ hasLink: true });
  const stranger = await rig.connect();
  stranger.say('REPLCONF', 'journal-link', '1');
  await stranger.hears('-NOAUTH');
  const client = await rig.known();
  for (const version of ['2', '0', '', 'x', '1e9', '-1', '9'.repeat(1000)]) {
    const before = client.heard.length;
    client.say('REPLCONF', 'journal-link', version);
    await eventually('an answer', () => client.heard.length > before);
    expect(client.heard.subarray(before).toString(), version).toMatch(/^-ERR this journal has no link of that version/);
  }
  client.say('REPLCONF', 'journal-link');
  await client.hears('-ERR syntax error');
  await using without = await ListenerRig.start();
  const other = await without.known();
  other.say('REPLCONF', 'journal-link', '1');
  await other.hears('-ERR this journal has no link');
});

describe('of a base that is said to be held', () => {
  const identity = 'f'.repeat(64);
  test.each([
    ['nothing', []],
    ['no number', [identity]],
    ['no identity', ['x'.repeat(64), '1']],
    ['an identity in capitals', ['F'.repeat(64), '1']],
    ['a negative number', [identity, '-1']],
    ['a number beyond everything', [identity, '99999999999999999999']],
    ['a number of letters', [identity, '1e3']],
  ])('%s is refused', async (_what, words) => {
    await using rig = await ListenerRig.start({ hasLink: true });
    const early = await rig.known();
    early.say('REPLCONF', 'journal-base', identity, '1');
    await early.hears('-ERR journal-base takes');
    const client = await linked(rig);
    client.say('REPLCONF', 'journal-base', ...words);
    await client.hears('-ERR journal-base takes');
  });

  test.each([
    ['one that nobody has', () => identity, mebibyte],
    ['nothing of it', (own: string) => own, 0],
    ['half a chunk', (own: string) => own, mebibyte / 2],
    ['all of it', (own: string) => own, rdb.length],
    ['more than there is', (own: string) => own, 100 * mebibyte],
    ['as much as can be said', (own: string) => own, Number.MAX_SAFE_INTEGER],
  ])('%s begins it anew', async (_what, of, bytes) => {
    await using rig = await ListenerRig.start({ hasLink: true, rdb });
    const client = await linked(rig);
    client.say('REPLCONF', 'journal-base', of(baseIdentity(rig.served.base.record)), String(bytes));
    await client.hears('+OK\r\n');
    expect(await beginOf(rig, client)).toBe(0);
  });

  test('whole chunks of it are not sent again', async () => {
    await using rig = await ListenerRig.start({ hasLink: true, rdb });
    const client = await linked(rig);
    client.say('REPLCONF', 'journal-base', baseIdentity(rig.served.base.record), String(mebibyte));
    expect(await beginOf(rig, client)).toBe(mebibyte);
    const pieces = await eventually('all of it', () => {
      const found = eventsOf(client, full).flatMap((event) => (event.kind === 'piece' ? [event.bytes] : []));
      return Buffer.concat(found).length === rdb.length - mebibyte && found;
    });
    expect(Buffer.concat(pieces).equals(rdb.subarray(mebibyte))).toBe(true);
  });
});

describe('who acknowledges what was never sent', () => {
  const ack = (client: RawClient, offset: number | string): void => {
    client.say('REPLCONF', 'ACK', String(offset));
  };

  test.each([
    ['as a journal, in the stream', baseOffset + command.length + 1],
    ['as a journal, by far', Number.MAX_SAFE_INTEGER],
  ])('%s, is cut off, and not counted on', async (_what, offset) => {
    await using rig = await ListenerRig.start({ hasLink: true });
    const replica = await rig.replica();
    await rig.write(command);
    const client = await linked(rig);
    client.say('PSYNC', id, String(baseOffset + 1));
    // So short a body goes as it is.
    await client.hears(command.toString());
    ack(client, baseOffset + command.length);
    const acknowledged = (): number[] =>
      rig.listener.replicas.flatMap(({ isJournal, acknowledged: had }) => (isJournal ? [had] : []));
    await eventually('it to count', () => acknowledged()[0] === baseOffset + command.length);
    ack(client, offset);
    await client.closed();
    expect(rig.left).toEqual([expect.objectContaining({ code: 'ack-beyond' })]);
    expect(acknowledged()).toEqual([]);
    await rig.write(command);
    await replica.hasAll();
  });

  test('as a journal, before it has a base, is cut off', async () => {
    await using rig = await ListenerRig.start({ hasLink: true, rdb });
    const client = await linked(rig);
    client.socket.pause();
    client.say('PSYNC', '?', '-1');
    await eventually('it to be fed', () => rig.listener.replicas.some(({ isJournal }) => isJournal));
    ack(client, 0);
    ack(client, baseOffset + 1);
    client.socket.resume();
    await client.closed();
    expect(rig.left).toEqual([expect.objectContaining({ code: 'ack-beyond' })]);
  });

  test('as a replica, is believed as far as it was sent', async () => {
    await using rig = await ListenerRig.start();
    const replica = await rig.replica();
    const { client } = replica;
    await rig.write(command);
    await replica.hasAll();
    ack(client, baseOffset + 1_000_000);
    await eventually('it to be heard', () => rig.listener.replicas[0]?.acknowledged === baseOffset + command.length);
    expect(client.isClosed).toBe(false);
  });

  test('in words that are no offset, is heard and not counted', async () => {
    await using rig = await ListenerRig.start({ hasLink: true });
    const client = await linked(rig);
    client.say('PSYNC', '?', '-1');
    await client.hears('+FULLRESYNC');
    for (const word of ['', 'x', '-1', '99999999999999999999', '1e3']) ack(client, word);
    await rig.write(command);
    await eventually('the stream', () => eventsOf(client, full).some(({ kind }) => kind === 'stream'));
    expect(rig.listener.replicas[0]?.acknowledged).toBe(0);
  });
});

test('a journal that reads nothing of its base costs a few pieces of it, no other, and is given up after a minute', async () => {
  await using rig = await ListenerRig.start({ hasLink: true, rdb: randomBytes(48 * mebibyte) });
  const client = await linked(rig);
  client.socket.pause();
  client.say('PSYNC', '?', '-1');
  await eventually('it to be fed', () => rig.listener.replicas.some(({ isJournal }) => isJournal));
  await sleep(200);
  const before = process.memoryUsage().rss;
  const replica = await rig.known();
  for (let i = 0; i < 62; i += 1) {
    replica.say('PING');
    await sleep(5);
    rig.clock.advance(1000);
  }
  await eventually('it to be given up', () => rig.left.length > 0);
  expect(rig.left.map(({ code }) => code)).toEqual(['replica-silent']);
  expect(process.memoryUsage().rss - before).toBeLessThan(40 * mebibyte);
  expect(replica.isClosed).toBe(false);
  rig.clock.advance(1000);
  client.socket.resume();
  await client.closed();
});

test.each([
  ['garbage', randomBytes(100_000)],
  ['link frames', Buffer.from('JLNK'.repeat(1000))],
  ['a request that is too long', Buffer.from('*1\r\n$16385\r\n')],
])('a journal that sends %s ends its own feed', async (_what, bytes) => {
  await using rig = await ListenerRig.start({ hasLink: true });
  const replica = await rig.replica();
  const client = await linked(rig);
  client.say('PSYNC', '?', '-1');
  await client.hears('+FULLRESYNC');
  client.send(bytes);
  await client.closed();
  expect(rig.left.map(({ code }) => code)).toEqual(['protocol-broken']);
  await rig.write(command);
  await replica.hasAll();
});
