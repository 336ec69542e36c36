/**
 * `journal serve pause|step|resume|status`: asks the process that serves a delayed copy, and prints where that stands.
 */
import { resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { askDelayed, controlPath } from '../daemon/delayed-control.ts';
import type { DelayedRequest, DelayedStatus, DelayedVerb } from '../daemon/delayed-control.ts';
import { chooseSource } from '../log/source-tree.ts';
import { parseZone } from '../restore/locate/instant.ts';
import { replicaFacts } from './replica-facts.ts';
import { formatFacts } from './table.ts';
import { formatSeconds, formatTime, printable } from './units.ts';
import type { VerbContext } from './verb.ts';
import { wantedMoment } from './wanted-moment.ts';

export async function controlDelayed(verb: DelayedVerb, { io, layers, output }: VerbContext): Promise<0> {
  const { dir, name, control } = layers.values;
  const path = control === undefined ? controlPath(await chooseSource(io.disk, dir, name)) : resolve(control);
  const status = await askDelayed(path, requestOf(verb, layers), io.signal);
  output.answer(status, () => describeDelayed(status));
  return 0;
}

function requestOf(verb: DelayedVerb, layers: VerbContext['layers']): DelayedRequest {
  const moment = wantedMoment(layers);
  if (verb !== 'step') {
    if (moment === undefined) return { verb };
    throw new UsageError('no-target-here', `journal serve ${verb} takes no target`, {
      hint: 'journal serve step --before TARGET goes up to a target, and pauses there',
    });
  }
  if (moment === undefined) {
    throw new UsageError('no-target', 'journal serve step needs to know where to: --at or --before', {
      hint: 'for example: journal serve step --before POSITION, or --at +30s',
    });
  }
  const { timezone, 'accept-uncertainty': acceptUncertainty } = layers.values;
  if (timezone !== undefined) parseZone(timezone);
  return {
    verb,
    target: moment.text,
    mode: moment.mode,
    acceptUncertainty,
    ...(timezone !== undefined && { timezone }),
  };
}

function describeDelayed(status: DelayedStatus): string[] {
  const { source, state, delaySeconds, pausedSince, instant, behindSeconds, position, lastByte, timeline } = status;
  const shifted = status.ttl === 'shift' ? ', and so are TTLs' : '';
  const facts: (readonly [string, string])[] = [['delay', `${formatSeconds(delaySeconds)}${shifted}`]];
  if (pausedSince !== null) facts.push(['paused', `since ${formatTime(pausedSince)}`]);
  if (instant !== null && behindSeconds !== null) {
    facts.push(['dataset of', `${formatTime(instant)}, ${formatSeconds(behindSeconds)} ago`]);
  }
  if (position !== null && lastByte !== null) {
    facts.push(['last byte', `${formatTime(lastByte)}, timeline ${timeline ?? '?'}`], ['position', position]);
  }
  const warnings = status.warnings.map((warning) => ['warning', printable(warning)] as const);
  return [`${source}  ${state}`, ...formatFacts([...facts, ...replicaFacts(status), ...warnings])];
}
