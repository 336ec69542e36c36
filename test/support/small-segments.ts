// `node small-segments.ts BYTES run …`: the same as `journal run …`, from the sources and with segments of that size, so
// that a test can break it off in the middle of rotation and sealing. Settings, signals and exit codes are those of the
// command line; the size is none of its options, because nobody else needs it.
import { resolveRunConfig } from '../../src/daemon/config.ts';
import { resolveSettings } from '../../src/daemon/layers.ts';
import { createLogger } from '../../src/daemon/logger.ts';
import { runDaemon } from '../../src/daemon/run.ts';

const [segmentBytes, , ...options] = process.argv.slice(2);
const given = Object.fromEntries(
  options.flatMap((word, index) => (word.startsWith('--') ? [[word.slice(2), options[index + 1] ?? '']] : [])),
);
const stop = new AbortController();
process.on('SIGTERM', () => {
  stop.abort(new Error('stopped by SIGTERM'));
});
const config = resolveRunConfig(resolveSettings(given, process.env, undefined), process.env);
await runDaemon({ config, logger: createLogger('debug'), segmentBytes: Number(segmentBytes) }, stop.signal);
