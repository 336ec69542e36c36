/**
 * One call of the command line, from arguments to exit code, without touching the process it runs in. Whatever goes wrong
 * ends here, as one message and one exit code.
 */
import type { ExitCode } from '../core/errors.ts';
import { resolveSettings, setVariable } from '../daemon/layers.ts';
import type { Layers } from '../daemon/layers.ts';
import { checkVerb } from './commands/check.ts';
import { completionVerb } from './commands/completion.ts';
import { demoVerb } from './commands/demo.ts';
import { diffVerb } from './commands/diff.ts';
import { exportVerb } from './commands/export.ts';
import { findVerb } from './commands/find.ts';
import { historyVerb } from './commands/history.ts';
import { lsVerb } from './commands/ls.ts';
import { markVerb } from './commands/mark.ts';
import { restoreVerb } from './commands/restore.ts';
import { runVerb } from './commands/run.ts';
import { serveVerb } from './commands/serve.ts';
import { statusVerb } from './commands/status.ts';
import { verifyVerb } from './commands/verify.ts';
import type { CliIo } from './io.ts';
import { withMarkHint } from './mark-hint.ts';
import { Output } from './output.ts';
import { readArguments } from './program.ts';
import type { Verb } from './verb.ts';

export const verbs: readonly Verb[] = [
  ...[runVerb, statusVerb, lsVerb, verifyVerb, markVerb],
  ...[findVerb, historyVerb, diffVerb, exportVerb, restoreVerb, serveVerb, checkVerb, demoVerb, completionVerb],
];

export async function runCli(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  let output = outputBefore(argv, io);
  try {
    const asked = readArguments(verbs, argv, io);
    if (typeof asked === 'number') return asked;
    const layers = resolveSettings(asked.given, io.env, asked.configFile);
    output = outputFor(io, layers);
    const context = { io, layers, output, argument: asked.argument, verbs };
    try {
      return await asked.verb.run(context);
    } catch (error) {
      throw await withMarkHint(error, context);
    }
  } catch (error) {
    return output.failure(error);
  }
}

/** Prints an error that belongs to no verb, and returns what the process shall exit with. */
export function tellFailure(error: unknown, argv: readonly string[], io: CliIo): ExitCode {
  return outputBefore(argv, io).failure(error);
}

/** Before the settings are known, something is told as it was probably asked for. */
function outputBefore(argv: readonly string[], io: CliIo): Output {
  return new Output(io, { json: argv.includes('--json'), quiet: false, color: !argv.includes('--no-color') });
}

function outputFor(io: CliIo, { values }: Layers): Output {
  const color = !values['no-color'] && setVariable(io.env, 'NO_COLOR') === undefined;
  return new Output(io, { json: values.json, quiet: values.quiet, color });
}
