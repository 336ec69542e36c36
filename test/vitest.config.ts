// The kinds of tests, by the environment they need. `pure` needs nothing but Node and is run first; `redis` starts
// real servers on this machine; `containers` needs a container engine; `long` runs for as long as it is told to.
// A test file belongs to exactly one project by its folder or suffix.
import path from 'node:path';
import { defineConfig } from 'vitest/config';

const root = path.resolve(import.meta.dirname, '..');

/** Folders of test/ that need more than Node. */
const needsServers = ['test/redis/**', 'test/crash/**', 'test/containers/**', 'test/s3/**'];

export default defineConfig({
  root,
  test: {
    root,
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'pure',
          include: ['test/**/*.test.ts'],
          exclude: needsServers,
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'redis',
          include: ['test/redis/**/*.test.ts', 'test/crash/**/*.test.ts'],
          // Each file starts its own servers and measures durations of tens of milliseconds: more than two at once on
          // two cores would test the scheduler.
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'containers',
          include: ['test/containers/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'long',
          include: ['test/**/*.long.ts'],
          fileParallelism: false,
          testTimeout: 0,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
