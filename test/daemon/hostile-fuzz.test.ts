// Whatever a primary says: a whole conversation, with the handshake, a full sync and a stream, mutated at random and cut
// into random reads, again and again in one run. A failing case prints its seed and path, for fc.assert to repeat it.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LinkError } from '../../src/core/errors.ts';
import { fakeId, fullSync, smallRdb, streamCommand } from '../support/fake-primary.ts';
import type { FakeScript } from '../support/fake-primary.ts';
import { HostileRig, baseOffset, honestPsync } from './hostile-rig.ts';

const replies: Readonly<Record<string, string>> = {
  PING: '+PONG\r\n',
  INFO: '$32\r\n# Server\r\nredis_version:7.0.15\r\n\r\n',
  'REPLCONF CAPA': '+OK\r\n',
  'REPLCONF VERSION': '+OK\r\n',
};

const stream = Buffer.concat([
  streamCommand('SELECT', '3'),
  streamCommand('PING'),
  streamCommand('MULTI'),
  streamCommand('SET', 'key', 'x'.repeat(200)),
  streamCommand('SELECT', '0'),
  streamCommand('EXEC'),
  streamCommand('REPLCONF', 'GETACK', '*'),
  ...Array.from({ length: 10 }, (_, i) => streamCommand('SET', `key:${i}`, 'value')),
]);

const rdb = Buffer.concat([
  smallRdb(fakeId, baseOffset).subarray(0, -9),
  Buffer.from([
    0xfe, 0, 0xfb, 2, 1, 0, 1, 0x6b, 1, 0x76, 0xfc, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 0x6c, 2, 1, 0x61, 1, 0x62,
  ]),
  Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 0]),
]);

const placesMax = 9999;

/** One change of the bytes at a place. */
interface Mutation {
  readonly kind: 'flip' | 'insert' | 'remove' | 'double' | 'cut' | 'number';
  /** Of placesMax. */
  readonly place: number;
  readonly bytes: Uint8Array;
  readonly text: string;
}

const numbers = [
  '-1',
  '0',
  '-5',
  '4294967296',
  '9007199254740993',
  '1152921504606846976',
  '99999999999999999999',
  'abc',
  '',
];

const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('flip', 'flip', 'insert', 'remove', 'double', 'cut', 'number', 'number'),
  // Evenly, for a bias would put most of them into the first line.
  place: fc.noBias(fc.integer({ min: 0, max: placesMax })),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }),
  text: fc.constantFrom(...numbers),
});

function mutate(bytes: Buffer, { kind, place, bytes: given, text }: Mutation): Buffer {
  const at = Math.floor((place / (placesMax + 1)) * bytes.length);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (kind) {
    case 'flip': {
      const flipped = Buffer.from(bytes);
      if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << ((given[0] ?? 0) % 8));
      return flipped;
    }
    case 'insert':
      return Buffer.concat([head, given, tail]);
    case 'remove':
      return Buffer.concat([head, tail.subarray(given.length)]);
    case 'double':
      return Buffer.concat([head, tail.subarray(0, given.length), tail]);
    case 'cut':
      return Buffer.from(head);
    case 'number': {
      // The next number of the text is another one.
      const found = /\d+/.exec(tail.toString('latin1'));
      if (found === null) return bytes;
      const behind = tail.subarray(found.index + found[0].length);
      return Buffer.concat([head, tail.subarray(0, found.index), Buffer.from(text), behind]);
    }
  }
}

interface Conversation {
  /** Which part of what the primary says is not as it should be. */
  readonly part: 'reply' | 'sync' | 'resume';
  readonly command: string;
  readonly form: 'length' | 'mark';
  readonly mutations: readonly Mutation[];
  readonly readBytesMax: number;
  readonly cuts: readonly number[];
}

const conversation: fc.Arbitrary<Conversation> = fc.record({
  part: fc.constantFrom('reply', 'sync', 'sync', 'sync', 'resume', 'resume'),
  command: fc.constantFrom(...Object.keys(replies)),
  form: fc.constantFrom('length', 'mark'),
  mutations: fc.array(mutation, { minLength: 1, maxLength: 3 }),
  readBytesMax: fc.constantFrom(1, 7, 100, 50_000),
  cuts: fc.array(fc.integer({ min: 1, max: 1500 }), { maxLength: 4 }),
});

function scriptOf({ part, command, form, mutations, readBytesMax, cuts }: Conversation): FakeScript {
  const changed = (bytes: Buffer | string): Buffer => mutations.reduce(mutate, Buffer.from(bytes as string));
  const sync = Buffer.concat([fullSync(fakeId, baseOffset, form, rdb), stream]);
  const psync = (id: string, offset: number): Buffer => {
    if (part === 'sync' || id !== fakeId) return part === 'reply' ? sync : changed(sync);
    const behind = Buffer.concat([Buffer.from('+CONTINUE\r\n'), stream.subarray(Math.max(0, offset - 1 - baseOffset))]);
    return part === 'resume' ? changed(behind) : behind;
  };
  const reply = changed(replies[command] ?? '').toString('latin1');
  return { psync, readBytesMax, cuts, replies: part === 'reply' ? { ...replies, [command]: reply } : replies };
}

const runs = 300;
const memoryBytesMax = 400 * 1024 * 1024;

test(
  `no conversation of ${runs} ends the run, nor takes memory without bound, and what is kept verifies`,
  { timeout: 120_000 },
  async () => {
    const property = fc.asyncProperty(fc.array(conversation, { minLength: 1, maxLength: 4 }), async (conversations) => {
      const [first] = conversations;
      if (first === undefined) return;
      await using rig = await HostileRig.start(scriptOf(first));
      for (const one of conversations) {
        rig.primary.script = scriptOf(one);
        await rig.clock.advance(1000);
        rig.primary.links.at(-1)?.lose();
        await rig.clock.advance(1000);
      }
      rig.primary.script = { psync: honestPsync };
      rig.primary.links.at(-1)?.lose();
      await rig.clock.advance(5000);
      for (const error of rig.interruptions) {
        expect(error).toBeInstanceOf(LinkError);
        expect(error.message.length).toBeLessThan(500);
      }
      await rig.end();
      expect(process.memoryUsage().rss).toBeLessThan(memoryBytesMax);
    });
    await fc.assert(property, { numRuns: runs });
  },
);
