// What the soak prints in the end, as Markdown.
import type { Fault } from './faults.ts';
import type { GaugeVerdict } from './gauge.ts';
import type { Restores } from './proof.ts';

export interface FaultCount {
  readonly fault: Fault;
  times: number;
  gaps: number;
}

export interface SoakResult {
  readonly server: string;
  readonly seed: number;
  readonly startedAt: Date;
  readonly seconds: number;
  /** Of stream in the journal. */
  readonly streamBytes: number;
  /** Sent by the clients. */
  readonly commands: number;
  readonly faults: readonly FaultCount[];
  readonly notTried: readonly string[];
  readonly lives: number;
  readonly fullSyncs: number;
  readonly reconnections: number;
  readonly gauge: GaugeVerdict;
  readonly confirmed: { readonly all: number; readonly inStreams: number; readonly inBases: number };
  readonly restores: Restores;
  readonly gaps: Readonly<Record<'logged' | 'status' | 'verify', number>>;
  readonly verifyExit: number;
  readonly problems: readonly string[];
}

export function formatResult(result: SoakResult): string {
  const { gauge, confirmed, restores, gaps, problems } = result;
  const minutes = (result.seconds / 60).toFixed(1);
  const mb = (value: number): string => `${value.toFixed(0)} MB`;
  const lines = [
    `## Soak: ${problems.length === 0 ? 'passed' : `${problems.length} problems`}`,
    '',
    `${result.server}, seed ${result.seed}, from ${result.startedAt.toISOString()}, ${minutes} min of load`,
    '',
    '| fault | times | gaps expected | gaps found |',
    '|---|---|---|---|',
    ...result.faults.map(({ fault, times, gaps: found }) => {
      return `| ${fault.name} | ${times} | ${expectedGaps(fault, times)} | ${found} |`;
    }),
    '',
    '| what | seen |',
    '|---|---|',
    `| commands sent | ${result.commands}, ${(result.commands / result.seconds).toFixed(0)} a second |`,
    `| stream in the journal | ${mb(result.streamBytes / 1e6)} |`,
    `| lives of the journal | ${result.lives} |`,
    `| full syncs | ${result.fullSyncs} |`,
    `| clients that lost their server | ${result.reconnections} times |`,
    `| resident memory, at most | ${mb(gauge.rssMbMax)} |`,
    `| the same in its longest life, ${(gauge.seconds / 60).toFixed(1)} min: median of the first and the last third | ${gauge.rssMb.map(mb).join(', ')} (slope ${gauge.rssMbPerHour.toFixed(1)} MB an hour) |`,
    `| descriptors, at most; medians of the same thirds | ${gauge.descriptorsMax}; ${gauge.descriptors.join(', ')} |`,
    `| flat | ${gauge.isFlat === undefined ? 'too short to tell' : gauge.isFlat ? 'yes' : 'no'} |`,
    `| writes confirmed by WAIT 2 | ${confirmed.all}: ${confirmed.inStreams} in streams, ${confirmed.inBases} in bases |`,
    `| restores of quiet instants, compared by fingerprint | ${restores.quiet} |`,
    `| restores of random instants, sums and witness | ${restores.random}, and ${restores.refused} refused as uncertain |`,
    `| gaps by log, status, verify | ${gaps.logged}, ${gaps.status}, ${gaps.verify} |`,
    `| verify | exit ${result.verifyExit} |`,
    '',
    ...result.notTried.map((text) => `Not tried: ${text}`),
    ...problems.map((text) => `- PROBLEM: ${text}`),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

function expectedGaps({ gaps }: Fault, times: number): string {
  if (gaps === 'none') return '0';
  return gaps === 'one' ? String(times) : `0 to ${times}`;
}
