// Runs histories and tells of those that fail: the seed, what was wrong, how to repeat it, and what had happened.
import { afterAll } from 'vitest';
import { seedCrypto } from './seeded-crypto.ts';
import { World } from './world.ts';
import type { HistoryReport } from './world.ts';

const traceLines = 120;

/** The one seed that is to be run, or undefined. */
export function seedWanted(): number | undefined {
  const { SIMULATION_SEED: wanted } = process.env;
  return wanted === undefined || wanted === '' ? undefined : Number(wanted);
}

/** Things that happen in one history, at most: of the short ones, and of the long ones. */
const shortEvents = 16;
export const longEvents = 60;

/** One history; a failure names its seed and its last events. */
export async function runHistory(seed: number, most = shortEvents): Promise<HistoryReport> {
  seedCrypto(seed);
  const world = new World(seed, most);
  try {
    return await world.run();
  } catch (cause) {
    const { trace } = world;
    const shown = seedWanted() === undefined ? trace.slice(-traceLines) : trace;
    const problem = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    throw new Error(
      [
        `history ${seed}: ${problem}`,
        `it is repeated by: SIMULATION_SEED=${seed} ${again(most)}`,
        ...(shown.length < trace.length ? [`the last ${shown.length} of ${trace.length} events:`] : ['all events:']),
        ...shown,
      ].join('\n'),
      { cause },
    );
  }
}

function again(most: number): string {
  const vitest = 'npx vitest run --config test/vitest.config.ts';
  return most === shortEvents
    ? `${vitest} --project pure test/simulation`
    : `SIMULATION_HISTORIES=1 ${vitest} --project long test/simulation`;
}

/** Tells once, behind all tests of a file, at which kill points processes ended. */
export function countingEnds(): (report: HistoryReport) => void {
  const ends = new Map<string, number>();
  afterAll(() => {
    if (seedWanted() !== undefined) return;
    const list = [...ends].sort(([a], [b]) => a.localeCompare(b)).map(([name, count]) => `${name}: ${count}`);
    console.log(`kill points at which processes ended:\n${list.join('\n')}`);
  });
  return (report) => {
    for (const name of report.ends) ends.set(name, (ends.get(name) ?? 0) + 1);
  };
}
