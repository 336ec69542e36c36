// Diff: how long it takes to compare two moments of a large dataset, beside the time that it takes to load one of them into
// a scratch server, which is the least that a comparison of datasets could take. A journal of a real primary: its dataset,
// some SETs, the first moment, some more, the second moment. The rows are counted, and must be as many as differ.
//
//   load   the dataset of the first moment, loaded as a restore does
//   diff   the two moments, as journal diff does                      at most 2 times load, at most 200 MB of its own
//
//   node bench/diff.ts [--rounds 3] [--keys 10000000] [--value 100] [--changed 100000] [--dir DIR] [--save]
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { RedisServer } from '../test/support/redis-server.ts';
import type { RespClient } from '../test/support/resp-client.ts';
import { pickServer, serverLabel } from '../test/support/servers.ts';
import { attached, caughtUp } from './support/attached.ts';
import { Child } from './support/child.ts';
import { diffCommand, requireBuild, runCommand } from './support/journal.ts';
import { describeMachine } from './support/machine.ts';
import { atMost, type Conditions, conditionsOf, formatConditions, publish, table, verdict } from './support/report.ts';
import { flushDisk } from './support/run.ts';
import { formatSpread, spreadOf } from './support/statistics.ts';
import { readNumbers } from './support/settings.ts';
import { withWorkspace } from './support/workspace.ts';

interface Settings {
  readonly rounds: number;
  readonly keys: number;
  readonly value: number;
  readonly changed: number;
  readonly directory: string;
  readonly save: boolean;
}

interface Compared {
  /** Keys that differ. */
  readonly rows: number;
  readonly seconds: number;
  /** Of the process, its scratch server not counted. */
  readonly peakMemoryMb: number;
}

interface Round {
  readonly loadSeconds: number;
  readonly diff: Compared;
}

interface Report extends Conditions {
  readonly primary: string;
  readonly keys: number;
  readonly value: number;
  readonly changed: number;
  readonly rounds: readonly Round[];
}

const budgets = { ofLoad: 2, memoryMb: 200 };
const source = 'bench';
/** Written before the first moment, so that it is not that of the base. */
const warmUp = 1000;

const settings = readSettings();
const report = await withWorkspace(settings.directory, (parent) => measure(settings, parent));
publish(report, formatReport(report), settings.save);

function readSettings(): Settings {
  requireBuild();
  return readNumbers({ rounds: 3, keys: 10_000_000, value: 100, changed: 100_000 });
}

interface Moments {
  readonly from: string;
  readonly to: string;
}

async function measure({ rounds: count, keys, value, changed }: Settings, parent: string): Promise<Report> {
  const moments = await makeJournal(parent, { keys, value, changed });
  const rounds: Round[] = [];
  for (let round = 1; round <= count; round += 1) {
    const loadSeconds = await load(parent, moments);
    const diff = await compare(parent, moments);
    if (diff.rows !== changed) throw new Error(`${diff.rows} keys differ instead of ${changed}`);
    rounds.push({ loadSeconds, diff });
    console.error(`round ${round}/${count}  load ${loadSeconds.toFixed(1)} s  diff ${diff.seconds.toFixed(1)} s`);
  }
  return {
    ...conditionsOf('diff', describeMachine(parent)),
    ...{ primary: serverLabel(pickServer()), keys, value, changed, rounds },
  };
}

async function makeJournal(
  journal: string,
  { keys, value, changed }: Pick<Settings, 'keys' | 'value' | 'changed'>,
): Promise<Moments> {
  await using server = await RedisServer.start(pickServer(), { config: { 'enable-debug-command': 'local' } });
  await using client = await server.connect();
  await client.text('DEBUG', 'POPULATE', String(keys), 'key', String(value));
  await using child = new Child('journal', runCommand(journal, server.port));
  await Promise.race([attached(server), child.failed]);
  await write(
    client,
    Array.from({ length: warmUp }, (_, i) => i),
    value,
    'before',
  );
  const from = await position(client);
  // Spread over all keys: there is no order in which they would lie together.
  await write(
    client,
    Array.from({ length: changed }, (_, i) => Math.floor((i * keys) / changed)),
    value,
    'after',
  );
  const to = await position(client);
  await Promise.race([caughtUp(server, journal), child.failed]);
  await child.stop();
  return { from, to };
}

async function write(client: RespClient, indexes: readonly number[], bytes: number, salt: string): Promise<void> {
  for (let at = 0; at < indexes.length; at += 1000) {
    await Promise.all(
      indexes.slice(at, at + 1000).map((index) => {
        const digest = createHash('sha512').update(`${salt} ${index}`).digest('base64');
        return client.call('SET', `key:${index}`, digest.repeat(Math.ceil(bytes / digest.length)).slice(0, bytes));
      }),
    );
  }
}

async function position(client: RespClient): Promise<string> {
  const info = await client.text('INFO', 'replication');
  const field = (name: string): string => new RegExp(`^${name}:(\\w+)`, 'm').exec(info)?.[1] ?? '';
  return `${field('master_replid')}:${field('master_repl_offset')}`;
}

async function load(root: string, { from }: Moments): Promise<number> {
  flushDisk();
  const program = path.join(import.meta.dirname, 'support', 'load-process.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program, root, source, from]);
  return Number(stdout);
}

async function compare(root: string, { from, to }: Moments): Promise<Compared> {
  flushDisk();
  const begun = performance.now();
  await using child = new Child('diff', diffCommand(root, from, to), { reads: 'lines', endsByItself: true });
  let peak = 0;
  const watching = setInterval(() => {
    peak = Math.max(peak, child.memory()?.peak ?? 0);
  }, 20);
  try {
    for (let rows = 0; ; rows += 1) {
      if (!(await child.nextLine()).startsWith('{"type":"summary"')) continue;
      return { rows, seconds: (performance.now() - begun) / 1000, peakMemoryMb: Math.round(peak / 1e6) };
    }
  } finally {
    clearInterval(watching);
  }
}

function formatReport(result: Report): string[] {
  const { rounds, keys, value, changed, primary } = result;
  const ratio = spreadOf(rounds.map(({ loadSeconds, diff }) => diff.seconds / loadSeconds));
  const memory = spreadOf(rounds.map(({ diff }) => diff.peakMemoryMb));
  return [
    '# Diff',
    '',
    `${(keys / 1e6).toFixed(1)} million keys, values of ${value} bytes, of which ${changed} differ, ${primary}; median (least–most) of ${rounds.length} rounds.`,
    '',
    formatConditions(result),
    '',
    ...table(
      ['', 's', 'MB of memory'],
      [
        ['load', formatSpread(spreadOf(rounds.map(({ loadSeconds }) => loadSeconds)), 1), ''],
        ['diff', formatSpread(spreadOf(rounds.map(({ diff }) => diff.seconds)), 1), formatSpread(memory, 0)],
      ],
    ),
    '',
    `- diff, times load: ${formatSpread(ratio, 2)}; ${verdict(ratio.median, budgets.ofLoad, atMost)}`,
    `- memory of diff, without its scratch server: ${formatSpread(memory, 0)} MB; ${verdict(memory.median, budgets.memoryMb, atMost)}`,
  ];
}
