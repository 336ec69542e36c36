/**
 * The daemon's log: one JSON line an event on stderr, each with `event` as its name. Secrets never get here: nothing that
 * is logged holds credentials, and errors carry none.
 */
import { destination, pino, stdTimeFunctions } from 'pino';
import type { Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export function createLogger(level: LogLevel): Logger {
  const options = {
    level,
    base: { pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Synchronous: the last line before a crash is the one that is needed.
  return pino(options, destination({ dest: 2, sync: true }));
}
