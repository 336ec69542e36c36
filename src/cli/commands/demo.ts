/**
 * `journal demo`: tells the story of demo/demo.ts in plain words while it happens.
 */
import { formatInstant } from '../../core/instant.ts';
import { formatPosition } from '../../core/position.ts';
import type { Output } from '../output.ts';
import type { Verb } from '../verb.ts';
import type { DemoEvents, DemoReport } from '../demo/demo.ts';

export const demoVerb: Verb = {
  name: 'demo',
  summary: 'watch it work: a real server, a disaster, the moment before it restored and proven',
  description:
    'Starts a real server of its own (redis-server or valkey-server must be on PATH), attaches a journal, writes, runs ' +
    'FLUSHALL, restores the moment before it and proves that nothing is missing. Takes some seconds, touches nothing of ' +
    'yours, and leaves nothing behind.',
  settings: [],
  examples: [['journal demo', 'see for yourself']],
  exitCodes: [[1, 'no server on PATH, or the restored dataset was not the one before the disaster']],
  async run({ io, output }) {
    const { runDemo } = await import('../demo/demo.ts');
    const { disk, clock, signal, env } = io;
    const report = await runDemo({ disk, clock, signal, searchPath: env.PATH, events: narrator(output) });
    output.answer(report, () => ending(report, output));
    return report.isEqual ? 0 : 1;
  },
};

function narrator(output: Output): DemoEvents {
  const tell = (number: number, what: string, detail: string): void => {
    output.lines([output.style('bold', `${number}. ${what}`), `   ${detail}`]);
  };
  return {
    serverStarted: (program, port) => {
      tell(
        1,
        'A server is running.',
        `${program.kind} ${program.version} on 127.0.0.1:${port}, empty. It plays your primary.`,
      );
    },
    attached: ({ position }) => {
      tell(
        2,
        'journal is attached as a replica.',
        `Base taken at ${String(position)}; every byte from here on is kept, with its time.`,
      );
    },
    filled: (keys) => {
      tell(3, 'A shop opens.', `${keys.toLocaleString('en')} keys: customers, carts, sessions that expire, a ranking.`);
    },
    traded: (commands) => {
      tell(4, 'Live traffic.', `${commands.toLocaleString('en')} commands, orders as MULTI … EXEC.`);
    },
    noted: ({ keys, sha256 }) => {
      tell(
        5,
        'We note what the dataset is.',
        `${keys.toLocaleString('en')} keys, fingerprint ${short(sha256)} (all values and expiry times).`,
      );
    },
    flushed: (left) => {
      tell(6, 'Somebody types FLUSHALL.', `${left} keys left. The application has not noticed and writes on.`);
    },
    found: ({ position, stamp }) => {
      tell(
        7,
        'The journal knows when.',
        `FLUSHALL was received at ${formatInstant(stamp)}, position ${formatPosition(position)}.`,
      );
    },
    restored: (bytes, seconds) => {
      tell(
        8,
        'The moment before is restored.',
        `${(bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(2)} s, everything verified while it was read.`,
      );
    },
  };
}

function ending(report: DemoReport, output: Output): string[] {
  const { before, after, isEqual, flushPosition } = report;
  const verdict = isEqual
    ? output.style('green', 'Equal: nothing is missing, and nothing is there that was not.')
    : output.style('red', 'NOT EQUAL: this should never happen; please report it.');
  return [
    output.style('bold', '9. A server started from it holds the same dataset.'),
    `   before the accident  ${before.keys.toLocaleString('en')} keys  ${short(before.sha256)}`,
    `   restored             ${after.keys.toLocaleString('en')} keys  ${short(after.sha256)}`,
    `   ${verdict}`,
    '',
    'With a journal of your own, the same is:',
    '   journal run --source redis://HOST:6379 --dir ./journal-data     (keep it running)',
    `   journal restore --before ${flushPosition.slice(0, 8)}…:${flushPosition.split(':')[1] ?? ''} --to ./restored     (or --at -15m, or a date and time)`,
    '   redis-server --dir ./restored --appendonly yes',
  ];
}

function short(sha256: string): string {
  return `${sha256.slice(0, 16)}…`;
}
