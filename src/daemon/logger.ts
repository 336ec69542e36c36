/**
 * The daemon's log: one JSON line an event on stderr, each with `event` as its name. Secrets never get here: nothing that
 * is logged holds credentials, and errors carry none.
 */
import { destination, pino, stdTimeFunctions } from 'pino';
import type { LogLevel } from './settings.ts';
import type { Logger as PinoLogger, LoggerOptions } from 'pino';

export type Logger = PinoLogger;

export function createLogger(level: LogLevel): Logger {
  // Synchronous: the last line before a crash is the one that is needed.
  return pino(optionsFor(level), destination({ dest: 2, sync: true }));
}

/** Hands each line, parsed, to `told` instead of printing it: for a run inside another program. */
export function createSilentLogger(told: (line: LogLine) => void): Logger {
  return pino(optionsFor('info'), {
    write: (line: string) => {
      told(JSON.parse(line) as LogLine);
    },
  });
}

export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

function optionsFor(level: LogLevel): LoggerOptions {
  return {
    level,
    base: { pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
}
