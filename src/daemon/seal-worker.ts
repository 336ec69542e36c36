/**
 * The thread that seals segments, in the background unless too many wait: compression must not take the processor from
 * capture. Started by seal-host.ts; takes one request after the other.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { SealPace } from '../log/sealer.ts';
import { sealSegment } from '../log/sealing.ts';
import { knownCommands } from '../redis/command-scan.ts';
import { blockingDisk } from '../storage/local-disk.ts';
import type { SealReply, SealRequest } from './seal-host.ts';
import { carry, yieldToCapture } from './workers.ts';

const port = parentPort;
if (port === null) throw new Error('seal-worker runs as a worker thread');
if ((workerData as SealPace) === 'background') yieldToCapture();

port.on('message', ({ path, end }: SealRequest) => {
  sealSegment(blockingDisk, path, end, knownCommands).then(
    (sealed) => {
      port.postMessage({ kind: 'sealed', sealed } satisfies SealReply);
    },
    (error: unknown) => {
      port.postMessage({ kind: 'error', error: carry(error) } satisfies SealReply);
    },
  );
});
