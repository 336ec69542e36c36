/**
 * The thread that reads an RDB behind its writer and checks it (base-check.ts). Started by base-checker.ts, one a base.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { BaseCheck, chunkBytes } from './base-check.ts';
import type { CheckReply, CheckRequest } from './base-checker.ts';
import { carry, yieldToCapture } from './workers.ts';

const path = workerData as string;
const port = parentPort;
if (port === null) throw new Error('base-check-worker runs as a worker thread');
yieldToCapture();

const file = openSync(path, 'r');
const check = new BaseCheck(path);
const buffer = Buffer.allocUnsafe(chunkBytes);
let position = 0;

port.on('message', (request: CheckRequest) => {
  let reply: CheckReply | undefined;
  try {
    if (request.kind === 'available') {
      while (position + chunkBytes <= request.size) takeChunk(chunkBytes);
    } else {
      while (position < request.size) takeChunk(Math.min(chunkBytes, request.size - position));
      reply = { kind: 'checked', checked: check.finish() };
    }
  } catch (error) {
    reply = { kind: 'error', error: carry(error) };
  }
  if (reply === undefined) return;
  port.postMessage(reply);
  closeSync(file);
  port.close();
});

function takeChunk(length: number): void {
  let got = 0;
  while (got < length) {
    const count = readSync(file, buffer, got, length - got, position + got);
    if (count === 0) throw new Error(`${path} is shorter than what was written to it`);
    got += count;
  }
  position += length;
  check.push(buffer.subarray(0, length));
}
