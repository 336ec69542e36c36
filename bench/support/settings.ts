// The options of a benchmark: numbers by name, each with what stands for it when it is left out, and those that all have.
import os from 'node:os';
import { parseArgs } from 'node:util';

/** What every benchmark is told. */
export interface CommonSettings {
  /** On the disk that is measured. */
  readonly directory: string;
  readonly save: boolean;
}

/** `--NAME N` for each, `--dir DIR`, `--save`. */
export function readNumbers<Name extends string>(
  defaults: Readonly<Record<Name, number>>,
): CommonSettings & Readonly<Record<Name, number>> {
  const names = Object.keys(defaults) as Name[];
  const numbers = names.map((name) => [name, { type: 'string', default: String(defaults[name]) }] as const);
  const common = {
    dir: { type: 'string', default: os.tmpdir() },
    save: { type: 'boolean', default: false },
  } as const;
  const { values } = parseArgs({ options: { ...Object.fromEntries(numbers), ...common } });
  const given = values as Readonly<Record<Name, string>>;
  const read = Object.fromEntries(names.map((name) => [name, Number(given[name])])) as Record<Name, number>;
  return { ...read, directory: values.dir, save: values.save };
}
