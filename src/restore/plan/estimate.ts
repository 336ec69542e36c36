/**
 * How long a restore will take (pure): by how fast the last ones of its kind went on this machine, else by cautious rates.
 * What was measured is kept by cli/measured-paces.ts.
 */
/** Bytes of the journal a second, by the way that they went. */
export type Paces = Readonly<Record<string, number>>;

/** What a plan says of it. */
export interface Work {
  readonly form: string;
  readonly transform: string;
  readonly ttl: { readonly mode: string };
  readonly bytes: { readonly base: number; readonly stream: number; readonly total: number };
  readonly undo: object | undefined;
  readonly selection: object | undefined;
  /** `keys` undefined: everything is replayed, not only what some keys depend on. */
  readonly held: { readonly keys: object | undefined } | undefined;
  readonly scratch: object | undefined;
  readonly asked?: object | undefined;
  readonly destination: { readonly method: string } | undefined;
}

interface Rates {
  readonly base: number;
  readonly stream: number;
}

/** In bytes a second: an ordinary cloud disk, one slow core, a server that executes every command. */
const fileRates: Rates = { base: 400_000_000, stream: 350_000_000 };
const transformRates: Rates = { base: 200_000_000, stream: 40_000_000 };
const scratchRates: Rates = { base: 40_000_000, stream: 30_000_000 };
/** Most of it is passed over; then a server loads the rest, or not. */
const neededRates: Rates = { base: 100_000_000, stream: 80_000_000 };
const passedOverRates: Rates = { base: 200_000_000, stream: 150_000_000 };

/** Less than this says more of starting processes than of anything else. */
const tellingBytesMin = 20_000_000;
const waysMax = 100;

export function estimateSeconds(plan: Work, paces: Paces = {}): number {
  const { base, stream, total } = plan.bytes;
  const pace = paces[wayOf(plan)];
  if (pace !== undefined && total >= tellingBytesMin) return Math.ceil(total / pace);
  const rates = ratesOf(plan);
  return Math.ceil(base / rates.base + stream / rates.stream);
}

function ratesOf({ scratch, held, transform, ttl }: Work): Rates {
  if (scratch !== undefined) return held?.keys === undefined ? scratchRates : neededRates;
  if (transform !== 'none') return transformRates;
  return held?.keys === undefined && ttl.mode === 'keep' ? fileRates : passedOverRates;
}

/** The same paces where nothing was learnt. What was known counts as much as what is new. */
export function learnPace(paces: Paces, plan: Work, seconds: number): Paces {
  const { total } = plan.bytes;
  if (total < tellingBytesMin || seconds <= 0) return paces;
  const way = wayOf(plan);
  const pace = total / seconds;
  const known = paces[way];
  const { [way]: _, ...others } = paces;
  const kept = Object.entries(others).slice(1 - waysMax);
  return { ...Object.fromEntries(kept), [way]: Math.round(known === undefined ? pace : Math.sqrt(known * pace)) };
}

/** All that makes a restore slower or faster by more than its size. */
function wayOf({ form, transform, ttl, undo, selection, held, scratch, asked, destination }: Work): string {
  return [
    form,
    ...(destination === undefined ? [] : [destination.method]),
    ...(transform === 'none' ? [] : [transform]),
    ...(scratch === undefined ? [] : ['scratch']),
    ...(ttl.mode === 'keep' ? [] : [ttl.mode === 'as-of' && scratch === undefined ? 'as-of' : 'ttl']),
    ...(asked === undefined ? [] : ['asked']),
    ...(undo === undefined ? [] : ['undo']),
    ...(selection === undefined ? [] : ['keys']),
    ...(held?.keys === undefined ? [] : ['needed']),
  ].join(' ');
}
