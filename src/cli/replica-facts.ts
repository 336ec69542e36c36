/** Replicas that are fed, delayed copies, and the journal that is followed, as lines of a table of facts. */
import type { Status } from '../daemon/status.ts';
import { formatBytes, formatSeconds, formatTime, printable } from './units.ts';

type Facts = (readonly [name: string, value: string])[];

/** More of them are for JSON. */
const replicasShown = 8;
/** A replica gives a sign of life each second. */
const silentSecondsUsual = 5;

export function replicaFacts({ replicas }: Pick<Status, 'replicas'>): Facts {
  const facts: Facts = replicas.slice(0, replicasShown).map((replica, i) => {
    const { address, state, isJournal, lagBytes, silentSeconds } = replica;
    const behind = lagBytes === null ? 'getting the dataset' : `${formatBytes(lagBytes)} behind`;
    const silent = silentSeconds < silentSecondsUsual ? '' : `, silent for ${formatSeconds(silentSeconds)}`;
    return [
      i === 0 ? 'feeds' : '',
      printable(`${isJournal ? 'journal ' : ''}${address}  ${state}, ${behind}${silent}`),
    ];
  });
  if (replicas.length > replicasShown) facts.push(['', `and ${replicas.length - replicasShown} more`]);
  return facts;
}

export function copyFacts({ copies }: Pick<Status, 'copies'>): Facts {
  return copies.map((copy, i) => {
    const { name, state, isRunning, delaySeconds, behindSeconds, pausedSince, lagBytes, heldBytes } = copy;
    const since = pausedSince === null ? '' : ` since ${formatTime(pausedSince)}`;
    const words = [
      `${name}  ${isRunning ? '' : 'not running, '}${state}${since}`,
      `delay ${formatSeconds(delaySeconds)}`,
    ];
    if (behindSeconds !== null) words.push(`dataset of ${formatSeconds(behindSeconds)} ago`);
    if (lagBytes !== null) words.push(`${formatBytes(lagBytes)} behind`);
    if (heldBytes > 0) words.push(`${formatBytes(heldBytes)} kept for it`);
    return [i === 0 ? 'delayed' : '', printable(words.join(', '))];
  });
}

/** How far we are behind a journal that is followed. */
export function linkFacts({ link }: Pick<Status, 'link'>): Facts {
  if (link === null) return [];
  const { hops, isUp, hop, total } = link;
  const of = ({ bytes, seconds }: typeof hop): string =>
    bytes === 0 ? 'level with' : `${formatBytes(bytes)}, ${formatSeconds(seconds)} behind`;
  const primary = `${of(total)} the primary${hops === 0 ? '' : `, ${hops + 1} journals away`}`;
  return [
    ['link', `${of(hop)} the journal; ${primary}${isUp ? '' : ', as far as the journal knows, which has lost it'}`],
  ];
}
