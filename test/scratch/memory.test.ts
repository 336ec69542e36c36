// How much memory is free: of the machine, and of the control groups around us.
import { expect, test } from 'vitest';
import { freeMemory, requireMemory } from '../../src/scratch/memory.ts';

const gibibyte = 2 ** 30;

function files(content: Readonly<Record<string, string>>): (path: string) => Promise<string | undefined> {
  return async (path) => content[path];
}

const machine = { '/proc/meminfo': 'MemTotal: 9000000 kB\nMemAvailable:    8388608 kB\n' };

test('without a limit it is what the machine has', async () => {
  expect(await freeMemory(files(machine))).toBe(8 * gibibyte);
  const unlimited = {
    ...machine,
    '/proc/self/cgroup': '0::/user.slice\n',
    '/sys/fs/cgroup/user.slice/memory.max': 'max\n',
    '/sys/fs/cgroup/user.slice/memory.current': '1000\n',
  };
  expect(await freeMemory(files(unlimited))).toBe(8 * gibibyte);
});

test('it is what the tightest control group leaves, with the file cache that it would give back', async () => {
  const limited = {
    ...machine,
    '/proc/self/cgroup': '0::/pod/container\n',
    '/sys/fs/cgroup/pod/container/memory.max': `${4 * gibibyte}\n`,
    '/sys/fs/cgroup/pod/container/memory.current': `${gibibyte}\n`,
    '/sys/fs/cgroup/pod/memory.max': `${3 * gibibyte}\n`,
    '/sys/fs/cgroup/pod/memory.current': `${2 * gibibyte}\n`,
    '/sys/fs/cgroup/pod/memory.stat': `anon 5\ninactive_file ${gibibyte}\n`,
  };
  expect(await freeMemory(files(limited))).toBe(2 * gibibyte);
});

test('it is what the first version of control groups says', async () => {
  const limited = {
    ...machine,
    '/proc/self/cgroup': '5:cpu:/a\n4:memory:/a\n',
    '/sys/fs/cgroup/memory/a/memory.limit_in_bytes': `${2 * gibibyte}\n`,
    '/sys/fs/cgroup/memory/a/memory.usage_in_bytes': `${gibibyte}\n`,
    '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${gibibyte}\n`,
  };
  expect(await freeMemory(files(limited))).toBe(gibibyte);
});

test('less than 1.3 times what the source used is refused, unless the user says what may be taken', async () => {
  const free = async (): Promise<number> => 1300;
  const wanted = { usedBytes: 1000, rdbBytes: 1, allowedBytes: undefined };
  expect(await requireMemory(wanted, free)).toBe(1300);
  const more = { ...wanted, usedBytes: 1001 };
  await expect(requireMemory(more, free)).rejects.toMatchObject({ code: 'not-enough-memory', exitCode: 1 });
  expect(await requireMemory({ ...more, allowedBytes: 5 }, free)).toBe(5);
});
