/** What a capture has to tell, as log lines. */
import { formatPosition } from '../core/position.ts';
import type { CaptureEvents } from './capture-options.ts';
import { describe } from './describe-error.ts';
import type { Logger } from './logger.ts';

export function loggedCapture(logger: Logger): Pick<CaptureEvents, 'recovered' | 'gap' | 'sealed' | 'sealFailed'> {
  return {
    recovered: (actions) => {
      for (const action of actions) logger.warn({ event: 'recovered', action });
    },
    gap: ({ from, to, cause, detail, orphan }) => {
      const parted = orphan === undefined ? {} : { survivesTo: formatPosition(orphan) };
      logger.error({ event: 'gap', cause, detail, from: formatPosition(from), to: formatPosition(to), ...parted });
    },
    sealed: (_from, { path, raw, stored }) => {
      logger.debug({ event: 'sealed', path, raw, stored });
    },
    sealFailed: (path, error) => {
      logger.error({ event: 'seal-failed', path, ...describe(error) });
    },
  };
}
