/** What stays in the foreground and logs: how it ends, for the log and for who started it. */
import type { ExitCode } from '../core/errors.ts';
import type { Logger } from '../daemon/logger.ts';
import type { CliIo } from './io.ts';
import { describeFailure } from './output.ts';

/** 0 when it ended in good order. */
export async function inForeground(
  logger: Logger,
  { io }: { readonly io: CliIo },
  run: () => Promise<void>,
): Promise<ExitCode> {
  try {
    await run();
    return 0;
  } catch (error) {
    const { code, message, hint, exitCode } = describeFailure(error);
    logger.fatal({ event: 'failed', code, error: message, hint, exitCode });
    // The log is for programs; at a terminal somebody is reading.
    if (io.stderr.isTTY === true || io.env.JOURNAL_DEBUG === '1') throw error;
    return exitCode;
  }
}
