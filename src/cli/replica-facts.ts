/** Replicas that are fed, as lines of a table of facts. */
import type { Status } from '../daemon/status.ts';
import { formatBytes, formatSeconds, printable } from './units.ts';

type Facts = (readonly [name: string, value: string])[];

/** More of them are for JSON. */
const replicasShown = 8;
/** A replica gives a sign of life each second. */
const silentSecondsUsual = 5;

export function replicaFacts({ replicas }: Pick<Status, 'replicas'>): Facts {
  const facts: Facts = replicas.slice(0, replicasShown).map((replica, i) => {
    const { address, state, lagBytes, silentSeconds } = replica;
    const behind = lagBytes === null ? 'getting the dataset' : `${formatBytes(lagBytes)} behind`;
    const silent = silentSeconds < silentSecondsUsual ? '' : `, silent for ${formatSeconds(silentSeconds)}`;
    return [i === 0 ? 'feeds' : '', printable(`${address}  ${state}, ${behind}${silent}`)];
  });
  if (replicas.length > replicasShown) facts.push(['', `and ${replicas.length - replicasShown} more`]);
  return facts;
}
