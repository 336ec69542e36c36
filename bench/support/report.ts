// How a benchmark reports: Markdown for people, JSON with every number behind it, and the conditions in both.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Machine } from './machine.ts';

/** What every result begins with. */
export interface Conditions {
  readonly benchmark: string;
  readonly date: string;
  readonly machine: Machine;
}

const resultsDirectory = path.join(import.meta.dirname, '..', 'results');

export function conditionsOf(benchmark: string, machine: Machine): Conditions {
  return { benchmark, date: new Date().toISOString(), machine };
}

/** One line: what the numbers were measured on. */
export function formatConditions({ machine, date }: Conditions): string {
  const { cores, processor, memoryGb, system, fileSystem, node, server } = machine;
  const hardware = `${cores} cores of ${processor}, ${memoryGb} GB, ${system}, ${fileSystem}`;
  return `${hardware}; Node ${node}, redis-server ${server}; ${date.slice(0, 10)}.`;
}

/** `budget 0.5: met` */
export function verdict(value: number, budget: number, isMet: (value: number, budget: number) => boolean): string {
  return `budget ${budget}: ${isMet(value, budget) ? 'met' : 'missed'}`;
}

export const atLeast = (value: number, budget: number): boolean => value >= budget;
export const atMost = (value: number, budget: number): boolean => value <= budget;

export function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
  return [line(heads), `|${'---|'.repeat(heads.length)}`, ...rows.map(line)];
}

/** Prints the report, and keeps it when asked to. */
export function publish(result: Conditions, lines: readonly string[], isSaved: boolean): void {
  const text = lines.join('\n');
  console.log(text);
  if (!isSaved) return;
  mkdirSync(resultsDirectory, { recursive: true });
  const file = path.join(resultsDirectory, result.benchmark);
  writeFileSync(`${file}.json`, `${JSON.stringify(result, undefined, 2)}\n`);
  writeFileSync(`${file}.md`, `${text}\n`);
}
