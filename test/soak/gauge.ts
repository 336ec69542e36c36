// Gauge: resident memory and file descriptors of the journal, once a second, and whether they are flat. Judged in its
// longest life, because each life begins anew.
import { readdirSync, readFileSync } from 'node:fs';
import type { JournalProcess } from '../support/journal-process.ts';

export interface GaugeSample {
  readonly pid: number;
  readonly seconds: number;
  readonly rssMb: number;
  readonly descriptors: number;
}

export interface GaugeVerdict {
  readonly samples: number;
  /** In all lives. */
  readonly rssMbMax: number;
  readonly descriptorsMax: number;
  /** Of the longest life: its length, medians of its first and last third, and the slope between. */
  readonly seconds: number;
  readonly rssMb: readonly [first: number, last: number];
  readonly rssMbPerHour: number;
  readonly descriptors: readonly [first: number, last: number];
  /** Undefined: it was too short to tell. */
  readonly isFlat: boolean | undefined;
}

const everyMs = 1000;
/** A fresh process grows until its buffers and compiled code are there; its worker for sealing comes after a minute. */
const warmUpSeconds = 120;
/** Of a life that can be judged, warming up included. */
const lifeSecondsMin = 600;
/** Beyond the noise of a garbage collector. */
const growthMbMax = 20;

export class Gauge implements Disposable {
  readonly #samples: GaugeSample[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(journal: () => JournalProcess) {
    const begin = performance.now();
    this.#timer = setInterval(() => {
      const process = journal();
      if (!process.isRunning) return;
      const sample = look(process.pid, (performance.now() - begin) / 1000);
      if (sample !== undefined) this.#samples.push(sample);
    }, everyMs);
  }

  verdict(): GaugeVerdict {
    return judge(this.#samples);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

export function judge(samples: readonly GaugeSample[]): GaugeVerdict {
  const lives = [...Map.groupBy(samples, ({ pid }) => pid).values()];
  const longest = lives.toSorted((a, b) => b.length - a.length)[0] ?? [];
  const begin = longest[0]?.seconds ?? 0;
  const seconds = (longest.at(-1)?.seconds ?? 0) - begin;
  const warm = longest.filter((sample) => sample.seconds - begin >= Math.min(warmUpSeconds, seconds / 4));
  const third = Math.floor(warm.length / 3);
  const [first, last] = [warm.slice(0, third), warm.slice(-Math.max(1, third))];
  const rssMb = [first, last].map((part) => median(part.map((sample) => sample.rssMb)));
  const descriptors = [first, last].map((part) => median(part.map((sample) => sample.descriptors)));
  const [rssFirst = 0, rssLast = 0] = rssMb;
  const [descriptorsFirst = 0, descriptorsLast = 0] = descriptors;
  return {
    samples: samples.length,
    rssMbMax: samples.reduce((most, sample) => Math.max(most, sample.rssMb), 0),
    descriptorsMax: samples.reduce((most, sample) => Math.max(most, sample.descriptors), 0),
    seconds,
    rssMb: [rssFirst, rssLast],
    rssMbPerHour: slope(warm) * 3600,
    descriptors: [descriptorsFirst, descriptorsLast],
    isFlat:
      seconds < lifeSecondsMin
        ? undefined
        : rssLast - rssFirst <= growthMbMax && descriptorsLast - descriptorsFirst <= 1,
  };
}

function look(pid: number, seconds: number): GaugeSample | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    if (kilobytes === undefined) return undefined; // it is ending
    const descriptors = readdirSync(`/proc/${pid}/fd`).length;
    return { pid, seconds, rssMb: Number(kilobytes) / 1024, descriptors };
  } catch {
    return undefined; // it has just ended
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

/** Megabytes a second, by least squares. */
function slope(samples: readonly GaugeSample[]): number {
  const mean = (of: (sample: GaugeSample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / Math.max(1, samples.length);
  const [x, y] = [mean(({ seconds }) => seconds), mean(({ rssMb }) => rssMb)];
  const above = samples.reduce((sum, { seconds, rssMb }) => sum + (seconds - x) * (rssMb - y), 0);
  const below = samples.reduce((sum, { seconds }) => sum + (seconds - x) ** 2, 0);
  return below === 0 ? 0 : above / below;
}
