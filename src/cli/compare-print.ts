/**
 * What a restore of some keys would do to a running server, in print: the plan, a row for each key as it is found, and how
 * many there are of each kind. With --json one document, written piece by piece: rows may be millions.
 */
import { planToJson, planToText } from '../restore/plan/plan-print.ts';
import type { PlanContext } from '../restore/plan/plan-print.ts';
import type { Comparison, Difference, KeyRow } from '../restore/servers/compare-keys.ts';
import type { Plan } from '../restore/plan/plan.ts';
import type { RestoreReport } from '../restore/restore.ts';
import { bytesJson } from './bytes-json.ts';
import { quoted } from './command-text.ts';
import type { Output } from './output.ts';
import { printable } from './units.ts';

/** Resolves when the reader has taken it. */
export type WriteText = (text: string) => Promise<void>;

export class ComparePrinter {
  readonly #plan: Plan;
  readonly #output: Output;
  readonly #write: WriteText;
  #rows = 0;

  constructor(plan: Plan, output: Output, write: WriteText) {
    this.#plan = plan;
    this.#output = output;
    this.#write = write;
  }

  begin(context: PlanContext): void {
    this.#output.lines([...planToText(this.#plan, context), '']);
  }

  async rows(rows: readonly KeyRow[]): Promise<void> {
    if (rows.length === 0) return;
    const pieces = rows.map((row) => (this.#output.isJson ? this.#jsonRow(row) : `${textRow(row, this.#plan)}\n`));
    await this.#write(pieces.join(''));
  }

  async end({ record, comparison }: RestoreReport): Promise<void> {
    if (comparison === undefined) throw new RangeError('nothing was compared');
    if (this.#output.isJson) {
      const { keys, ttlOutcome, warnings } = record;
      const rest = JSON.stringify({ comparison, keys, ttlOutcome, warnings }, undefined, 2);
      const close = this.#rows === 0 ? `${this.#head()}],` : '\n  ],';
      await this.#write(`${close}${rest.slice(1)}\n`);
      return;
    }
    this.#output.lines([
      ...(this.#rows === 0 ? [] : ['']),
      ...(record.keys?.taken === 0
        ? [`${this.#output.style('yellow', 'nothing matched')}: 0 keys at T are what was asked for`]
        : []),
      ...summary(comparison, this.#plan),
      ...record.warnings.map((warning) => `warning: ${printable(warning)}`),
    ]);
  }

  #jsonRow({ change, at, db, key, name, differs }: KeyRow): string {
    const row = {
      change,
      ...(this.#plan.destination?.cluster !== undefined && { primary: at }),
      db,
      key: bytesJson(key),
      ...(name !== key && !name.equals(key) && { name: bytesJson(name) }),
      ...(differs.length > 0 && { differs }),
    };
    const before = this.#rows === 0 ? this.#head() : ',';
    this.#rows += 1;
    return `${before}\n    ${JSON.stringify(row)}`;
  }

  /** The plan, open at its end. */
  #head(): string {
    const { warnings: _later, ...plan } = planToJson(this.#plan);
    return `${JSON.stringify(plan, undefined, 2).slice(0, -2)},\n  "rows": [`;
  }
}

const differenceNames: Readonly<Record<Difference, string>> = {
  type: 'of another type',
  value: 'value',
  written: 'written in another way, perhaps the same value',
  expiry: 'expiry',
};

function textRow({ change, db, key, name, differs }: KeyRow, { destination }: Plan): string {
  const isRenamed = name !== key && !name.equals(key);
  const what = differs.map((difference) => differenceNames[difference]).join(', ');
  const goes = (change === 'absent' || change === 'elapsed') && destination?.part?.deletesAbsent === true;
  const notes = [...(what === '' ? [] : [`(${what})`]), ...(goes ? ['(to be deleted)'] : [])];
  const names = [quoted(key), ...(isRenamed ? ['→', quoted(name)] : [])];
  return [(change === 'left-alone' ? 'left alone' : change).padEnd(10), `db ${db}`, ...names, ...notes].join('  ');
}

function summary(comparison: Comparison, { destination }: Plan): string[] {
  const { created, changed, identical, leftAlone, absent, elapsed, primaries } = comparison;
  const none = elapsed === 0 ? [] : [`of ${elapsed} the time has passed: they would not be written`];
  if (destination?.part?.onlyMissing === true) {
    const each = primaries.map((one) => `${one.address}: ${one.created} created, ${one.leftAlone} left alone`);
    const all = `${created} keys would be created; ${leftAlone} are there and would be left alone`;
    return [...each, all, ...none, nothingWritten(destination)];
  }
  const fate = destination?.part?.deletesAbsent === true ? 'they would be deleted' : 'they would stay';
  return [
    ...primaries.map(
      (one) =>
        `${one.address}: ${one.created} created, ${one.changed} changed, ${one.identical} identical, ${one.absent ?? 'unknown how many'} absent`,
    ),
    `${created} keys would be created, ${changed} changed; ${identical} are identical already`,
    absent === null
      ? 'keys that were not there at T were not looked for: they come under other names'
      : `${absent} selected keys of the server were not there at T: ${fate}`,
    ...none,
    nothingWritten(destination),
  ];
}

/** What it takes to write goes with it: whoever has looked is about to. */
function nothingWritten(destination: Plan['destination']): string {
  const live = [destination, ...(destination?.cluster ?? [])].findLast((one) => one?.isLive === true);
  if (live === undefined) return 'nothing was written';
  return `nothing was written; without --dry-run, and with --i-know-this-is-live ${live.address}, it is`;
}
